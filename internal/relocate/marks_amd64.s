#include "go_asm.h"
#include "textflag.h"

// The bytes of a block are in the first register and those one further in the second one. Of tables, low and high are
// looked up by the four bits of each byte; VPSHUFB gives nothing for an index of 0x80 and more.

// The arguments of all that mark, and where the words of each kind go to.
#define WORDS \
	MOVQ m+0(FP), AX           \
	MOVQ first+8(FP), BX       \
	MOVQ src+16(FP), SI        \
	MOVQ n+24(FP), CX          \
	MOVQ k+32(FP), DX

#define MARKS \
	MOVQ marks_digit(AX), R8   \
	MOVQ marks_graph(AX), R9   \
	MOVQ marks_zero(AX), R10   \
	MOVQ marks_edge(AX), R11   \
	MOVQ marks_pair(AX), R12

#define CODEMARKS \
	MOVQ codeMarks_movabs(AX), R8 \
	MOVQ codeMarks_load(AX), R9   \
	MOVQ codeMarks_near(AX), R10  \
	MOVQ codeMarks_far(AX), R11

// func markAVX512(m *marks, first int, src *byte, n int, k *kinds)
//
// Kinds are looked up for all bytes below 0x80 at once, and only for those that a path may have. Half of the words are
// stored by way of another register: either way takes two cycles, but both go on at the same time.
TEXT ·markAVX512(SB), NOSPLIT, $0-40
	WORDS
	MARKS
	VMOVDQU64 kinds_first(DX), Z16
	VMOVDQU64 (kinds_first+64)(DX), Z17
	VMOVDQU64 kinds_second(DX), Z18
	VMOVDQU64 (kinds_second+64)(DX), Z19
	VBROADCASTI64X4 kinds_space(DX), Z20
	VBROADCASTI64X4 kinds_digitBits(DX), Z21
	VBROADCASTI64X4 kinds_edgeBits(DX), Z22

blocks:
	VMOVDQU64  0(SI), Z0
	VMOVDQU64  1(SI), Z1
	VPTESTNMB  Z0, Z0, K1
	VPCMPGTB   Z20, Z0, K2
	VPCMPGTB   Z20, Z1, K3
	VPERMI2B.Z Z17, Z16, K2, Z0
	VPERMI2B.Z Z19, Z18, K3, Z1
	VPTESTMB   Z21, Z0, K4
	VPTESTMB   Z1, Z0, K5
	KMOVQ      K1, (R10)(BX*8)
	KMOVQ      K2, DX
	MOVQ       DX, (R9)(BX*8)
	KMOVQ      K4, (R8)(BX*8)
	KMOVQ      K5, DI
	MOVQ       DI, (R12)(BX*8)
	TESTQ      R11, R11
	JZ         next
	VPTESTMB   Z22, Z0, K6
	KMOVQ      K6, (R11)(BX*8)

next:
	ADDQ $64, SI
	INCQ BX
	DECQ CX
	JNZ  blocks
	VZEROUPPER
	RET

// func markCodeAVX512(m *codeMarks, first int, src *byte, n int, k *kinds)
TEXT ·markCodeAVX512(SB), NOSPLIT, $0-40
	WORDS
	CODEMARKS
	VBROADCASTI64X4 kinds_nibble(DX), Z16
	VBROADCASTI64X4 kinds_codeLow(DX), Z17
	VBROADCASTI64X4 kinds_codeHigh(DX), Z18
	VBROADCASTI64X4 kinds_farBits(DX), Z20
	VBROADCASTI64X4 kinds_nearBits(DX), Z21
	VBROADCASTI64X4 kinds_rexBits(DX), Z22
	VBROADCASTI64X4 kinds_opBits(DX), Z23
	VBROADCASTI64X4 kinds_mask(DX), Z24
	VBROADCASTI64X4 kinds_b8(DX), Z25
	VBROADCASTI64X4 kinds_modrmBits(DX), Z26
	VBROADCASTI64X4 kinds_anywhere(DX), Z27

blocks:
	VMOVDQU64 0(SI), Z0
	VMOVDQU64 1(SI), Z1
	VPSRLW    $4, Z0, Z2
	VPANDQ    Z16, Z2, Z2
	VPANDQ    Z16, Z0, Z3
	VPSHUFB   Z2, Z18, Z2
	VPSHUFB   Z3, Z17, Z3
	VPANDQ    Z2, Z3, Z3
	VPANDQ    Z24, Z1, Z4
	VPANDQ    Z26, Z1, Z5
	VPTESTMB  Z22, Z3, K1
	VPCMPEQB  Z25, Z4, K1, K1
	VPTESTMB  Z23, Z3, K2
	VPCMPEQB  Z27, Z5, K2, K2
	VPTESTMB  Z21, Z3, K3
	VPTESTMB  Z20, Z3, K4
	KMOVQ     K1, (R8)(BX*8)
	KMOVQ     K2, (R9)(BX*8)
	KMOVQ     K3, (R10)(BX*8)
	KMOVQ     K4, (R11)(BX*8)
	ADDQ      $64, SI
	INCQ      BX
	DECQ      CX
	JNZ       blocks
	VZEROUPPER
	RET

// HALF marks the 32 bytes at a place of a block, which have that half of its words.
#define HALF(at, half) \
	VMOVDQU   at(SI), Y0       \
	VMOVDQU   (at+1)(SI), Y1   \
	VPSRLW    $4, Y0, Y2       \
	VPAND     Y14, Y2, Y2      \
	VPSHUFB   Y2, Y12, Y2      \
	VPSHUFB   Y0, Y13, Y3      \
	VPAND     Y2, Y3, Y3       \
	VPSRLW    $4, Y1, Y4       \
	VPAND     Y14, Y4, Y4      \
	VPSHUFB   Y4, Y10, Y4      \
	VPSHUFB   Y1, Y11, Y5      \
	VPAND     Y4, Y5, Y5       \
	VPAND     Y8, Y3, Y4       \
	VPCMPEQB  Y15, Y4, Y4      \
	VPMOVMSKB Y4, DX           \
	NOTL      DX               \
	MOVL      DX, half(R8)(BX*8)  \
	VPCMPGTB  Y9, Y0, Y4       \
	VPMOVMSKB Y4, DX           \
	MOVL      DX, half(R9)(BX*8)  \
	VPCMPEQB  Y15, Y0, Y4      \
	VPMOVMSKB Y4, DX           \
	MOVL      DX, half(R10)(BX*8) \
	VPAND     Y7, Y3, Y4       \
	VPCMPEQB  Y7, Y4, Y4       \
	VPMOVMSKB Y4, DX           \
	MOVL      DX, half(R11)(BX*8) \
	VPAND     Y3, Y5, Y5       \
	VPCMPEQB  Y15, Y5, Y5      \
	VPMOVMSKB Y5, DX           \
	NOTL      DX               \
	MOVL      DX, half(R12)(BX*8)

// func markAVX2(m *marks, first int, src *byte, n int, k *kinds)
//
// Where nobody asks for edges, they are written where pairs are, and these over them.
TEXT ·markAVX2(SB), NOSPLIT, $0-40
	WORDS
	MARKS
	TESTQ   R11, R11
	CMOVQEQ R12, R11
	VPXOR   Y15, Y15, Y15
	VMOVDQU kinds_nibble(DX), Y14
	VMOVDQU kinds_low(DX), Y13
	VMOVDQU kinds_high(DX), Y12
	VMOVDQU kinds_low2(DX), Y11
	VMOVDQU kinds_high2(DX), Y10
	VMOVDQU kinds_space(DX), Y9
	VMOVDQU kinds_digitBits(DX), Y8
	VMOVDQU kinds_edgeBits(DX), Y7

blocks:
	HALF(0, 0)
	HALF(32, 4)
	ADDQ $64, SI
	INCQ BX
	DECQ CX
	JNZ  blocks
	VZEROUPPER
	RET

// HALFCODE does so for machine code.
#define HALFCODE(at, half) \
	VMOVDQU   at(SI), Y0       \
	VMOVDQU   (at+1)(SI), Y1   \
	VPSRLW    $4, Y0, Y2       \
	VPAND     Y14, Y2, Y2      \
	VPAND     Y14, Y0, Y3      \
	VPSHUFB   Y2, Y12, Y2      \
	VPSHUFB   Y3, Y13, Y3      \
	VPAND     Y2, Y3, Y3       \
	VPAND     Y9, Y3, Y4       \
	VPCMPEQB  Y9, Y4, Y4       \
	VPAND     kinds_mask(AX), Y1, Y5 \
	VPCMPEQB  kinds_b8(AX), Y5, Y5   \
	VPAND     Y4, Y5, Y5       \
	VPMOVMSKB Y5, DX           \
	MOVL      DX, half(R8)(BX*8)  \
	VPAND     Y8, Y3, Y4       \
	VPCMPEQB  Y15, Y4, Y4      \
	VPAND     Y7, Y1, Y5       \
	VPCMPEQB  Y6, Y5, Y5       \
	VPANDN    Y5, Y4, Y5       \
	VPMOVMSKB Y5, DX           \
	MOVL      DX, half(R9)(BX*8)  \
	VPAND     Y10, Y3, Y4      \
	VPCMPEQB  Y15, Y4, Y4      \
	VPMOVMSKB Y4, DX           \
	NOTL      DX               \
	MOVL      DX, half(R10)(BX*8) \
	VPAND     Y11, Y3, Y4      \
	VPCMPEQB  Y15, Y4, Y4      \
	VPMOVMSKB Y4, DX           \
	NOTL      DX               \
	MOVL      DX, half(R11)(BX*8)

// func markCodeAVX2(m *codeMarks, first int, src *byte, n int, k *kinds)
TEXT ·markCodeAVX2(SB), NOSPLIT, $0-40
	WORDS
	CODEMARKS
	MOVQ    DX, AX
	VPXOR   Y15, Y15, Y15
	VMOVDQU kinds_nibble(AX), Y14
	VMOVDQU kinds_codeLow(AX), Y13
	VMOVDQU kinds_codeHigh(AX), Y12
	VMOVDQU kinds_farBits(AX), Y11
	VMOVDQU kinds_nearBits(AX), Y10
	VMOVDQU kinds_rexBits(AX), Y9
	VMOVDQU kinds_opBits(AX), Y8
	VMOVDQU kinds_modrmBits(AX), Y7
	VMOVDQU kinds_anywhere(AX), Y6

blocks:
	HALFCODE(0, 0)
	HALFCODE(32, 4)
	ADDQ $64, SI
	INCQ BX
	DECQ CX
	JNZ  blocks
	VZEROUPPER
	RET
