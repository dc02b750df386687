package relocate_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"bootstrap/internal/relocate"
)

// bzip2Of is "see /opt/store/a1b2c3d4f5g6h7i8j9k0l1m2n3p4q5r6-hello-1.0\n": Go's library cannot write the format.
const bzip2Of = "\x42\x5a\x68\x39\x31\x41\x59\x26\x53\x59\x6d\xbf\xc5\x07\x00\x00\x1b\x59\x80\x00\x10\x40\x03\xff\xe0\x3f\xff\xfc\x00\x20\x00\x48\xc0\x07\xa8\x69\xa1\xa0\xd1\xe4\xc9\x94\x30\xc1\x30\x00\x21\xa3\x09\x8b\xa1\x27\x05\x97\xb0\x0e\x50\x2e\xa5\xe1\xfa\x83\x35\x34\x9a\xfd\xd8\x94\x41\x80\xd0\xa3\x35\x65\xcc\x5e\xfa\xf6\x4d\xf0\xc6\x03\x24\x9c\x34\x2e\xe4\x8a\x70\xa1\x20\xdb\x7f\x8a\x0e"

const path = fromStore + "/" + fromA

// pressed compresses a text.
func pressed(t testing.TB, w io.WriteCloser, err error, b *bytes.Buffer, text string) string {
	t.Helper()
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func gz(t testing.TB, text string) string {
	var b bytes.Buffer
	return pressed(t, gzip.NewWriter(&b), nil, &b, text)
}

func xzed(t testing.TB, text string, dict int) string {
	var b bytes.Buffer
	w, err := xz.WriterConfig{DictCap: dict}.NewWriter(&b)
	return pressed(t, w, err, &b, text)
}

func zst(t testing.TB, text string) string {
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b)
	return pressed(t, w, err, &b, text)
}

func zlibbed(t testing.TB, text string) string {
	var b bytes.Buffer
	return pressed(t, zlib.NewWriter(&b), nil, &b, text)
}

// zipped makes a zip file; stored members are not compressed.
func zipped(t testing.TB, method uint16, members ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i, m := range members {
		h := &zip.FileHeader{Name: fmt.Sprintf("m%d", i), Method: method}
		if method == zip.Store { // sizes in front, as most programs write them
			h.CRC32, h.CompressedSize64, h.UncompressedSize64 = crc32.ChecksumIEEE([]byte(m)), uint64(len(m)), uint64(len(m))
			f, err := w.CreateRaw(h)
			if err == nil {
				_, err = io.WriteString(f, m)
			}
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(f, m)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return pressed(t, w2{w}, nil, &b, "")
}

// w2 closes a zip writer.
type w2 struct{ w *zip.Writer }

func (w w2) Write(p []byte) (int, error) { return len(p), nil }
func (w w2) Close() error                { return w.w.Close() }

func tarred(t testing.TB, members ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i, m := range members {
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("m%d", i), Mode: 0o644, Size: int64(len(m)), Format: tar.FormatUSTAR}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m); err != nil {
			t.Fatal(err)
		}
	}
	return pressed(t, w, nil, &b, "")
}

// cpio makes an archive as an initrd has it.
func cpio(members ...string) string {
	var b strings.Builder
	put := func(name, content string) {
		h := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
			1, 0o100644, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0) + name + "\x00"
		b.WriteString(h + strings.Repeat("\x00", -len(h)&3) + content + strings.Repeat("\x00", -len(content)&3))
	}
	for i, m := range members {
		put(fmt.Sprint("m", i), m)
	}
	put("TRAILER!!!", "")
	return b.String() + strings.Repeat("\x00", 512-b.Len()%512)
}

// sections makes an ELF file of x86-64 with named sections; flags are those of all.
func sections(flags uint64, content string, names ...string) string {
	text := "\x00"
	var offsets []int
	for _, n := range append(names, ".shstrtab") {
		offsets = append(offsets, len(text))
		text += n + "\x00"
	}
	h := make([]byte, 64)
	copy(h, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(h[16:], 3)
	le.PutUint16(h[18:], 62)
	body := string(h) + content
	at := len(body)
	body += text
	table := len(body)
	for i, o := range append([]int{0}, offsets...) {
		s := make([]byte, 64)
		le.PutUint32(s, uint32(o))
		if i > 0 {
			le.PutUint64(s[8:], flags)
			le.PutUint64(s[24:], uint64(at))
			le.PutUint64(s[32:], uint64(len(text)))
		}
		body += string(s)
	}
	b := []byte(body)
	le.PutUint64(b[0x28:], uint64(table))
	le.PutUint16(b[0x3a:], 64)
	le.PutUint16(b[0x3c:], uint16(len(offsets)+1))
	le.PutUint16(b[0x3e:], uint16(len(offsets)))
	return string(b)
}

// move is a pair of instructions: one loads a constant by its number, one stores it at a distance from RAX, or from RDX.
type move struct {
	constant, at int
	rdx          bool
}

// program is an ELF file that is in memory as it is, with code in front of constants of sixteen bytes.
func program(moves []move, constants ...string) string {
	const begin, pair = 128, 12
	le := binary.LittleEndian
	text := ""
	first := begin + (pair*len(moves)+15)&^15
	for i, m := range moves {
		b := []byte("\x66\x0f\x6f\x05....\x0f\x11\x40.")
		le.PutUint32(b[4:], uint32(first+16*m.constant-(begin+pair*i+8)))
		b[11] = byte(m.at)
		if m.rdx {
			b[10] |= 2
		}
		text += string(b)
	}
	return loaded(text + strings.Repeat("\x90", first-begin-len(text)) + strings.Join(constants, ""))
}

// loaded is an ELF file that is in memory as it is. Its content begins at byte 128.
func loaded(content string) string {
	le := binary.LittleEndian
	h := make([]byte, 128)
	copy(h, sections(0, "")[:64])
	le.PutUint64(h[32:], 64)
	le.PutUint64(h[0x28:], 0)
	for i, v := range map[int]uint16{54: 56, 56: 1, 0x3a: 0, 0x3c: 0, 0x3e: 0} {
		le.PutUint16(h[i:], v)
	}
	le.PutUint32(h[64:], 1)
	le.PutUint64(h[64+32:], uint64(len(h)+len(content)))
	return string(h) + content
}

// archive makes an ar archive.
func archive(members ...string) string {
	s := "!<arch>\n"
	for i, m := range members {
		s += fmt.Sprintf("%-16s%-12d%-6d%-6d%-8o%-10d`\n", fmt.Sprintf("m%d.o/", i), 0, 0, 0, 0o644, len(m)) + m
		if len(m)%2 == 1 {
			s += "\n"
		}
	}
	return s
}

// movabs is the instruction that puts eight bytes into a register, and one that stores them.
func movabs(text string) string { return "\x48\xb8" + text[:8] + "\x48\x89\x04\x24" }

// code is a text as immediate operands of eight bytes; the last one overlaps the one before.
func code(text string) string {
	s := "\x55\x48\x89\xe5"
	for len(text) > 8 {
		s += movabs(text)
		text = text[8:]
	}
	return s + "\xc3"
}

func whole(text string) string {
	s := "\x55\x48\x89\xe5"
	at := 0
	for ; at+8 <= len(text); at += 8 {
		s += movabs(text[at:])
	}
	if at < len(text) {
		s += movabs(text[len(text)-8:])
	}
	return s + "\xc3"
}

// hazard is one case of a corpus.
type hazard struct {
	files tree
	want  []string // why it is refused; if it is empty, it is fixed
	fixed tree     // what it has to be then
}

// hazards is the corpus: at least one case for each row of the tables in README.md.
// A case without want is fixed, and checked byte for byte; the others are refused, for that reason.
func hazards(t testing.TB) map[string]hazard {
	target := toStore + "/" + toA
	b64 := base64.StdEncoding.EncodeToString
	pad := strings.Repeat("\x90", 50)
	elf := func(s string) string { return sections(0, pad+s+pad, ".text") }
	pe := make([]byte, 512)
	copy(pe, "MZ")
	pe[60] = 128
	copy(pe[128:], "PE\x00\x00")
	binary.LittleEndian.PutUint16(pe[128+24:], 0x20b)
	unsigned := string(pe) + path
	pe[128+24+112+32] = 1
	type c = hazard
	copying := []move{{0, 0, false}, {1, 16, false}, {2, 32, false}, {3, 41, false}}
	short := fromStore + "/" + fromB + "/lib/libfo" // 55 bytes
	// last is a text that ends with "/lib", as constants, the last of which overlaps the one before.
	last := func(text string) []string {
		if text == path || text == target {
			text += "/lib"
		}
		return []string{text[:16], text[16:32], text[32:48], text[len(text)-16:]}
	}
	is := func(hazard relocate.Hazard, file string) []string { return []string{string(hazard) + " " + file} }
	f := func(content string, hazard relocate.Hazard) c { return c{tree{"f": content}, is(hazard, "f"), nil} }
	ok := func(content, fixed string) c { return c{tree{"f": content}, nil, tree{"f": fixed}} }
	return map[string]c{
		// Compressed members.
		"gzip":                   {tree{"share/man/x.1.gz": gz(t, "see "+path)}, is(relocate.Compressed, "share/man/x.1.gz"), nil},
		"gzip without a path":    ok(gz(t, "see nothing"), gz(t, "see nothing")),
		"gzip, two members":      f(gz(t, "one")+gz(t, path), relocate.Compressed),
		"gzip, UTF-16 within":    f(gz(t, units(path, 2, false)), relocate.Compressed),
		"gzip, directory":        f(gz(t, "dir="+fromStore), relocate.Compressed),
		"gzip in gzip":           f(gz(t, gz(t, path)), relocate.Compressed),
		"gzip, damaged":          f(gz(t, "see nothing")[:20], relocate.Unreadable),
		"tar.gz":                 f(gz(t, tarred(t, "x", path)), relocate.Compressed),
		"gzip in tar.gz":         f(gz(t, tarred(t, "x", gz(t, path))), relocate.Compressed),
		"xz":                     f(xzed(t, path, 1<<20), relocate.Compressed),
		"xz without a path":      ok(xzed(t, "no", 1<<20), xzed(t, "no", 1<<20)),
		"xz, large window":       f(xzed(t, "no", 64<<20), relocate.Unreadable),
		"zstd":                   f(zst(t, path), relocate.Compressed),
		"bzip2":                  f(bzip2Of, relocate.Compressed),
		"zlib":                   f(zlibbed(t, path), relocate.Compressed),
		"lz4":                    f("\x04\x22\x4d\x18....", relocate.Unreadable),
		"lzip":                   f("LZIP\x01....", relocate.Unreadable),
		"brotli":                 {tree{"x.js.br": "\x0b\x02\x80hi\x03"}, is(relocate.Unreadable, "x.js.br"), nil},
		"jar":                    {tree{"x.jar": zipped(t, zip.Deflate, "no", path)}, is(relocate.Compressed, "x.jar"), nil},
		"jar without a path":     ok(zipped(t, zip.Deflate, "no", "none"), zipped(t, zip.Deflate, "no", "none")),
		"jar in a jar":           f(zipped(t, zip.Deflate, zipped(t, zip.Deflate, path)), relocate.Compressed),
		"initrd":                 f(cpio("x")+gz(t, cpio(path)), relocate.Compressed),
		"initrd, plain":          {tree{"f": cpio("x", path)}, []string{"path in a compressed member f", "path in a container with checksums f"}, nil},
		"SHF_COMPRESSED":         f(sections(0x800, "", ".debug_str"), relocate.Compressed),
		"SHF_COMPRESSED in .a":   f(archive("x", sections(0x800, "", ".debug_str")), relocate.Compressed),
		"link-time optimisation": f(sections(0, "", ".gnu.lto_.decls"), relocate.Compressed),
		"squashfs":               f("hsqs"+path, relocate.Compressed),
		// Containers with checksums.
		"zip, stored":              {tree{"f": zipped(t, zip.Store, path)}, []string{"path in a compressed member f", "path in a container with checksums f"}, nil},
		"zip behind a script":      {tree{"f": "#!/bin/sh\n" + zipped(t, zip.Deflate, path)}, is(relocate.Summed, "f"), nil},
		"tar":                      {tree{"f": tarred(t, path)}, is(relocate.Summed, "f"), nil},
		"wheel RECORD":             {tree{"lib/x.py": path, "lib/x-1.dist-info/RECORD": "x.py,sha256=abc,1\nx-1.dist-info/RECORD,,\n"}, is(relocate.Listed, "lib/x-1.dist-info/RECORD"), nil},
		"wheel RECORD, program":    {tree{"bin/x": "#!" + path, "lib/x-1.dist-info/RECORD": "../bin/x,sha256=abc,1\n"}, is(relocate.Listed, "lib/x-1.dist-info/RECORD"), nil},
		"wheel RECORD, no match":   {tree{"lib/x.py": "1", "lib/x-1.dist-info/RECORD": "x.py,sha256=abc,1\n"}, nil, tree{"lib/x.py": "1", "lib/x-1.dist-info/RECORD": "x.py,sha256=abc,1\n"}},
		"SHA256SUMS":               {tree{"d/x": path, "d/SHA256SUMS": strings.Repeat("0", 64) + "  x\n"}, is(relocate.Listed, "d/SHA256SUMS"), nil},
		".gnu_debuglink":           {tree{"x": sections(0, "", ".gnu_debuglink"), "lib/debug/x.debug": path}, is(relocate.DebugLink, "x"), nil},
		".gnu_debuglink elsewhere": ok(sections(0, path, ".gnu_debuglink"), sections(0, target, ".gnu_debuglink")),
		"git pack":                 {tree{"x.pack": "PACK\x00\x00\x00\x02"}, is(relocate.Git, "x.pack"), nil},
		"git index of a pack":      f("\xfftOc\x00\x00\x00\x02", relocate.Git),
		"git object":               {tree{".git/objects/ab/" + strings.Repeat("c", 38): "x\x9c"}, is(relocate.Git, ".git/objects/ab/"+strings.Repeat("c", 38)), nil},
		"git index":                f("DIRC\x00\x00\x00\x02"+path, relocate.Git),
		// Sorted and hashed tables.
		"GVDB":           f("GVariant"+path, relocate.Sorted),
		"gperf":          f("/* C code produced by gperf version 3.1 */\n"+path, relocate.Sorted),
		"ld.so.cache":    f("glibc-ld.so.cache1.1"+path, relocate.Sorted),
		"SQLite":         f("SQLite format 3\x00"+path, relocate.Sorted),
		"icon cache":     {tree{"icon-theme.cache": path}, is(relocate.Sorted, "icon-theme.cache"), nil},
		"GVDB, no match": ok("GVariantx", "GVariantx"),
		// Other spellings.
		"base64":                   f("data:"+b64([]byte("see "+path+"\n")), relocate.Base64),
		"base64, second phase":     f("x="+b64([]byte("s "+path+"\n")), relocate.Base64),
		"base64, third phase":      f("x="+b64([]byte("se "+path+"\n")), relocate.Base64),
		"base64, hash part alone":  f(`"`+b64([]byte(fromA[:32]))+`"`, relocate.Base64),
		"base64 in lines":          f(lines(b64([]byte(strings.Repeat("x", 30)+path+strings.Repeat("y", 50))), 76), relocate.Base64),
		"base64, UTF-16 within":    f(b64([]byte(units(path, 2, false))), relocate.Base64),
		"base64 of something else": ok(b64([]byte(strings.Repeat("hello ", 20))), b64([]byte(strings.Repeat("hello ", 20)))),
		"percent":                  ok("file:"+strings.ReplaceAll(path, "/", "%2F"), "file:"+strings.ReplaceAll(target, "/", "%2F")),
		"backslashes":              ok(strings.ReplaceAll(path, "/", `\/`), strings.ReplaceAll(target, "/", `\/`)),
		"percent twice":            f(strings.ReplaceAll(path, "/", "%252F"), relocate.Mangled),
		"JSON escapes":             f(strings.ReplaceAll(path, "/", `\u002f`), relocate.Mangled),
		"octal":                    f(strings.ReplaceAll(path, "/", `\057`), relocate.Mangled),
		"systemd unit":             f("opt-store-"+fromA, relocate.Mangled),
		"UTF-16":                   ok(units(path, 2, false), units(target, 2, false)),
		"UTF-32":                   ok(units(path, 4, true), units(target, 4, true)),
		// Compiled code of interpreters.
		".pyc by time":           {tree{"x.py": path, "__pycache__/x.cpython-313.pyc": "\xf3\r\r\n\x00\x00\x00\x00\x01\x00\x00\x00\x2b\x00\x00\x00" + path}, nil, tree{"x.py": target, "__pycache__/x.cpython-313.pyc": "\xf3\r\r\n\x00\x00\x00\x00\x01\x00\x00\x00\x2b\x00\x00\x00" + target}},
		".pyc by digest":         {tree{"x.py": path, "__pycache__/x.cpython-313.pyc": "\xf3\r\r\n\x03\x00\x00\x0012345678"}, is(relocate.StaleCode, "__pycache__/x.cpython-313.pyc"), nil},
		".pyc by digest, as was": {tree{"x.py": "1", "__pycache__/x.cpython-313.pyc": "\xf3\r\r\n\x03\x00\x00\x0012345678"}, nil, tree{"x.py": "1", "__pycache__/x.cpython-313.pyc": "\xf3\r\r\n\x03\x00\x00\x0012345678"}},
		// Directories of Nix itself.
		"state directory": ok("/opt/var/nix/db\x00"+fromStore+"\x00", "/srv/var/nix/db\x00"+toStore+"\x00"),
		"#! line":         ok("#!"+path+"/bin/sh\n", "#!"+target+"/bin/sh\n"),
		// Signed files.
		"detached signature": {tree{"x": path, "x.sig": "s"}, is(relocate.Signed, "x.sig"), nil},
		"clear signature":    f("-----BEGIN PGP SIGNED MESSAGE-----\n"+path, relocate.Signed),
		"signed module":      f(elf(path)+"~Module signature appended~\n", relocate.Signed),
		"signed PE":          f(string(pe)+path, relocate.Signed),
		"PE":                 ok(unsigned, strings.Replace(unsigned, path, target, 1)),
		"Mach-O":             f("\xcf\xfa\xed\xfe"+path, relocate.Signed),
		// Split into pieces of code.
		"immediate operands":               ok(elf(whole(path+"/bin/sh\x00")), elf(whole(target+"/bin/sh\x00"))),
		"immediate operands in .a":         ok(archive("odd", elf(whole(path))), archive("odd", elf(whole(target)))),
		"overlapping last operand":         ok(elf(whole(path[:46])), elf(whole(target[:46]))),
		"operands, one missing":            f(elf(strings.Replace(whole(path), movabs(path[16:]), "", 1)), relocate.Split),
		"operands, first missing":          f(elf(strings.Replace(whole(path), movabs(path), "", 1)), relocate.Split),
		"operands, hash part alone":        f(elf(whole(fromA)), relocate.Split),
		"constants of 16 bytes":            ok(elf(align(path[:16]+pad16+path[32:48]+pad16+path[16:32]+pad16)), elf(align(target[:16]+pad16+target[32:48]+pad16+target[16:32]+pad16))),
		"constants, one missing":           f(elf(align(path[:16]+pad16+path[16:32]+pad16)), relocate.Split),
		"constants and an operand":         ok(elf(align(path[:16]+pad16+path[16:32]+pad16)+movabs(path[32:])+movabs(path[36:])), elf(align(target[:16]+pad16+target[16:32]+pad16)+movabs(target[32:])+movabs(target[36:]))),
		"four bytes at the end":            ok(elf(code(path[:41])+"\xc7\x44\x24\x28"+path[40:44]), elf(code(target[:41])+"\xc7\x44\x24\x28"+target[40:44])),
		"constants, the last one overlaps": ok(program(copying, last(path)...), program(copying, last(target)...)),
		"the same, two texts": ok(
			program(append([]move{{4, 42, true}, {0, 0, true}, {1, 16, true}, {2, 32, true}}, copying...), append(last(path), path[42:]+"/sbin")...),
			program(append([]move{{4, 42, true}, {0, 0, true}, {1, 16, true}, {2, 32, true}}, copying...), append(last(target), target[42:]+"/sbin")...),
		),
		"the same, apart from each other": ok(
			program([]move{{2, 0, false}, {4, 16, false}, {0, 32, false}, {5, 41, false}}, path[32:48], pad16, path[:16], pad16, path[16:32], path[41:]+"/lib"),
			program([]move{{2, 0, false}, {4, 16, false}, {0, 32, false}, {5, 41, false}}, target[32:48], pad16, target[:16], pad16, target[16:32], target[41:]+"/lib"),
		),
		"the same, and nothing loads it":            f(program(copying[:3], last(path)...), relocate.Split),
		"the same, and it is stored elsewhere":      f(program([]move{{0, 0, false}, {1, 16, false}, {2, 32, false}, {3, 42, false}}, last(path)...), relocate.Split),
		"the same, and for somebody else":           f(program([]move{{0, 0, false}, {1, 16, false}, {2, 32, false}, {3, 41, true}}, last(path)...), relocate.Split),
		"the same, and for somebody else too":       f(program(append([]move{{3, 41, true}}, copying...), last(path)...), relocate.Split),
		"the same, and one is not there":            f(program([]move{{0, 0, false}, {2, 32, false}, {3, 41, false}}, last(path)...), relocate.Split),
		"the same, and it is far away":              f(program(copying[:3], append(last(path)[:3], strings.Repeat(pad16, 40), last(path)[3])...), relocate.Split),
		"the same, without program headers":         f(elf(align(strings.Join(last(path), ""))), relocate.Split),
		"the same in .a":                            f(archive(program(copying, last(path)...)), relocate.Split),
		"constants in a row, of a short name":       f(program([]move{{0, 0, false}, {1, 16, false}, {2, 32, false}, {3, 40, false}}, last(short)...), relocate.Split),
		"constants in a row in .a, of a short name": f(archive(elf(align(strings.Join(last(short), "")))), relocate.Split),
		"part of a text":                            f(elf("\x00"+path[:27]+"\x00"), relocate.Split),
		"directory in operands":                     ok(elf(movabs(fromStore)+"\x66\xc7\x44\x24\x08"+fromStore[8:]+"\x00"), elf(movabs(toStore)+"\x66\xc7\x44\x24\x08"+toStore[8:]+"\x00")),
		"ELF of another machine":                    f(strings.Replace(sections(0, "", ".text"), "\x03\x00\x3e\x00", "\x03\x00\xf3\x00", 1), relocate.Machine),
		"constants in registers of ARM":             f(strings.Replace(elf(align(movz(path[16:24]))), "\x03\x00\x3e\x00", "\x03\x00\xb7\x00", 1), relocate.Split),
		// Names and links.
		"file name": {tree{"share/" + fromA: "x", "share/b": "y"}, nil, tree{"share/" + toA: "x", "share/b": "y"}},
		"link":      {tree{"l": "-> " + path}, nil, tree{"l": "-> " + target}},
	}
}

const pad16 = "\x00\xff\x00\xff\x00\xff\x00\xff\x00\xff\x00\xff\x00\xff\x00\xff"

// align puts a text where an ELF file of these tests has a multiple of sixteen: behind 64 and 50 bytes.
func align(s string) string { return strings.Repeat("\x00", 14) + s }

// movz is what ARM puts eight bytes into a register with.
func movz(text string) string {
	b := make([]byte, 16)
	for i := range 4 {
		op := uint32(0xf2800000)
		if i == 0 {
			op = 0xd2800000
		}
		binary.LittleEndian.PutUint32(b[4*i:], op|uint32(i)<<21|uint32(binary.LittleEndian.Uint16([]byte(text[2*i:])))<<5|3)
	}
	return string(b)
}

func lines(s string, n int) string {
	var b strings.Builder
	for ; len(s) > n; s = s[n:] {
		b.WriteString(s[:n] + "\n")
	}
	return b.String() + s + "\n"
}

// TestHazards: each is fixed, or refused for its own reason. Nothing is corrupted silently.
func TestHazards(t *testing.T) {
	fixed, refusals, corrupted := 0, 0, 0
	for name, c := range hazards(t) {
		t.Run(name, func(t *testing.T) {
			got, report, err := run(t, relocate.Options{}, c.files)
			switch {
			case c.want != nil && err != nil:
				refusals++
				if diff := cmp.Diff(c.want, refused(err)); diff != "" {
					t.Errorf("refused for (-want +got):\n%s\n%v", diff, err)
				}
			case c.want != nil:
				corrupted++
				t.Errorf("not refused: %v\n%q", report.Findings, got)
			case err != nil:
				refusals++
				t.Error(err)
			default:
				fixed++
				if diff := cmp.Diff(c.fixed, got); diff != "" {
					corrupted++
					t.Errorf("(-want +got):\n%s", diff)
				}
				must(t, relocate.Options{}, c.files)
			}
		})
	}
	t.Logf("measured: %d cases: %d fixed or left as they should be, %d refused, %d silently corrupted", fixed+refusals, fixed, refusals, corrupted)
	if corrupted > 0 || fixed < 20 || refusals < 40 {
		t.Errorf("%d fixed, %d refused, %d silently corrupted", fixed, refusals, corrupted)
	}
}

// TestHazardsAsTheyStream: as a stream, in pieces, the verdicts are the same.
func TestHazardsAsTheyStream(t *testing.T) {
	m := mapping(t)
	for name, c := range hazards(t) {
		data := pack(t, c.files)
		var out bytes.Buffer
		_, err := relocate.Relocate(&out, stream{bytes.NewReader(data), 13}, relocate.Options{Map: m})
		if (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			if diff := cmp.Diff(c.fixed, unpack(t, out.Bytes())); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}

// TestAllow lets one hazard of one file pass.
func TestAllow(t *testing.T) {
	files := tree{"a/x.gz": gz(t, path), "a/y.gz": gz(t, path)}
	_, report, err := run(t, relocate.Options{Allow: []relocate.Allowance{{Hazard: relocate.Compressed, File: "x.gz"}}}, files)
	if diff := cmp.Diff([]string{"path in a compressed member a/y.gz"}, refused(err)); diff != "" {
		t.Error(diff)
	}
	if report.Counts[relocate.Left] != 1 || report.Counts[relocate.Refused] != 1 {
		t.Errorf("counts: %v", report.Counts)
	}
	_, _, err = run(t, relocate.Options{Allow: []relocate.Allowance{{Hazard: relocate.Compressed, File: "a/*"}}}, files)
	if err != nil {
		t.Error(err)
	}
}
