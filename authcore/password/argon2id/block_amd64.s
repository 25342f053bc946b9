#include "textflag.h"

// The compression function G of Argon2 (RFC 9106, section 3.5) with AVX2, in
// two calls: see block_amd64.go.
//
// A register holds two pairs of words: the same pair of two neighbouring rows,
// or of two neighbouring columns. So P runs on two of them at once, and pairs
// never have to leave their half of a register, which would take longer.

// How the bytes of two words move when each word is rotated right by 24 and 16
// bits.
DATA rotate24<>+0(SB)/8, $0x0201000706050403
DATA rotate24<>+8(SB)/8, $0x0a09080f0e0d0c0b
GLOBL rotate24<>(SB), RODATA|NOPTR, $16

DATA rotate16<>+0(SB)/8, $0x0100070605040302
DATA rotate16<>+8(SB)/8, $0x09080f0e0d0c0b0a
GLOBL rotate16<>(SB), RODATA|NOPTR, $16

#define CONSTANTS \
	VBROADCASTI128 rotate24<>(SB), Y14 \
	VBROADCASTI128 rotate16<>(SB), Y15

// a += b + 2 * trunc(a) * trunc(b), for two registers each.
#define SUMS(a0, a1, b0, b1, t0, t1) \
	VPMULUDQ a0, b0, t0 \
	VPMULUDQ a1, b1, t1 \
	VPADDQ   b0, a0, a0 \
	VPADDQ   b1, a1, a1 \
	VPADDQ   t0, t0, t0 \
	VPADDQ   t1, t1, t1 \
	VPADDQ   t0, a0, a0 \
	VPADDQ   t1, a1, a1

// GB (RFC 9106, section 3.6) on a, b, c and d, two registers each.
#define QUARTERS(a0, a1, b0, b1, c0, c1, d0, d1, t0, t1) \
	SUMS(a0, a1, b0, b1, t0, t1) \
	VPXOR   a0, d0, d0 \
	VPXOR   a1, d1, d1 \
	VPSHUFD $0xB1, d0, d0 \
	VPSHUFD $0xB1, d1, d1 \
	SUMS(c0, c1, d0, d1, t0, t1) \
	VPXOR   c0, b0, b0 \
	VPXOR   c1, b1, b1 \
	VPSHUFB Y14, b0, b0 \
	VPSHUFB Y14, b1, b1 \
	SUMS(a0, a1, b0, b1, t0, t1) \
	VPXOR   a0, d0, d0 \
	VPXOR   a1, d1, d1 \
	VPSHUFB Y15, d0, d0 \
	VPSHUFB Y15, d1, d1 \
	SUMS(c0, c1, d0, d1, t0, t1) \
	VPXOR   c0, b0, b0 \
	VPXOR   c1, b1, b1 \
	VPADDQ  b0, b0, t0 \
	VPADDQ  b1, b1, t1 \
	VPSRLQ  $63, b0, b0 \
	VPSRLQ  $63, b1, b1 \
	VPXOR   t0, b0, b0 \
	VPXOR   t1, b1, b1

// P on the words v0 to v15, in pairs in Y0 to Y7; Y8 and Y9 are overwritten.
// For the diagonals we turn v0..v3, v8..v11 and v12..v15, the last by a change
// of names, and leave v4..v7, the last to be ready, as they are.
#define PERMUTE \
	QUARTERS(Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9) \
	VPALIGNR $8, Y1, Y0, Y8 \ // v3 v0
	VPALIGNR $8, Y0, Y1, Y1 \ // v1 v2
	VPALIGNR $8, Y4, Y5, Y9 \ // v9 v10
	VPALIGNR $8, Y5, Y4, Y5 \ // v11 v8
	QUARTERS(Y8, Y1, Y2, Y3, Y9, Y5, Y7, Y6, Y0, Y4) \
	VPALIGNR $8, Y8, Y1, Y0 \
	VPALIGNR $8, Y1, Y8, Y1 \
	VPALIGNR $8, Y5, Y9, Y4 \
	VPALIGNR $8, Y9, Y5, Y5

// One register of the input, kept for the end.
#define LOAD(offset, y) \
	VMOVDQU offset(SI), y \
	VPXOR   offset(DX), y, y \
	VMOVDQU y, offset(AX)

// The same where out takes part in what is kept.
#define LOADADD(offset, y) \
	VMOVDQU offset(SI), y \
	VPXOR   offset(DX), y, y \
	VPXOR   offset(DI), y, Y8 \
	VMOVDQU Y8, offset(AX)

// From two registers of two pairs of one row each, to two of one pair of both
// rows each; x is the lower half of y1.
#define PAIR(y0, y1, x1, lower, upper) \
	VINSERTI128 $1, x1, y0, lower \
	VPERM2I128  $0x31, y1, y0, upper

// One pair of row 2q in columns i and i+1, and the same of row 2q+1. BX is at
// mixed, 32 bytes on for each column.
#define GATHER(q, x0, y0, x1, y1) \
	VMOVDQU     (q*256)(BX), x0 \
	VINSERTI128 $1, (q*256+32)(BX), y0, y0 \
	VMOVDQU     (q*256+16)(BX), x1 \
	VINSERTI128 $1, (q*256+48)(BX), y1, y1

#define FINISH(row, y) \
	VPXOR   (row*128)(AX), y, y \
	VMOVDQU y, (row*128)(DI)

// Two columns, from mixed and kept to out; on to the next two.
#define COLUMNS \
	GATHER(0, X0, Y0, X1, Y1) \
	GATHER(1, X2, Y2, X3, Y3) \
	GATHER(2, X4, Y4, X5, Y5) \
	GATHER(3, X6, Y6, X7, Y7) \
	PERMUTE \
	FINISH(0, Y0) \
	FINISH(1, Y1) \
	FINISH(2, Y2) \
	FINISH(3, Y3) \
	FINISH(4, Y4) \
	FINISH(5, Y5) \
	FINISH(6, Y6) \
	FINISH(7, Y7)

// func mixBegin(s *scratch, out, prev, ref *block, add bool)
TEXT ·mixBegin(SB), NOSPLIT, $0-33
	MOVQ s+0(FP), AX
	MOVQ out+8(FP), DI
	MOVQ prev+16(FP), SI
	MOVQ ref+24(FP), DX
	MOVBLZX add+32(FP), R8
	LEAQ 1024(AX), BX // mixed
	CONSTANTS
	MOVQ $4, CX

rows:
	TESTL R8, R8
	JNZ   loadadd
	LOAD(0, Y10)
	LOAD(32, Y11)
	LOAD(64, Y12)
	LOAD(96, Y13)
	LOAD(128, Y1)
	LOAD(160, Y3)
	LOAD(192, Y5)
	LOAD(224, Y7)
	JMP   permute

loadadd:
	LOADADD(0, Y10)
	LOADADD(32, Y11)
	LOADADD(64, Y12)
	LOADADD(96, Y13)
	LOADADD(128, Y1)
	LOADADD(160, Y3)
	LOADADD(192, Y5)
	LOADADD(224, Y7)

permute:
	PAIR(Y10, Y1, X1, Y0, Y1)
	PAIR(Y11, Y3, X3, Y2, Y3)
	PAIR(Y12, Y5, X5, Y4, Y5)
	PAIR(Y13, Y7, X7, Y6, Y7)
	PERMUTE
	VMOVDQU Y0, 0(BX)
	VMOVDQU Y1, 32(BX)
	VMOVDQU Y2, 64(BX)
	VMOVDQU Y3, 96(BX)
	VMOVDQU Y4, 128(BX)
	VMOVDQU Y5, 160(BX)
	VMOVDQU Y6, 192(BX)
	VMOVDQU Y7, 224(BX)
	ADDQ $256, AX
	ADDQ $256, BX
	ADDQ $256, SI
	ADDQ $256, DX
	ADDQ $256, DI
	DECQ CX
	JNZ  rows

	SUBQ $1024, AX
	SUBQ $1024, BX
	SUBQ $1024, DI
	COLUMNS
	VZEROUPPER
	RET

// func mixEnd(s *scratch, out, next *block)
TEXT ·mixEnd(SB), NOSPLIT, $0-24
	MOVQ s+0(FP), AX
	MOVQ out+8(FP), DI
	MOVQ next+16(FP), DX
	LEAQ (1024+64)(AX), BX // mixed, from the third column on
	ADDQ $32, AX
	ADDQ $32, DI
	PREFETCHT0 0(DX)
	PREFETCHT0 64(DX)
	PREFETCHT0 128(DX)
	PREFETCHT0 192(DX)
	PREFETCHT0 256(DX)
	PREFETCHT0 320(DX)
	PREFETCHT0 384(DX)
	PREFETCHT0 448(DX)
	PREFETCHT0 512(DX)
	PREFETCHT0 576(DX)
	PREFETCHT0 640(DX)
	PREFETCHT0 704(DX)
	PREFETCHT0 768(DX)
	PREFETCHT0 832(DX)
	PREFETCHT0 896(DX)
	PREFETCHT0 960(DX)
	CONSTANTS
	MOVQ $3, CX

columns:
	COLUMNS
	ADDQ $64, BX
	ADDQ $32, AX
	ADDQ $32, DI
	DECQ CX
	JNZ  columns
	VZEROUPPER
	RET
