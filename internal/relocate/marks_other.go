//go:build !amd64

package relocate

func (k *kinds) markBlocks(m *marks, first, n int, b []byte) { k.markPlainly(m, first, n, b) }

func (k *kinds) markCodeBlocks(m *codeMarks, first, n int, b []byte) { markCodePlainly(m, first, n, b) }
