package relocate

import (
	"bytes"
	"slices"
)

// Most bytes are no part of anything that is looked for. So blocks of 64 bytes are looked at as a whole first: what
// kind each byte is of, as one bit of a word. What is sought shows in those words, and only there the bytes are read.

// block is how many bytes one word stands for.
const block = 64

// marks are what the bytes of some blocks are: a word for each block, whose lowest bit is its first byte. Behind them
// are words of nothing, since words are looked at together with the next one, and several at once.
type marks struct {
	n     int      // blocks
	digit []uint64 // of Nix's base 32
	graph []uint64 // 0x21 to 0x7f: no store path has any other
	zero  []uint64
	edge  []uint64 // '/' and '-': what is beside a hash part; nil if nobody asks
	pair  []uint64 // the first of two bytes of [kinds]
}

// codeMarks are the same for machine code of x86-64.
type codeMarks struct {
	movabs []uint64 // the first of two bytes that are REX.W B8+r
	load   []uint64 // the first of two that may be a vector instruction's opcode with an operand elsewhere in the file
	near   []uint64 // opcodes of instructions that have an operand of up to four bytes right behind them
	far    []uint64 // and of those that have other bytes in between
}

// kinds are the tables by which bytes are told apart, in the form in which they are compared with 32 bytes at once.
// A byte is of a kind if the kind's bit is set for its lower four bits, and for its upper ones.
type kinds struct {
	edges             bool      // are marked
	first, second     [128]byte // the kinds of each byte as the first and as the second of two, for machines that can look up as much
	low, high         vector    // digits, edges, and the first of pairs
	low2, high2       vector    // the second of pairs
	codeLow, codeHigh vector

	nibble, space                 vector
	digitBits, edgeBits           vector
	farBits, nearBits             vector
	rexBits, opBits               vector
	mask, b8, modrmBits, anywhere vector // of the second byte of code
}

// The bits of kinds. Digits have three values of the upper four bits, and so three bits. Pairs have one each, opcodes
// one for each value of the upper four bits.
const (
	digitBit = 0
	edgeBit  = 3
	pairBit  = 4

	farBit    = 0
	equalsBit = 1
	b8Bit     = 2
	rexBit    = 3
	opBit     = 4
)

var (
	// vectorOps are the opcodes of instructions of the map 0F that read sixteen bytes or a part of them: moves, and
	// those that compare.
	vectorOps = []byte{0x10, 0x28, 0x6f, 0x74, 0x75, 0x76}
	// farOps are opcodes that have ModRM behind them, and then perhaps more, before an operand: the first two. The
	// others have the same bit.
	farOps = []byte{0xc7, 0x81, 0xc1, 0x87}
)

type vector [32]byte

// maxPairs is how many pairs of bytes are looked for at once.
const maxPairs = 4

func every(c byte) (v vector) {
	for i := range v {
		v[i] = c
	}
	return v
}

// kind adds a byte to those that have a bit.
func kind(low, high *vector, c byte, bit int) {
	for _, i := range []int{0, 16} {
		low[i+int(c&15)] |= 1 << bit
		high[i+int(c>>4)] |= 1 << bit
	}
}

// newKinds makes the tables for some pairs of bytes, none of which a path cannot have.
func newKinds(pairs [][2]byte, edges bool) *kinds {
	k := &kinds{
		edges:  edges,
		nibble: every(0x0f), space: every(0x20),
		digitBits: every(7 << digitBit), edgeBits: every(1 << edgeBit),
		farBits: every(1 << farBit), nearBits: every(1<<equalsBit | 1<<b8Bit), rexBits: every(1 << rexBit), opBits: every(15 << opBit),
		mask: every(0xf8), b8: every(0xb8), modrmBits: every(0xc7), anywhere: every(0x05),
	}
	for c := range 256 {
		if isBase32[c] {
			kind(&k.low, &k.high, byte(c), digitBit+map[int]int{3: 0, 6: 1, 7: 2}[c>>4])
		}
	}
	kind(&k.low, &k.high, '/', edgeBit)
	kind(&k.low, &k.high, '-', edgeBit)
	for i := range maxPairs {
		p := pairs[min(i, len(pairs)-1)]
		kind(&k.low, &k.high, p[0], pairBit+i)
		kind(&k.low2, &k.high2, p[1], pairBit+i)
	}
	for c := range k.first {
		k.first[c], k.second[c] = k.low[c&15]&k.high[c>>4], k.low2[c&15]&k.high2[c>>4]
	}
	for _, op := range farOps {
		kind(&k.codeLow, &k.codeHigh, op, farBit)
	}
	kind(&k.codeLow, &k.codeHigh, '=', equalsBit)
	for i := range byte(8) {
		kind(&k.codeLow, &k.codeHigh, 0xb8+i, b8Bit)
		kind(&k.codeLow, &k.codeHigh, 0x48+i, rexBit)
	}
	for _, op := range vectorOps {
		kind(&k.codeLow, &k.codeHigh, op, opBit+map[byte]int{1: 0, 2: 1, 6: 2, 7: 3}[op>>4])
	}
	return k
}

// resize makes room for the words of n blocks.
func resize(words []uint64, n int) []uint64 {
	words = slices.Grow(words[:0], n+together)[:n+together]
	clear(words[n:])
	return words
}

func blocks(b []byte) int { return (len(b) + block - 1) / block }

// mark marks all of b, the last block of which may be short.
func (k *kinds) mark(m *marks, b []byte) {
	m.n = blocks(b)
	for _, words := range []*[]uint64{&m.digit, &m.graph, &m.zero, &m.pair} {
		*words = resize(*words, m.n)
	}
	if k.edges {
		m.edge = resize(m.edge, m.n)
	} else {
		m.edge = nil // which is what the marking goes by
	}
	k.markFrom(m, 0, b)
}

// markFrom marks what is from a block on.
func (k *kinds) markFrom(m *marks, first int, b []byte) {
	n := whole(b)
	if n > 0 {
		k.markBlocks(m, first, n, b)
	}
	if n < blocks(b) {
		last := lastOf(b[n*block:])
		k.markBlocks(m, first+n, 1, last[:])
	}
}

// markCode marks all of b as machine code.
func (k *kinds) markCode(m *codeMarks, b []byte) {
	for _, words := range []*[]uint64{&m.movabs, &m.load, &m.near, &m.far} {
		*words = resize(*words, blocks(b))
	}
	n := whole(b)
	if n > 0 {
		k.markCodeBlocks(m, 0, n, b)
	}
	if n < blocks(b) {
		last := lastOf(b[n*block:])
		k.markCodeBlocks(m, n, 1, last[:])
	}
}

// whole is how many blocks of b have one more byte behind them.
func whole(b []byte) int { return max(0, len(b)-1) / block }

// lastOf is the last block of all, with zeros behind it.
func lastOf(b []byte) (last [block + 1]byte) {
	copy(last[:], b)
	return last
}

// markPlainly marks n blocks byte by byte: for machines that cannot do more at once, and for tests.
// One more byte than the blocks have is looked at.
func (k *kinds) markPlainly(m *marks, first, n int, b []byte) {
	for i := range n {
		var digit, graph, zero, edge, pair uint64
		for j := range block {
			c, next, bit := b[i*block+j], b[i*block+j+1], uint64(1)<<j
			if isBase32[c] {
				digit |= bit
			}
			if c > 0x20 && c < 0x80 {
				graph |= bit
			}
			if c == 0 {
				zero |= bit
			}
			if c == '/' || c == '-' {
				edge |= bit
			}
			if k.low[c&15]&k.high[c>>4]&k.low2[next&15]&k.high2[next>>4] != 0 {
				pair |= bit
			}
		}
		at := first + i
		m.digit[at], m.graph[at], m.zero[at], m.pair[at] = digit, graph, zero, pair
		if m.edge != nil {
			m.edge[at] = edge
		}
	}
}

// markCodePlainly does so for machine code.
func markCodePlainly(m *codeMarks, first, n int, b []byte) {
	for i := range n {
		var movabs, load, near, far uint64
		for j := range block {
			c, next, bit := b[i*block+j], b[i*block+j+1], uint64(1)<<j
			if c&0xf8 == 0x48 && next&0xf8 == 0xb8 {
				movabs |= bit
			}
			if bytes.IndexByte(vectorOps, c) >= 0 && next&0xc7 == 0x05 {
				load |= bit
			}
			if c == '=' || c&0xf8 == 0xb8 {
				near |= bit
			}
			if bytes.IndexByte(farOps, c) >= 0 {
				far |= bit
			}
		}
		at := first + i
		m.movabs[at], m.load[at], m.near[at], m.far[at] = movabs, load, near, far
	}
}
