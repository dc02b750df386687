package relocate

import (
	"math/bits"
	"slices"
)

// span is a stretch of a buffer.
type span struct{ from, to int }

// places are where in a buffer something may be that is looked for. No place is left out; most turn out to be nothing.
type places struct {
	marks  []marks
	code   []codeMarks
	pairs  []int  // where a pair of [kinds] is
	hashes []span // where a hash part may begin
	base64 []span // what may be part of base64
	wide   []int  // eight bytes, letters with zeros in between perhaps
	runs   []int  // where five digits or more begin, with no digit in front
	movabs []int  // operands of eight bytes
	loads  []int  // vector instructions that may load a constant
	lasts  []int  // four bytes, an operand and the end of a hash part perhaps
}

// sixteen says which of the four quarters of a word are full.
func sixteen(x uint64) uint64 {
	x &= x >> 1
	x &= x >> 2
	x &= x >> 4
	x &= x >> 8
	return x & 0x0001000100010001
}

// zigzag says of which of eight times eight bytes every second one is zero, and two that are four apart are not.
func zigzag(zero uint64) uint64 {
	x := zero & (zero >> 2)
	x &= x >> 4 // the lowest two bits: all at even places, all at odd places
	if x = (x ^ x>>1) & 0x0101010101010101; x == 0 {
		return 0
	}
	letters := ^zero & (^zero >> 4) // the lowest four bits
	letters |= letters >> 2
	return x & (letters | letters>>1)
}

// mark marks b.
func (p *places) mark(k *kinds, b []byte) { p.marks = k.mark(p.marks[:0], b) }

// texts finds places of texts in b, and of base64 if that is asked for.
func (p *places) texts(k *kinds, b []byte, base64 bool) {
	p.mark(k, b)
	p.pairs, p.hashes, p.base64, p.wide = p.pairs[:0], p.hashes[:0], p.base64[:0], p.wide[:0]
	for i := range p.marks {
		m, at := &p.marks[i], i*block
		if m.pair != 0 {
			p.pairs = places64(p.pairs, at, m.pair)
		}
		// Of a hash part's 32 digits, 16 fill a quarter of a block; so do those of a line of base64.
		if x := sixteen(m.graph); x != 0 {
			if base64 {
				p.lines(i, x)
			}
			for x := sixteen(m.digit); x != 0; x &= x - 1 {
				q := at + bits.TrailingZeros64(x)
				p.hashes = extend(p.hashes, q-16, q+1)
			}
		}
		if x := zigzag(m.zero); x != 0 {
			p.wide = places64(p.wide, at, x)
		}
	}
}

// lines notes which full quarters of block i may be part of base64.
func (p *places) lines(i int, full uint64) {
	for ; full != 0; full &= full - 1 {
		q := bits.TrailingZeros64(full)
		if p.graphs(i, q) >= minLine {
			p.base64 = extend(p.base64, i*block+q-32, i*block+q+32)
		}
	}
}

// graphs is how many letters are in a row with the full quarter at q of block i. It looks no further than one block.
func (p *places) graphs(i, q int) int {
	gaps := ^p.marks[i].graph
	left := min(q, bits.LeadingZeros64(gaps<<(block-q)))
	right := min(block-q, bits.TrailingZeros64(gaps>>q))
	if left == q && i > 0 {
		left += bits.LeadingZeros64(^p.marks[i-1].graph)
	}
	if right == block-q && i+1 < len(p.marks) {
		right += bits.TrailingZeros64(^p.marks[i+1].graph)
	}
	return left + right
}

// again marks what was changed in [from, to) of b.
func (p *places) again(k *kinds, b []byte, from, to int) {
	if from >= to {
		return
	}
	from, to = max(0, from-1)/block, (to+block-1)/block
	if to*block < len(b) {
		k.markBlocks(p.marks[from:to], b[from*block:])
		return
	}
	k.mark(p.marks[:from], b[from*block:])
}

// pieces finds places of pieces of texts in machine code. b has to be marked as it is.
func (p *places) pieces(k *kinds, b []byte) {
	p.code = k.markCode(p.code[:0], b)
	p.runs, p.movabs, p.lasts, p.loads = p.runs[:0], p.movabs[:0], p.lasts[:0], p.loads[:0]
	var before, op uint64 // of the block before: where five digits begin, and what stands in front of operands
	for i := range p.marks {
		m, c, at := &p.marks[i], &p.code[i], i*block
		if c.movabs != 0 {
			p.movabs = places64(p.movabs, at+2, c.movabs)
		}
		if c.load != 0 {
			p.loads = places64(p.loads, at, c.load)
		}
		opBefore := op
		op = c.op
		var next marks
		if i+1 < len(p.marks) {
			next = p.marks[i+1]
		}
		two := m.graph & (m.graph>>1 | next.graph<<63)
		four := m.digit & two & (two>>2 | (next.graph&(next.graph>>1))<<62)
		if four == 0 { // then there are no five digits, either
			before = 0
			continue
		}
		if x := four & seven(op, opBefore); x != 0 {
			p.lasts = places64(p.lasts, at, x)
		}
		five := fives(m.digit, next.digit)
		if x := five &^ (five<<1 | before>>63); x != 0 {
			p.runs = places64(p.runs, at, x)
		}
		before = five
	}
}

// threes calls f with those of every sixteenth place, with one of them at first, which three bytes are at that texts
// have. They are in [from, to).
func (p *places) threes(first, from, to int, f func(at int)) {
	pattern := uint64(0x0001000100010001) << (first & 15)
	for i := from / block; i < len(p.marks) && i*block < to; i++ {
		x := p.marks[i].graph
		if x&pattern == 0 {
			continue
		}
		var next uint64
		if i+1 < len(p.marks) {
			next = p.marks[i+1].graph
		}
		for x &= (x>>1 | next<<63) & (x>>2 | next<<62) & pattern; x != 0; x &= x - 1 {
			if at := i*block + bits.TrailingZeros64(x); at >= from && at < to {
				f(at)
			}
		}
	}
}

// fives says where five bits in a row begin.
func fives(x, next uint64) uint64 {
	two := x & (x>>1 | next<<63)
	four := two & (two>>2 | (next&(next>>1))<<62)
	return four & (x>>4 | next<<60)
}

// seven says which bits have one of the seven before them set.
func seven(x, before uint64) uint64 {
	y := x | x<<1
	y |= y << 2
	y |= y << 3
	z := before >> 57
	z |= z >> 1
	z |= z >> 2
	z |= z >> 4
	return y<<1 | z
}

// places64 appends where the bits of a word are.
func places64(list []int, at int, x uint64) []int {
	for ; x != 0; x &= x - 1 {
		list = append(list, at+bits.TrailingZeros64(x))
	}
	return list
}

// extend appends a span, or makes the last one longer.
func extend(list []span, from, to int) []span {
	if n := len(list); n > 0 && from <= list[n-1].to {
		list[n-1].to = max(list[n-1].to, to)
		return list
	}
	return append(list, span{from, to})
}

// between returns those of ordered places that are in [from, to).
func between(list []int, from, to int) []int {
	i, _ := slices.BinarySearch(list, from)
	j, _ := slices.BinarySearch(list[i:], to)
	return list[i : i+j]
}
