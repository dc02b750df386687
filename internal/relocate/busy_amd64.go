package relocate

import "golang.org/x/sys/cpu"

// texts says of which blocks [marks.hasText] is true, eight for each byte of dst.
func (m *marks) texts(dst []uint8, rows []uint64) {
	if !cpu.X86.HasAVX2 || len(dst) == 0 {
		plainly(dst, func(i int) bool { return m.hasText(i, rows) })
		return
	}
	_ = rows[len(dst)*together-1]
	textsAVX2(&dst[0], len(dst), m, &rows[0])
}

// pieces does so for [marks.hasPiece].
func (m *marks) pieces(dst []uint8, c *codeMarks) {
	if !cpu.X86.HasAVX2 || len(dst) == 0 {
		plainly(dst, func(i int) bool { return m.hasPiece(c, i) })
		return
	}
	_, _ = m.digit[len(dst)*together], c.far[len(dst)*together-1]
	piecesAVX2(&dst[0], len(dst), m, c)
}

// constants does so for [marks.hasConstant], from one block on.
func (m *marks) constants(dst []uint8, first int, pattern uint64) {
	if !cpu.X86.HasAVX2 || len(dst) == 0 {
		plainly(dst, func(i int) bool { return m.hasConstant(first+i, pattern) })
		return
	}
	_ = m.edge[first+len(dst)*together-1]
	constantsAVX2(&dst[0], len(dst), m, first, pattern)
}

//go:noescape
func textsAVX2(dst *uint8, n int, m *marks, rows *uint64)

//go:noescape
func piecesAVX2(dst *uint8, n int, m *marks, c *codeMarks)

//go:noescape
func constantsAVX2(dst *uint8, n int, m *marks, first int, pattern uint64)
