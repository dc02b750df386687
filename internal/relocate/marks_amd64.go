package relocate

import "golang.org/x/sys/cpu"

// markBlocks needs one more byte than the blocks have.
func (k *kinds) markBlocks(dst []marks, b []byte) {
	_ = b[len(dst)*block]
	switch {
	case cpu.X86.HasAVX512BW:
		markAVX512(&dst[0], &b[0], len(dst), k)
	case cpu.X86.HasAVX2:
		markAVX2(&dst[0], &b[0], len(dst), k)
	default:
		k.markPlainly(dst, b)
	}
}

func (k *kinds) markCodeBlocks(dst []codeMarks, b []byte) {
	_ = b[len(dst)*block]
	if cpu.X86.HasAVX2 {
		markCodeAVX2(&dst[0], &b[0], len(dst), k)
		return
	}
	k.markCodePlainly(dst, b)
}

// markAVX512 marks n blocks, n being at least one.
//
//go:noescape
func markAVX512(dst *marks, src *byte, n int, k *kinds)

// markAVX2 does the same.
//
//go:noescape
func markAVX2(dst *marks, src *byte, n int, k *kinds)

//go:noescape
func markCodeAVX2(dst *codeMarks, src *byte, n int, k *kinds)
