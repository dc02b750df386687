package relocate

import "golang.org/x/sys/cpu"

// markBlocks marks n blocks, from one of the marks on. It needs one more byte than the blocks have.
func (k *kinds) markBlocks(m *marks, first, n int, b []byte) {
	_ = b[n*block]
	switch {
	case cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VBMI:
		markAVX512(m, first, &b[0], n, k)
	case cpu.X86.HasAVX2:
		markAVX2(m, first, &b[0], n, k)
	default:
		k.markPlainly(m, first, n, b)
	}
}

// markCodeBlocks does so for machine code.
func (k *kinds) markCodeBlocks(m *codeMarks, first, n int, b []byte) {
	_ = b[n*block]
	switch {
	case cpu.X86.HasAVX512BW:
		markCodeAVX512(m, first, &b[0], n, k)
	case cpu.X86.HasAVX2:
		markCodeAVX2(m, first, &b[0], n, k)
	default:
		markCodePlainly(m, first, n, b)
	}
}

// markAVX512 marks n blocks, n being at least one. It needs VBMI as well.
//
//go:noescape
func markAVX512(m *marks, first int, src *byte, n int, k *kinds)

// markAVX2 does the same.
//
//go:noescape
func markAVX2(m *marks, first int, src *byte, n int, k *kinds)

//go:noescape
func markCodeAVX512(m *codeMarks, first int, src *byte, n int, k *kinds)

//go:noescape
func markCodeAVX2(m *codeMarks, first int, src *byte, n int, k *kinds)
