package relocate

import (
	"math/bits"
	"slices"
)

// span is a stretch of a buffer.
type span struct{ from, to int }

// places are where in a buffer something may be that is looked for. No place is left out; most turn out to be nothing.
type places struct {
	marks  marks
	code   codeMarks
	busy   []uint8 // blocks to be looked at, eight in each
	pairs  []int   // where a pair of [kinds] is
	hashes []span  // where a hash part may begin
	base64 []span  // what may be part of base64
	wide   []int   // eight bytes, letters with zeros in between perhaps
	runs   []int   // where digits begin, with none in front, of which a window has enough perhaps
	movabs []int   // operands of eight bytes
	loads  []int   // vector instructions that may load a constant
	lasts  []int   // four bytes, an operand and the end of a hash part perhaps
}

// mark marks b.
func (p *places) mark(k *kinds, b []byte) { k.mark(&p.marks, b) }

// room makes room for n blocks that may be busy.
func (p *places) room(n int) []uint8 {
	n = (n + together - 1) / together
	p.busy = slices.Grow(p.busy[:0], n)[:n]
	return p.busy
}

// texts finds places of texts in b, and of base64 if that is asked for.
func (p *places) texts(k *kinds, b []byte, base64 bool) {
	p.mark(k, b)
	p.pairs, p.hashes, p.base64, p.wide = p.pairs[:0], p.hashes[:0], p.base64[:0], p.wide[:0]
	m := &p.marks
	// Of a hash part's 32 digits, 16 fill a quarter of a block; so do those of a line of base64.
	rows := m.digit
	if base64 {
		rows = m.graph
	}
	m.texts(p.room(m.n), rows)
	for g, set := range p.busy {
		for ; set != 0; set &= set - 1 {
			i := g*together + bits.TrailingZeros8(set)
			at := i * block
			if x := m.pair[i]; x != 0 {
				p.pairs = places64(p.pairs, at, x)
			}
			if x := zigzag(m.zero[i], m.graph[i]); x != 0 {
				p.wide = places64(p.wide, at, x)
			}
			for x := sixteen(m.digit[i]); x != 0; x &= x - 1 {
				q := at + bits.TrailingZeros64(x)
				p.hashes = extend(p.hashes, q-16, q+1)
			}
			if base64 {
				p.lines(i, sixteen(m.graph[i]))
			}
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
	graph := p.marks.graph
	gaps := ^graph[i]
	left := min(q, bits.LeadingZeros64(gaps<<(block-q)))
	right := min(block-q, bits.TrailingZeros64(gaps>>q))
	if left == q && i > 0 {
		left += bits.LeadingZeros64(^graph[i-1])
	}
	if right == block-q {
		right += bits.TrailingZeros64(^graph[i+1])
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
		k.markBlocks(&p.marks, from, to-from, b[from*block:])
		return
	}
	k.markFrom(&p.marks, from, b[from*block:])
}

// pieces finds places of pieces of texts in machine code. b has to be marked as it is.
func (p *places) pieces(k *kinds, b []byte) {
	k.markCode(&p.code, b)
	p.runs, p.movabs, p.lasts, p.loads = p.runs[:0], p.movabs[:0], p.lasts[:0], p.loads[:0]
	m, c := &p.marks, &p.code
	m.pieces(p.room(m.n), c)
	for g, set := range p.busy {
		for ; set != 0; set &= set - 1 {
			i := g*together + bits.TrailingZeros8(set)
			at := i * block
			if x := c.movabs[i]; x != 0 {
				p.movabs = places64(p.movabs, at+2, x)
			}
			if x := c.load[i]; x != 0 {
				p.loads = places64(p.loads, at, x)
			}
			if x := p.operands(i); x != 0 {
				p.lasts = places64(p.lasts, at, x)
			}
			if x := fives(m.digit[i], m.digit[i+1]); x != 0 {
				p.digits(i, x)
			}
		}
	}
}

// operands says where in block i a digit and three letters are, as an operand has them.
func (p *places) operands(i int) uint64 {
	graph, next := p.marks.graph[i], p.marks.graph[i+1]
	four := p.marks.digit[i] & (graph>>1 | next<<63) & (graph>>2 | next<<62) & (graph>>3 | next<<61)
	if four == 0 {
		return 0
	}
	far, near := p.code.far, p.code.near
	x := far[i]<<2 | far[i]<<3
	x |= x<<2 | x<<4
	y := before(far, i)>>57 | before(far, i)>>58
	y |= y>>2 | y>>4
	return four & (x | y | near[i]<<1 | before(near, i)>>63)
}

// digits notes where in block i digits begin of which a window of eight bytes has enough: eight of them, or five with an
// edge beside them. They are among those in five, where five begin.
func (p *places) digits(i int, five uint64) {
	digit, edge := p.marks.digit, p.marks.edge
	edges := edge[i]<<1 | before(edge, i)>>63 // in front
	for x := five &^ (digit[i]<<1 | before(digit, i)>>63); x != 0; x &= x - 1 {
		at := bits.TrailingZeros64(x)
		end := at + bits.TrailingZeros64(^(digit[i] >> at))
		if end-at >= window || end >= block || edge[i]>>end&1 != 0 || edges>>at&1 != 0 {
			p.runs = append(p.runs, i*block+at)
		}
	}
}

// before is the word in front of one.
func before(words []uint64, i int) uint64 {
	if i == 0 {
		return 0
	}
	return words[i-1]
}

// constants calls f with those of every sixteenth place, with one of them at first, that a constant with a piece of a
// text may begin at: with letters of which the first two are in a set, or with a digit. They are in [from, to) of b.
func (p *places) constants(b []byte, first, from, to int, begins pairSet, f func(at int)) {
	if from >= to {
		return
	}
	pattern := uint64(0x0001000100010001) << (first & 15)
	begin, end := from/block, (to+block-1)/block
	p.marks.constants(p.room(end-begin), begin, pattern)
	for g, set := range p.busy {
		for ; set != 0; set &= set - 1 {
			i := begin + g*together + bits.TrailingZeros8(set)
			letters, digits := p.marks.starts(i)
			for x := (letters | digits) & pattern; x != 0; x &= x - 1 {
				at := i*block + bits.TrailingZeros64(x)
				if at >= from && at < to && (digits&x&-x != 0 || begins.has(uint64(b[at])|uint64(b[at+1])<<8)) {
					f(at)
				}
			}
		}
	}
}

// starts says where in block i eight letters begin, or a digit is with an edge after seven more bytes at most.
func (m *marks) starts(i int) (letters, digits uint64) {
	letter, next := m.graph[i], m.graph[i+1]
	letter, next = letter&(letter>>1|next<<63), next&(next>>1)
	letter, next = letter&(letter>>2|next<<62), next&(next>>2)
	letter &= letter>>4 | next<<60
	edge, next := m.edge[i], m.edge[i+1]
	edge, next = edge|edge>>1|next<<63, next|next>>1
	edge, next = edge|edge>>2|next<<62, next|next>>2
	edge |= edge>>4 | next<<60
	return letter, m.digit[i] & edge
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
