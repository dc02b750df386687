package debtest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"testing"
)

// ELF is what an ELF file for tests consists of: no code, only what a dynamic linker reads first.
type ELF struct {
	Interp string
	Soname string
	Needed []string
}

// Bytes lays the file out: header, one program header, strings, dynamic section, interpreter, section headers.
func (o ELF) Bytes(t testing.TB) string {
	t.Helper()
	names := []byte{0}
	name := func(s string) uint64 {
		at := len(names)
		names = append(append(names, s...), 0)
		return uint64(at)
	}
	var dyn []elf.Dyn64
	for _, n := range o.Needed {
		dyn = append(dyn, elf.Dyn64{Tag: int64(elf.DT_NEEDED), Val: name(n)})
	}
	if o.Soname != "" {
		dyn = append(dyn, elf.Dyn64{Tag: int64(elf.DT_SONAME), Val: name(o.Soname)})
	}
	dyn = append(dyn, elf.Dyn64{Tag: int64(elf.DT_NULL)})
	interp := o.Interp + "\x00"

	const headers = 64 + 56
	dynAt := uint64(headers + len(names))
	dynSize := uint64(16 * len(dyn))
	interpAt := dynAt + dynSize
	kind := elf.PT_INTERP
	if o.Interp == "" {
		kind = elf.PT_NULL
	}
	header := elf.Header64{
		Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Phoff: 64, Shoff: interpAt + uint64(len(interp)),
		Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64, Shnum: 3, Shstrndx: 1,
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS] = byte(elf.ELFCLASS64)
	header.Ident[elf.EI_DATA] = byte(elf.ELFDATA2LSB)
	header.Ident[elf.EI_VERSION] = byte(elf.EV_CURRENT)

	var b bytes.Buffer
	for _, part := range []any{
		header,
		elf.Prog64{Type: uint32(kind), Off: interpAt, Filesz: uint64(len(interp)), Memsz: uint64(len(interp))},
		names, dyn, []byte(interp),
		elf.Section64{},
		elf.Section64{Type: uint32(elf.SHT_STRTAB), Off: headers, Size: uint64(len(names))},
		elf.Section64{Type: uint32(elf.SHT_DYNAMIC), Off: dynAt, Size: dynSize, Link: 1, Entsize: 16},
	} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			t.Fatalf("debtest: %v", err)
		}
	}
	return b.String()
}
