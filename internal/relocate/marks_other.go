//go:build !amd64

package relocate

func (k *kinds) markBlocks(dst []marks, b []byte) { k.markPlainly(dst, b) }

func (k *kinds) markCodeBlocks(dst []codeMarks, b []byte) { k.markCodePlainly(dst, b) }
