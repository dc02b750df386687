#include "textflag.h"

// Where the vectors are in kinds.
#define LOW     0
#define HIGH   32
#define NIBBLE 64
#define SPACE  96
#define FIRST  128
#define SECOND 256
#define EQUALS 384
#define MASK   416
#define REX    448
#define B8     480
#define OPLOW  512
#define OPHIGH 544
#define MODRM  576
#define ELSEWHERE 608

// HALF marks 32 bytes: digit, graph, zero, pair into four registers.
#define HALF(at, digit, graph, zero, pair) \
	VMOVDQU   at(SI), Y0       \
	VMOVDQU   (at+1)(SI), Y1   \
	VPSRLW    $4, Y0, Y2       \
	VPAND     Y14, Y2, Y2      \
	VPSHUFB   Y2, Y12, Y2      \
	VPSHUFB   Y0, Y13, Y3      \
	VPAND     Y2, Y3, Y3       \
	VPCMPEQB  Y15, Y3, Y3      \
	VPMOVMSKB Y3, digit        \
	VPCMPGTB  Y11, Y0, Y2      \
	VPMOVMSKB Y2, graph        \
	VPCMPEQB  Y15, Y0, Y3      \
	VPMOVMSKB Y3, zero         \
	VPCMPEQB  Y7, Y0, Y2       \
	VPCMPEQB  (SECOND+0)(DX), Y1, Y3  \
	VPAND     Y2, Y3, Y4       \
	VPCMPEQB  Y8, Y0, Y2       \
	VPCMPEQB  (SECOND+32)(DX), Y1, Y3 \
	VPAND     Y2, Y3, Y5       \
	VPOR      Y5, Y4, Y4       \
	VPCMPEQB  Y9, Y0, Y2       \
	VPCMPEQB  (SECOND+64)(DX), Y1, Y3 \
	VPAND     Y2, Y3, Y5       \
	VPCMPEQB  Y10, Y0, Y2      \
	VPCMPEQB  (SECOND+96)(DX), Y1, Y3 \
	VPAND     Y2, Y3, Y6       \
	VPOR      Y6, Y5, Y5       \
	VPOR      Y5, Y4, Y4       \
	VPMOVMSKB Y4, pair

// func markAVX2(dst *marks, src *byte, n int, k *kinds)
TEXT ·markAVX2(SB), NOSPLIT, $0-32
	MOVQ    dst+0(FP), DI
	MOVQ    src+8(FP), SI
	MOVQ    n+16(FP), CX
	MOVQ    k+24(FP), DX
	VPXOR   Y15, Y15, Y15
	VMOVDQU NIBBLE(DX), Y14
	VMOVDQU LOW(DX), Y13
	VMOVDQU HIGH(DX), Y12
	VMOVDQU SPACE(DX), Y11
	VMOVDQU (FIRST+0)(DX), Y7
	VMOVDQU (FIRST+32)(DX), Y8
	VMOVDQU (FIRST+64)(DX), Y9
	VMOVDQU (FIRST+96)(DX), Y10

blocks:
	HALF(0, AX, BX, R8, R9)
	HALF(32, R10, R11, R12, R13)
	SHLQ $32, R10
	ORQ  R10, AX
	NOTQ AX
	MOVQ AX, 0(DI)
	SHLQ $32, R11
	ORQ  R11, BX
	MOVQ BX, 8(DI)
	SHLQ $32, R12
	ORQ  R12, R8
	MOVQ R8, 16(DI)
	SHLQ $32, R13
	ORQ  R13, R9
	MOVQ R9, 24(DI)
	ADDQ $64, SI
	ADDQ $32, DI
	DECQ CX
	JNZ  blocks
	VZEROUPPER
	RET

// func markAVX512(dst *marks, src *byte, n int, k *kinds)
TEXT ·markAVX512(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	MOVQ k+24(FP), DX
	VBROADCASTI64X4 NIBBLE(DX), Z14
	VBROADCASTI64X4 LOW(DX), Z13
	VBROADCASTI64X4 HIGH(DX), Z12
	VBROADCASTI64X4 SPACE(DX), Z11
	VBROADCASTI64X4 (FIRST+0)(DX), Z16
	VBROADCASTI64X4 (FIRST+32)(DX), Z17
	VBROADCASTI64X4 (FIRST+64)(DX), Z18
	VBROADCASTI64X4 (FIRST+96)(DX), Z19
	VBROADCASTI64X4 (SECOND+0)(DX), Z20
	VBROADCASTI64X4 (SECOND+32)(DX), Z21
	VBROADCASTI64X4 (SECOND+64)(DX), Z22
	VBROADCASTI64X4 (SECOND+96)(DX), Z23

blocks:
	VMOVDQU64 0(SI), Z0
	VMOVDQU64 1(SI), Z1
	VPSRLW    $4, Z0, Z2
	VPANDQ    Z14, Z2, Z2
	VPSHUFB   Z2, Z12, Z2
	VPSHUFB   Z0, Z13, Z3
	VPTESTMB  Z2, Z3, K1
	KMOVQ     K1, 0(DI)
	VPCMPGTB  Z11, Z0, K1
	KMOVQ     K1, 8(DI)
	VPTESTNMB Z0, Z0, K1
	KMOVQ     K1, 16(DI)
	VPCMPEQB  Z16, Z0, K1
	VPCMPEQB  Z20, Z1, K1, K1
	VPCMPEQB  Z17, Z0, K2
	VPCMPEQB  Z21, Z1, K2, K2
	VPCMPEQB  Z18, Z0, K3
	VPCMPEQB  Z22, Z1, K3, K3
	VPCMPEQB  Z19, Z0, K4
	VPCMPEQB  Z23, Z1, K4, K4
	KORQ      K1, K2, K1
	KORQ      K3, K4, K3
	KORQ      K1, K3, K1
	KMOVQ     K1, 24(DI)
	ADDQ      $64, SI
	ADDQ      $32, DI
	DECQ      CX
	JNZ       blocks
	VZEROUPPER
	RET

// HALFCODE marks 32 bytes: op, movabs, load.
#define HALFCODE(at, op, movabs, load) \
	VMOVDQU   at(SI), Y0       \
	VMOVDQU   (at+1)(SI), Y1   \
	VPCMPEQB  Y11, Y0, Y2      \
	VPOR      Y0, Y2, Y2       \
	VPMOVMSKB Y2, op           \
	VPAND     Y12, Y0, Y2      \
	VPCMPEQB  Y13, Y2, Y2      \
	VPAND     Y12, Y1, Y3      \
	VPCMPEQB  Y14, Y3, Y3      \
	VPAND     Y2, Y3, Y3       \
	VPMOVMSKB Y3, movabs       \
	VPSRLW    $4, Y0, Y2       \
	VPAND     Y10, Y2, Y2      \
	VPSHUFB   Y2, Y9, Y2       \
	VPSHUFB   Y0, Y8, Y3       \
	VPAND     Y2, Y3, Y2       \
	VPCMPEQB  Y15, Y2, Y2      \
	VPAND     Y7, Y1, Y3       \
	VPCMPEQB  Y6, Y3, Y3       \
	VPANDN    Y3, Y2, Y3       \
	VPMOVMSKB Y3, load

// func markCodeAVX2(dst *codeMarks, src *byte, n int, k *kinds)
TEXT ·markCodeAVX2(SB), NOSPLIT, $0-32
	MOVQ    dst+0(FP), DI
	MOVQ    src+8(FP), SI
	MOVQ    n+16(FP), CX
	MOVQ    k+24(FP), DX
	VMOVDQU EQUALS(DX), Y11
	VMOVDQU MASK(DX), Y12
	VMOVDQU REX(DX), Y13
	VMOVDQU B8(DX), Y14
	VMOVDQU NIBBLE(DX), Y10
	VMOVDQU OPHIGH(DX), Y9
	VMOVDQU OPLOW(DX), Y8
	VMOVDQU MODRM(DX), Y7
	VMOVDQU ELSEWHERE(DX), Y6
	VPXOR   Y15, Y15, Y15

blocks:
	HALFCODE(0, AX, BX, R10)
	HALFCODE(32, R8, R9, R11)
	SHLQ $32, R8
	ORQ  R8, AX
	MOVQ AX, 0(DI)
	SHLQ $32, R9
	ORQ  R9, BX
	MOVQ BX, 8(DI)
	SHLQ $32, R11
	ORQ  R11, R10
	MOVQ R10, 16(DI)
	ADDQ $64, SI
	ADDQ $24, DI
	DECQ CX
	JNZ  blocks
	VZEROUPPER
	RET
