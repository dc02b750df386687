package relink

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// propertySection is the section that a PT_GNU_PROPERTY segment is made of.
const propertySection = ".note.gnu.property"

// Places in a program header of a 64-bit file, and the size of one.
const (
	offsetInHeader = 8
	headerSize     = 56
)

// mendProperty has the PT_GNU_PROPERTY segment of a file be where its section is. patchelf 0.14.3
// moves the section and leaves the segment, and on arm64 the kernel starts no program whose segment
// is not a note (fs/binfmt_elf.c, parse_elf_properties; qemu-user says "Invalid note in
// PT_GNU_PROPERTY"). Elsewhere nobody looks: files for other processors are left as they are.
func mendProperty(path string) (err error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	parsed, err := elf.NewFile(file)
	if err != nil {
		return err
	}
	if parsed.Machine != elf.EM_AARCH64 || parsed.Class != elf.ELFCLASS64 || parsed.Data != elf.ELFDATA2LSB {
		return nil
	}
	for i, segment := range parsed.Progs {
		if segment.Type != elf.PT_GNU_PROPERTY {
			continue
		}
		section := parsed.Section(propertySection)
		if section == nil {
			return fmt.Errorf("%q: has a segment of properties and no section %s", path, propertySection)
		}
		if section.Offset == segment.Off && section.Addr == segment.Vaddr && section.Size == segment.Filesz {
			continue
		}
		var at [8]byte
		if _, err := file.ReadAt(at[:], 32); err != nil { // e_phoff
			return err
		}
		var header []byte
		for _, v := range []uint64{section.Offset, section.Addr, section.Addr, section.Size, section.Size} {
			header = binary.LittleEndian.AppendUint64(header, v)
		}
		place := int64(binary.LittleEndian.Uint64(at[:])) + int64(i)*headerSize + offsetInHeader
		if _, err := file.WriteAt(header, place); err != nil {
			return err
		}
	}
	return nil
}
