package relocate

import (
	"bytes"
	"encoding/binary"
	"path"
	"regexp"
	"strings"
)

// sort of a file: what has to be looked at besides its bytes.
type sort struct {
	code    bool   // machine code
	elf     bool   // with sections
	archive bool   // of files with sections
	inside  bool   // has members that are compressed, or checked by a sum
	member  Hazard // of what is found in there
	hits    Hazard // of what has to be replaced in its bytes, if it must not be
	always  Hazard // refused whatever is in it
	detail  string
}

// peek is how much of a file is looked at to tell what it is.
const peek = 512

// magics are what files begin with whose entries are sorted or hashed, or which are digests of something.
var magics = []struct {
	magic  string
	hazard Hazard
	detail string
}{
	{"GVariant", Sorted, "GVDB"},
	{"raVGtnai", Sorted, "GVDB"},
	{"SQLite format 3\x00", Sorted, "SQLite"},
	{"ld.so-1.7.0", Sorted, "ld.so.cache"},
	{"glibc-ld.so.cache", Sorted, "ld.so.cache"},
	{"KSLPHHRH", Sorted, "hwdb"},
	{"TDB file\n", Sorted, "TDB"},
	{"\xce\x9a\x57\x13", Sorted, "GDBM"},
	{"\xcd\x9a\x57\x13", Sorted, "GDBM"},
	{"\xcf\x9a\x57\x13", Sorted, "GDBM"},
	{"\x04\xfc\x02\xfc", Sorted, "fontconfig cache"},
	{"\x00mlocate", Sorted, "mlocate"},
	{"-----BEGIN PGP SIGNED MESSAGE-----", Signed, "OpenPGP"},
	{"DIRC\x00\x00", Git, "index"},
	{"\xed\xab\xee\xdb", Summed, "RPM"},
	{"ANDROID!", Summed, "boot image"},
	{"hsqs", Compressed, "squashfs"},
	{"\x7f\x06\x13\xaf", Signed, "Mach-O"},
	{"\xcf\xfa\xed\xfe", Signed, "Mach-O"},
	{"\xca\xfe\xba\xbe\x00\x00\x00\x02", Signed, "Mach-O"},
}

// compressed are what compressed streams begin with.
var compressed = []string{
	"\x1f\x8b\x08", "\xfd7zXZ\x00", "\x28\xb5\x2f\xfd", "\x04\x22\x4d\x18", "LZIP", "\x1f\x9d", "\x89LZO", "]\x00\x00",
	"PK\x03\x04", "PK\x05\x06", "070701", "070702", "7z\xbc\xaf\x27\x1c", "Rar!\x1a\x07",
}

var looseObject = regexp.MustCompile(`(^|/)objects/[0-9a-f]{2}/[0-9a-f]{38}([0-9a-f]{24})?$`)

// sniff says what a file is, from its name and its beginning.
func sniff(head []byte, file string) sort {
	name := path.Base(file)
	switch {
	case hasPrefix(head, "\x7fELF"):
		return sort{code: true, elf: true}
	case hasPrefix(head, "!<arch>\n"):
		return sort{code: true, archive: true}
	case hasPrefix(head, "MZ"):
		return portable(head)
	case hasPrefix(head, "PACK\x00\x00\x00"), hasPrefix(head, "\xfftOc"), looseObject.MatchString(file):
		return sort{always: Git}
	case hasPrefix(head, "#!"):
		// A zip file may follow the first line.
		return sort{inside: true, member: Summed}
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return sort{inside: true, member: Summed, hits: Summed, detail: "tar"}
	case len(head) > 2 && head[0] == 0x78 && binary.BigEndian.Uint16(head)%31 == 0 && head[1]&0x20 == 0:
		return sort{inside: true, member: Compressed, detail: "zlib"}
	case hasPrefix(head, "/* C code produced by gperf"), hasPrefix(head, "/* ANSI-C code produced by gperf"),
		hasPrefix(head, "/* C++ code produced by gperf"):
		return sort{hits: Sorted, detail: "gperf"}
	case name == "mime.cache", name == "icon-theme.cache", strings.HasSuffix(name, ".cdb"), strings.HasSuffix(name, ".pdmp"):
		return sort{hits: Sorted, detail: name}
	case strings.HasSuffix(name, ".br"), strings.HasSuffix(name, ".lzma"), strings.HasSuffix(name, ".lzo"):
		return sort{always: Unreadable, detail: name}
	}
	for _, m := range magics {
		if hasPrefix(head, m.magic) {
			return sort{hits: m.hazard, detail: m.detail}
		}
	}
	if isBzip2(head) {
		return sort{inside: true, member: Compressed}
	}
	for _, m := range compressed {
		if hasPrefix(head, m) {
			hits := Hazard("")
			if strings.HasPrefix(m, "PK") || strings.HasPrefix(m, "0707") {
				hits = Summed
			}
			return sort{inside: true, member: Compressed, hits: hits}
		}
	}
	if len(head) > 16 && (bytes.Equal(head[12:16], []byte{0x61, 0x15, 6, 0}) || bytes.Equal(head[12:16], []byte{0x62, 0x31, 5, 0})) {
		return sort{hits: Sorted, detail: "Berkeley DB"}
	}
	return sort{}
}

// isBzip2 wants the digits of pi that begin a block, since words begin like the file.
func isBzip2(head []byte) bool {
	return hasPrefix(head, "BZh") && len(head) >= 10 && (string(head[4:10]) == "1AY&SY" || string(head[4:10]) == "\x17rE8P\x90")
}

// portable is a PE file, which is signed if its fifth data directory is not empty.
func portable(head []byte) sort {
	s := sort{code: true, hits: Signed, detail: "PE file whose header is not at its beginning"}
	if len(head) < 64 {
		return sort{}
	}
	at := int(binary.LittleEndian.Uint32(head[60:]))
	if at > len(head)-200 {
		return s
	}
	if !hasPrefix(head[at:], "PE\x00\x00") {
		return sort{} // MZ is the beginning of many texts
	}
	first := at + 24 + 96
	if binary.LittleEndian.Uint16(head[at+24:]) == 0x20b {
		first += 16
	}
	if binary.LittleEndian.Uint32(head[first+4*8:]) == 0 {
		s.hits = ""
	}
	return s
}
