//go:build !amd64

package relocate

func (m *marks) texts(dst []uint8, rows []uint64) {
	plainly(dst, func(i int) bool { return m.hasText(i, rows) })
}

func (m *marks) pieces(dst []uint8, c *codeMarks) {
	plainly(dst, func(i int) bool { return m.hasPiece(c, i) })
}

func (m *marks) constants(dst []uint8, first int, pattern uint64) {
	plainly(dst, func(i int) bool { return m.hasConstant(first+i, pattern) })
}
