package relocate

import (
	"slices"
	"testing"
)

// TestStored: where instructions store a vector register, as assemblers spell them.
func TestStored(t *testing.T) {
	t.Parallel()
	const at = 32 // of the first instruction
	for name, row := range map[string]struct {
		code string
		reg  uint8
		want []place
	}{
		"movups %xmm0,(%rax)":            {"\x0f\x11\x00", 0, []place{{true, 0, 0}}},
		"movups %xmm0,0x29(%rax)":        {"\x0f\x11\x40\x29", 0, []place{{true, 0, 0x29}}},
		"movaps %xmm0,0x10(%rsp)":        {"\x0f\x29\x44\x24\x10", 0, []place{{true, 4, 0x10}}},
		"movups %xmm9,0x100(%r12)":       {"\x45\x0f\x11\x8c\x24\x00\x01\x00\x00", 9, []place{{true, 12, 0x100}}},
		"movdqu %xmm3,-0x8(%rbp)":        {"\xf3\x0f\x7f\x5d\xf8", 3, []place{{true, 5, -8}}},
		"vmovdqu %xmm0,0x10(%rax)":       {"\xc5\xfa\x7f\x40\x10", 0, []place{{true, 0, 0x10}}},
		"vmovdqa %xmm8,0x0(%r13)":        {"\xc4\x41\x79\x7f\x45\x00", 8, []place{{true, 13, 0}}},
		"movaps %xmm0,0x2c39(%rip)":      {"\x0f\x29\x05\x39\x2c\x00\x00", 0, []place{{true, nextInstruction, at + 7 + 0x2c39}}},
		"another register":               {"\x0f\x11\x40\x29", 1, nil},
		"an index":                       {"\x0f\x11\x04\x08", 0, []place{{}}},
		"32 bytes":                       {"\xc5\xfe\x7f\x00", 0, nil},
		"a distance that looks like REX": {"\x0f\x11\x4f\x4a\x0f\x11\x47\x64", 0, []place{{true, 7, 0x64}}},
		"twice":                          {"\x0f\x11\x00\x0f\x11\x40\x3a", 0, []place{{true, 0, 0}, {true, 0, 0x3a}}},
		"pxor first":                     {"\x66\x0f\xef\xc0\x0f\x11\x00", 0, nil},
		"another constant first":         {"\x66\x0f\x6f\x05\x00\x00\x00\x00\x0f\x11\x00", 0, nil},
		"too far away":                   {string(make([]byte, storeReach)) + "\x0f\x11\x00", 0, nil},
		"cut":                            {"\x0f\x11", 0, nil},
	} {
		k := newCode(&small(t).chunks)
		k.machine.segments = []segment{{0, 0, 1 << 20}}
		b := append(make([]byte, at), row.code...)
		if name != "cut" {
			b = append(b, make([]byte, 16)...)
		}
		var got []place
		k.stored(&content{buf: b}, at, row.reg, func(p place) { got = append(got, p) })
		if !slices.Equal(got, row.want) {
			t.Errorf("%s: got %v, want %v", name, got, row.want)
		}
	}
}
