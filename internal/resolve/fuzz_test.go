package resolve

import (
	"bytes"
	"debug/elf"
	"slices"
	"strings"
	"testing"

	"bootstrap/internal/debtest"
)

// FuzzObject reads changed ELF files: names come out of them, and the base name of an interpreter.
func FuzzObject(f *testing.F) {
	for _, seed := range []debtest.ELF{
		{Interp: "/lib64/ld-linux-x86-64.so.2", Needed: []string{"libc.so.6"}},
		{Interp: "/lib64/ld-linux\x00x86-64.so.2"},
		{Soname: "libz.so.1", Needed: []string{"libc.so.6", "libm.so.6"}},
	} {
		f.Add([]byte(seed.Bytes(f)))
	}
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Fuzz(func(t *testing.T, in []byte) {
		o, err := parseObject(bytes.NewReader(in), "file")
		if err != nil || o == nil {
			return
		}
		if !strings.HasPrefix(string(in), elf.ELFMAG) {
			t.Errorf("%+v of what is no ELF file", o)
		}
		names := append(slices.Clone(o.needed), o.soname)
		if slices.ContainsFunc(names, func(name string) bool { return strings.ContainsRune(name, 0) }) {
			t.Errorf("a name that no file can have: %q", names)
		}
	})
}
