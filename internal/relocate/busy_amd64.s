#include "go_asm.h"
#include "textflag.h"

// Four words are looked at at once, those of as many blocks, twice for a byte.

// BROADCAST puts a word into all four of a register.
#define BROADCAST(word, x, y) \
	MOVQ         word, AX \
	VMOVQ        AX, x    \
	VPBROADCASTQ x, y

// FOUND says in the lowest four bits which of four words are not zero. Y15 is.
#define FOUND(y, bits) \
	VPCMPEQQ  Y15, y, y \
	VMOVMSKPD y, bits   \
	XORL      $15, bits

// BYTE stores what two times four blocks have.
#define BYTE \
	SHLL $4, DX      \
	ORL  DX, AX      \
	MOVB AX, (DI)    \
	INCQ DI          \
	ADDQ $8, BX      \
	DECQ CX

// TEXTS is hasText for four blocks. Y14 has ones in every eighth place, Y13 everywhere.
#define TEXTS(at, bits) \
	VMOVDQU   at(R9)(BX*8), Y0   \
	VPSRLQ    $2, Y0, Y1         \
	VPAND     Y0, Y1, Y1         \
	VPSRLQ    $4, Y1, Y2         \
	VPAND     Y1, Y2, Y1         \
	VPSRLQ    $1, Y1, Y2         \
	VPXOR     Y1, Y2, Y1         \
	VPAND     Y14, Y1, Y1        \
	VMOVDQU   at(R10)(BX*8), Y0  \
	VPSRLQ    $4, Y0, Y2         \
	VPAND     Y0, Y2, Y2         \
	VPSRLQ    $2, Y2, Y3         \
	VPOR      Y2, Y3, Y2         \
	VPSRLQ    $1, Y2, Y3         \
	VPOR      Y2, Y3, Y2         \
	VPAND     Y1, Y2, Y1         \
	VPCMPEQW  at(R11)(BX*8), Y13, Y2 \
	VPOR      Y1, Y2, Y1         \
	VPOR      at(R8)(BX*8), Y1, Y1   \
	FOUND(Y1, bits)

// func textsAVX2(dst *uint8, n int, m *marks, rows *uint64)
TEXT ·textsAVX2(SB), NOSPLIT, $0-32
	MOVQ  dst+0(FP), DI
	MOVQ  n+8(FP), CX
	MOVQ  m+16(FP), AX
	MOVQ  rows+24(FP), R11
	MOVQ  marks_pair(AX), R8
	MOVQ  marks_zero(AX), R9
	MOVQ  marks_graph(AX), R10
	XORQ  BX, BX
	VPXOR Y15, Y15, Y15
	BROADCAST($0x0101010101010101, X14, Y14)
	VPCMPEQW Y13, Y13, Y13

groups:
	TEXTS(0, AX)
	TEXTS(32, DX)
	BYTE
	JNZ groups
	VZEROUPPER
	RET

// PIECES is hasPiece for four blocks. Y14 has the lowest seven bits, Y13 all.
#define PIECES(at, bits) \
	VMOVDQU   at(R8)(BX*8), Y0     \
	VMOVDQU   (at+8)(R8)(BX*8), Y1 \
	VPSRLQ    $1, Y0, Y2           \
	VPSLLQ    $63, Y1, Y3          \
	VPOR      Y2, Y3, Y2           \
	VPAND     Y0, Y2, Y2           \
	VPSRLQ    $1, Y1, Y3           \
	VPAND     Y1, Y3, Y3           \
	VPSLLQ    $62, Y3, Y3          \
	VPSRLQ    $2, Y2, Y4           \
	VPOR      Y3, Y4, Y3           \
	VPAND     Y2, Y3, Y2           \
	VPSRLQ    $4, Y0, Y3           \
	VPSLLQ    $60, Y1, Y4          \
	VPOR      Y3, Y4, Y3           \
	VPAND     Y2, Y3, Y2           \
	VPXOR     at(R9)(BX*8), Y13, Y3 \
	VPSRLQ    $1, Y3, Y4           \
	VPSRLQ    $2, Y3, Y5           \
	VPOR      Y4, Y5, Y4           \
	VPSRLQ    $3, Y3, Y5           \
	VPOR      Y4, Y5, Y4           \
	VPANDN    Y0, Y4, Y0           \
	VMOVDQU   at(R13)(BX*8), Y3    \
	VPSLLQ    $2, Y3, Y3           \
	VPSLLQ    $1, Y3, Y4           \
	VPOR      Y3, Y4, Y3           \
	VPSLLQ    $2, Y3, Y4           \
	VPSLLQ    $4, Y3, Y5           \
	VPOR      Y4, Y5, Y4           \
	VPOR      Y3, Y4, Y3           \
	VMOVDQU   at(R12)(BX*8), Y4    \
	VPSLLQ    $1, Y4, Y4           \
	VPOR      Y3, Y4, Y3           \
	VPOR      Y14, Y3, Y3          \
	VPAND     Y0, Y3, Y0           \
	VPOR      Y0, Y2, Y0           \
	VPOR      at(R10)(BX*8), Y0, Y0 \
	VPOR      at(R11)(BX*8), Y0, Y0 \
	FOUND(Y0, bits)

// func piecesAVX2(dst *uint8, n int, m *marks, c *codeMarks)
TEXT ·piecesAVX2(SB), NOSPLIT, $0-32
	MOVQ  dst+0(FP), DI
	MOVQ  n+8(FP), CX
	MOVQ  m+16(FP), AX
	MOVQ  c+24(FP), DX
	MOVQ  marks_digit(AX), R8
	MOVQ  marks_graph(AX), R9
	MOVQ  codeMarks_movabs(DX), R10
	MOVQ  codeMarks_load(DX), R11
	MOVQ  codeMarks_near(DX), R12
	MOVQ  codeMarks_far(DX), R13
	XORQ  BX, BX
	VPXOR Y15, Y15, Y15
	BROADCAST($0x7f, X14, Y14)
	VPCMPEQW Y13, Y13, Y13

groups:
	PIECES(0, AX)
	PIECES(32, DX)
	BYTE
	JNZ groups
	VZEROUPPER
	RET

// CONSTANTS is hasConstant for four blocks. Y14 has the highest seven bits, Y13 all, Y12 the pattern.
#define CONSTANTS(at, bits) \
	VMOVDQU at(R10)(BX*8), Y0  \
	VPSRLQ  $1, Y0, Y1         \
	VPOR    Y0, Y1, Y0         \
	VPSRLQ  $2, Y0, Y1         \
	VPOR    Y0, Y1, Y0         \
	VPSRLQ  $4, Y0, Y1         \
	VPOR    Y0, Y1, Y0         \
	VPOR    Y14, Y0, Y0        \
	VPAND   at(R8)(BX*8), Y0, Y0  \
	VPXOR   at(R9)(BX*8), Y13, Y1 \
	VPSRLQ  $1, Y1, Y2         \
	VPOR    Y1, Y2, Y1         \
	VPSRLQ  $2, Y1, Y2         \
	VPOR    Y1, Y2, Y1         \
	VPSRLQ  $4, Y1, Y2         \
	VPOR    Y1, Y2, Y1         \
	VPXOR   Y13, Y1, Y1        \
	VPOR    Y0, Y1, Y0         \
	VPAND   Y12, Y0, Y0        \
	FOUND(Y0, bits)

// func constantsAVX2(dst *uint8, n int, m *marks, first int, pattern uint64)
TEXT ·constantsAVX2(SB), NOSPLIT, $0-40
	MOVQ  dst+0(FP), DI
	MOVQ  n+8(FP), CX
	MOVQ  m+16(FP), AX
	MOVQ  first+24(FP), BX
	MOVQ  marks_digit(AX), R8
	MOVQ  marks_graph(AX), R9
	MOVQ  marks_edge(AX), R10
	VPXOR Y15, Y15, Y15
	BROADCAST($0xfe00000000000000, X14, Y14)
	VPCMPEQW Y13, Y13, Y13
	VPBROADCASTQ pattern+32(FP), Y12

groups:
	CONSTANTS(0, AX)
	CONSTANTS(32, DX)
	BYTE
	JNZ groups
	VZEROUPPER
	RET
