package relink

import (
	"bytes"
	"debug/elf"
	"strings"
	"testing"

	"bootstrap/internal/debtest"
)

// FuzzKindOf reads changed ELF files. What has no ELF header is never patched.
func FuzzKindOf(f *testing.F) {
	for _, seed := range []debtest.ELF{
		{Interp: "/lib64/ld-linux-x86-64.so.2", Needed: []string{"libc.so.6"}},
		{Soname: "libz.so.1", Needed: []string{"libc.so.6", "libm.so.6"}},
		{Soname: "ld-linux-x86-64.so.2"},
	} {
		f.Add([]byte(seed.Bytes(f)))
	}
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Add([]byte("/* GNU ld script */ GROUP ( libc.so.6 )\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := kindOf(bytes.NewReader(in))
		if err == nil && got != other && !strings.HasPrefix(string(in), elf.ELFMAG) {
			t.Errorf("kind %d of what is no ELF file", got)
		}
	})
}
