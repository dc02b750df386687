package relocate

import (
	"debug/elf"
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// maxSections is how large a table of sections may be.
const maxSections = 1 << 20

// sectionNames are the names of sections that matter. All of them begin with the pair of bytes by which they are found.
var (
	sectionNames = map[string]Hazard{".gnu_debuglink\x00": DebugLink, ".gnu.lto_": Compressed}
	sectionPair  = [2]byte{'.', 'g'}
)

// names are where in a file such names are, found by the one who reads its contents: only a table behind them says
// whether they are names of sections.
type names map[int64]Hazard

// maxNames is how many names are followed: an ELF file has one of each, and texts that are the same are few.
const maxNames = 1000

// look notes a name that b begins with.
func (n names) look(at int64, b []byte) {
	if len(n) >= maxNames {
		return
	}
	for name, hazard := range sectionNames {
		if hasPrefix(b, name) {
			n[at] = hazard
		}
	}
}

// elfWatch reads the table of sections of an ELF file, as it goes by: it is at its end, the names before it.
type elfWatch struct {
	names names
	base  int64 // of the ELF file, in the file that names are of
	off   int64
	head  []byte
	table []byte
	start int64 // of the table
	size  int64
}

func (w *elfWatch) Write(p []byte) (int, error) {
	if len(w.head) < 64 {
		w.head = append(w.head, p[:min(len(p), 64-len(w.head))]...)
		if len(w.head) == 64 {
			w.header()
		}
	}
	if from, to := max(w.start, w.off), min(w.start+w.size, w.off+int64(len(p))); from < to {
		w.table = append(w.table, p[from-w.off:to-w.off]...)
	}
	w.off += int64(len(p))
	return len(p), nil
}

func (w *elfWatch) order() binary.ByteOrder {
	if w.head[5] == 2 {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// header reads where the table of sections is.
func (w *elfWatch) header() {
	o := w.order()
	if elf.Class(w.head[4]) == elf.ELFCLASS64 {
		w.start = int64(o.Uint64(w.head[0x28:]))
		w.size = int64(o.Uint16(w.head[0x3a:])) * int64(o.Uint16(w.head[0x3c:]))
	} else {
		w.start = int64(o.Uint32(w.head[0x20:]))
		w.size = int64(o.Uint16(w.head[0x2e:])) * int64(o.Uint16(w.head[0x30:]))
	}
	if w.start < 64 || w.size > maxSections {
		w.start, w.size = 0, 0
	}
}

// hazards returns what the sections are.
func (w *elfWatch) hazards() map[Hazard]string {
	if len(w.head) < 64 || int64(len(w.table)) != w.size || w.size == 0 {
		return nil
	}
	found := map[Hazard]string{}
	o, wide := w.order(), elf.Class(w.head[4]) == elf.ELFCLASS64
	size, last := int(o.Uint16(w.head[0x2e:])), int(o.Uint16(w.head[0x32:]))
	if wide {
		size, last = int(o.Uint16(w.head[0x3a:])), int(o.Uint16(w.head[0x3e:]))
	}
	section := func(i int) (name uint32, flags, off uint64) {
		if size < 40 || wide && size < 64 || (i+1)*size > len(w.table) {
			return 0, 0, 0
		}
		s := w.table[i*size:]
		if wide {
			return o.Uint32(s), o.Uint64(s[8:]), o.Uint64(s[24:])
		}
		return o.Uint32(s), uint64(o.Uint32(s[8:])), uint64(o.Uint32(s[16:]))
	}
	_, _, names := section(last)
	for i := 0; size > 0 && (i+1)*size <= len(w.table); i++ {
		name, flags, _ := section(i)
		if h, ok := w.names[w.base+int64(names)+int64(name)]; ok {
			found[h] = map[Hazard]string{DebugLink: ".gnu_debuglink", Compressed: ".gnu.lto_*"}[h]
		}
		if elf.SectionFlag(flags)&elf.SHF_COMPRESSED != 0 {
			found[Compressed] = "a section with SHF_COMPRESSED"
		}
	}
	return found
}

// arWatch does the same for the members of an archive.
type arWatch struct {
	names   names
	read    func() int64 // how far names were looked for
	off     int64
	skip    int64 // bytes that are no header and of no ELF file
	head    []byte
	member  *elfWatch
	left    int64       // of member, with what fills it up
	waiting []*elfWatch // members whose names are not known yet
	found   map[Hazard]string
}

func newArWatch(n names, read func() int64) *arWatch {
	return &arWatch{names: n, read: read, skip: int64(len("!<arch>\n")), found: map[Hazard]string{}}
}

func (w *arWatch) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		switch {
		case w.skip > 0:
			k := min(w.skip, int64(len(p)))
			w.skip -= k
			w.off += k
			p = p[k:]
		case w.member != nil:
			k := min(w.left, int64(len(p)))
			_, _ = w.member.Write(p[:k])
			w.left -= k
			w.off += k
			p = p[k:]
			w.end()
		default:
			const header = 60
			k := min(header-len(w.head), len(p))
			w.head = append(w.head, p[:k]...)
			w.off += int64(k)
			p = p[k:]
			if len(w.head) == header {
				w.begin()
			}
		}
	}
	return n, nil
}

// begin reads the size of a member, ten decimal digits.
func (w *arWatch) begin() {
	size, err := strconv.ParseInt(strings.TrimSpace(string(w.head[48:58])), 10, 62)
	w.head = w.head[:0]
	if err != nil || size < 0 {
		w.skip = 1 << 62 // not an archive any more
		return
	}
	w.member, w.left = &elfWatch{names: w.names, base: w.off}, size+size&1
	w.end()
}

func (w *arWatch) end() {
	if w.left > 0 {
		return
	}
	if hasPrefix(w.member.head, "\x7fELF") {
		w.waiting = append(w.waiting, w.member)
	}
	w.member = nil
	w.judge(w.read())
}

// judge looks at members that end before a place, and forgets their names.
func (w *arWatch) judge(to int64) {
	n := 0
	for ; n < len(w.waiting) && w.waiting[n].base+w.waiting[n].off <= to; n++ {
		maps.Copy(w.found, w.waiting[n].hazards())
	}
	if n == 0 {
		return
	}
	last := w.waiting[n-1]
	maps.DeleteFunc(w.names, func(at int64, _ Hazard) bool { return at < last.base+last.off })
	w.waiting = slices.Delete(w.waiting, 0, n)
}

func (w *arWatch) hazards() map[Hazard]string {
	w.judge(1 << 62)
	return w.found
}
