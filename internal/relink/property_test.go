package relink

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// moved returns an ELF file whose section of properties lies at an offset, and whose segment of
// properties lies where it was before.
func moved(t *testing.T, machine elf.Machine, section, segment uint64) string {
	t.Helper()
	const sections = 512
	names := "\x00.shstrtab\x00" + propertySection + "\x00"
	var b bytes.Buffer
	put := func(v any) {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	put(elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_DYN), Machine: uint16(machine), Version: 1, Phoff: 64, Shoff: sections,
		Ehsize: 64, Phentsize: 56, Phnum: 2, Shentsize: 64, Shnum: 3, Shstrndx: 1,
	})
	put(elf.Prog64{Type: uint32(elf.PT_LOAD), Filesz: 1000, Memsz: 1000})
	put(elf.Prog64{Type: uint32(elf.PT_GNU_PROPERTY), Flags: 4, Off: segment, Vaddr: segment, Paddr: segment, Filesz: 32, Memsz: 32, Align: 8})
	at := b.Len()
	b.WriteString(names)
	b.Write(make([]byte, sections-b.Len()))
	put(elf.Section64{})
	put(elf.Section64{Name: 1, Type: uint32(elf.SHT_STRTAB), Off: uint64(at), Size: uint64(len(names))})
	put(elf.Section64{Name: 11, Type: uint32(elf.SHT_NOTE), Addr: section + 0x1000, Off: section, Size: 48})
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMendProperty(t *testing.T) {
	for name, tt := range map[string]struct {
		machine elf.Machine
		want    elf.ProgHeader
	}{
		"of arm64": {elf.EM_AARCH64, elf.ProgHeader{Off: 0x300, Vaddr: 0x1300, Paddr: 0x1300, Filesz: 48, Memsz: 48}},
		"of amd64": {elf.EM_X86_64, elf.ProgHeader{Off: 0x200, Vaddr: 0x200, Paddr: 0x200, Filesz: 32, Memsz: 32}},
	} {
		t.Run(name, func(t *testing.T) {
			path := moved(t, tt.machine, 0x300, 0x200)
			for range 2 { // what is right is left alone
				if err := mendProperty(path); err != nil {
					t.Fatal(err)
				}
			}
			file, err := elf.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			tt.want.Type, tt.want.Flags, tt.want.Align = elf.PT_GNU_PROPERTY, elf.PF_R, 8
			if got := file.Progs[1].ProgHeader; got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if got := file.Progs[0].Type; got != elf.PT_LOAD {
				t.Errorf("the segment before it is %v now", got)
			}
		})
	}
}

func TestMendPropertyOfNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(path, []byte("no program"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := mendProperty(path); err == nil {
		t.Error("a file that is no ELF file went unnoticed")
	}
}
