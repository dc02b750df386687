package relocate

import (
	"bytes"
	"slices"
)

// Most bytes are no part of anything that is looked for. So blocks of 64 bytes are looked at as a whole first: what
// kind each byte is of, as one bit of a word. What is sought shows in those words, and only there the bytes are read.

// block is how many bytes one word stands for.
const block = 64

// marks are what the bytes of a block are. The first byte is the lowest bit.
type marks struct {
	digit uint64 // of Nix's base 32
	graph uint64 // 0x21 to 0x7f: no store path has any other
	zero  uint64
	pair  uint64 // the first of two bytes of [kinds]
}

// codeMarks are the same for machine code of x86-64.
type codeMarks struct {
	op     uint64 // 0x80 and more, or '=': what stands in front of operands of up to four bytes
	movabs uint64 // the first of two bytes that are REX.W B8+r
	load   uint64 // the first of two that may be a vector instruction's opcode with an operand elsewhere in the file
}

// kinds are the tables by which bytes are told apart: by their lower and upper four bits, in the form in which
// they are compared with 32 bytes at once.
type kinds struct {
	low, high, nibble, space vector
	first, second            [maxPairs]vector
	equals, mask, rex, b8    vector
	opLow, opHigh            vector // opcodes
	modrm, elsewhere         vector
}

// vectorOps are the opcodes of instructions of the map 0F that read sixteen bytes or a part of them: moves, and those
// that compare. All are below 0x80.
var vectorOps = []byte{0x10, 0x28, 0x6f, 0x74, 0x75, 0x76}

type vector [32]byte

// maxPairs is how many pairs of bytes are looked for at once.
const maxPairs = 4

func every(c byte) (v vector) {
	for i := range v {
		v[i] = c
	}
	return v
}

// newKinds makes the tables for some pairs of bytes.
func newKinds(pairs [][2]byte) *kinds {
	k := &kinds{
		nibble: every(0x0f), space: every(0x20),
		equals: every('='), mask: every(0xf8), rex: every(0x48), b8: every(0xb8),
		modrm: every(0xc7), elsewhere: every(0x05),
	}
	// Each value of the upper four bits is a bit here, too.
	for _, op := range vectorOps {
		for i := range k.opLow {
			if i%16 == int(op&15) {
				k.opLow[i] |= 1 << (op >> 4)
			}
			if i%16 == int(op>>4) {
				k.opHigh[i] |= 1 << (op >> 4)
			}
		}
	}
	// Digits have three values of the upper four bits. Each is a bit, set for those lower ones that go with it.
	for bit, high := range []int{3, 6, 7} {
		for i := range k.high {
			if i%16 == high {
				k.high[i] |= 1 << bit
			}
			if isBase32[high<<4|i%16] {
				k.low[i] |= 1 << bit
			}
		}
	}
	for i := range maxPairs {
		p := pairs[min(i, len(pairs)-1)]
		k.first[i], k.second[i] = every(p[0]), every(p[1])
	}
	return k
}

// mark appends the marks of b, one for each block, the last of which may be short.
func (k *kinds) mark(dst []marks, b []byte) []marks {
	start, whole, n := len(dst), max(0, len(b)-1)/block, (len(b)+block-1)/block
	dst = slices.Grow(dst, n)[:start+n]
	if whole > 0 {
		k.markBlocks(dst[start:start+whole], b)
	}
	if whole < n {
		var rest [block + 1]byte
		copy(rest[:], b[whole*block:])
		k.markBlocks(dst[start+whole:], rest[:])
	}
	return dst
}

// markCode does so for machine code.
func (k *kinds) markCode(dst []codeMarks, b []byte) []codeMarks {
	start, whole, n := len(dst), max(0, len(b)-1)/block, (len(b)+block-1)/block
	dst = slices.Grow(dst, n)[:start+n]
	if whole > 0 {
		k.markCodeBlocks(dst[start:start+whole], b)
	}
	if whole < n {
		var rest [block + 1]byte
		copy(rest[:], b[whole*block:])
		k.markCodeBlocks(dst[start+whole:], rest[:])
	}
	return dst
}

// markPlainly is what [kinds.mark] has to give, byte by byte: for machines that cannot do more at once, and for tests.
// One more byte than the blocks have is looked at.
func (k *kinds) markPlainly(dst []marks, b []byte) {
	for i := range dst {
		m := marks{}
		for j := range block {
			c, next, bit := b[i*block+j], b[i*block+j+1], uint64(1)<<j
			if isBase32[c] {
				m.digit |= bit
			}
			if c > 0x20 && c < 0x80 {
				m.graph |= bit
			}
			if c == 0 {
				m.zero |= bit
			}
			for p := range maxPairs {
				if c == k.first[p][0] && next == k.second[p][0] {
					m.pair |= bit
				}
			}
		}
		dst[i] = m
	}
}

// markCodePlainly is the same for [kinds.markCode].
func (k *kinds) markCodePlainly(dst []codeMarks, b []byte) {
	for i := range dst {
		m := codeMarks{}
		for j := range block {
			c, next, bit := b[i*block+j], b[i*block+j+1], uint64(1)<<j
			if c >= 0x80 || c == '=' {
				m.op |= bit
			}
			if c&0xf8 == 0x48 && next&0xf8 == 0xb8 {
				m.movabs |= bit
			}
			if bytes.IndexByte(vectorOps, c) >= 0 && next&0xc7 == 0x05 {
				m.load |= bit
			}
		}
		dst[i] = m
	}
}
