package relocate

// Words are looked at together too: of those of eight blocks one byte says in which blocks something may be.

// together is how many blocks have one byte.
const together = 8

// sixteen says which of the four quarters of a word are full.
func sixteen(x uint64) uint64 {
	x &= x >> 1
	x &= x >> 2
	x &= x >> 4
	x &= x >> 8
	return x & 0x0001000100010001
}

// zigzag says of which of eight times eight bytes every second one is zero, and two that are four apart are letters.
func zigzag(zero, letter uint64) uint64 {
	x := zero & (zero >> 2)
	x &= x >> 4 // the lowest two bits: all at even places, all at odd places
	if x = (x ^ x>>1) & 0x0101010101010101; x == 0 {
		return 0
	}
	letters := letter & (letter >> 4) // the lowest four bits
	letters |= letters >> 2
	return x & (letters | letters>>1)
}

// fives says where five bits in a row begin.
func fives(x, next uint64) uint64 {
	two := x & (x>>1 | next<<63)
	four := two & (two>>2 | (next&(next>>1))<<62)
	return four & (x>>4 | next<<60)
}

// hasText says whether in block i there may be a directory, letters with zeros in between, or sixteen of some kind
// that fill a quarter.
func (m *marks) hasText(i int, rows []uint64) bool {
	return m.pair[i]|zigzag(m.zero[i], m.graph[i])|sixteen(rows[i]) != 0
}

// hasPiece says whether in block i there may be an instruction with a piece of a text, or a piece. What goes on in the
// next block, and what began in the one before, is assumed to be there.
func (m *marks) hasPiece(c *codeMarks, i int) bool {
	gap := ^m.graph[i]
	four := m.digit[i] &^ (gap>>1 | gap>>2 | gap>>3)
	operand := c.near[i]<<1 | 0x7f
	for d := 2; d < window; d++ {
		operand |= c.far[i] << d
	}
	return c.movabs[i]|c.load[i]|fives(m.digit[i], m.digit[i+1])|four&operand != 0
}

// hasConstant says whether in block i, at a place of a pattern, there may be the beginning of a constant: eight letters,
// or a digit with an edge after seven more bytes at most. What goes on in the next block is assumed to be there.
func (m *marks) hasConstant(i int, pattern uint64) bool {
	var gap, edge uint64 = 0, 0x7f << 57
	for d := range window {
		gap |= ^m.graph[i] >> d
		edge |= m.edge[i] >> d
	}
	return (m.digit[i]&edge|^gap)&pattern != 0
}

// plainly asks about blocks one by one.
func plainly(dst []uint8, has func(i int) bool) {
	for g := range dst {
		dst[g] = 0
		for j := range together {
			if has(g*together + j) {
				dst[g] |= 1 << j
			}
		}
	}
}
