// Package debtest builds what tests of Debian things need, in memory:
// .deb files, well formed or not, and a signed Debian archive that serves them over HTTP.
//
// Only tests import it. It shares no code with what it tests.
package debtest

import (
	"archive/tar"
	"io"
)

// Entry is one entry of a package's data tarball.
// Name and Link are written as they are: deb(5) has them begin with "./".
type Entry struct {
	Type byte   // of [tar.Header]
	Name string // as in "./usr/bin/x"
	Link string // target of a symlink or a hard link
	Mode int64  // permission bits, setuid and setgid included
	Data string // of a regular file
	PAX  map[string]string
}

// Reg returns a regular file, not executable.
func Reg(name, data string) Entry {
	return Entry{Type: tar.TypeReg, Name: name, Mode: 0o644, Data: data}
}

// Exe returns an executable file.
func Exe(name, data string) Entry {
	return Entry{Type: tar.TypeReg, Name: name, Mode: 0o755, Data: data}
}

// Dir returns a directory.
func Dir(name string) Entry { return Entry{Type: tar.TypeDir, Name: name, Mode: 0o755} }

// Lnk returns a symlink.
func Lnk(name, target string) Entry {
	return Entry{Type: tar.TypeSymlink, Name: name, Link: target, Mode: 0o777}
}

// Hard returns a hard link; target is the name of an earlier entry.
func Hard(name, target string) Entry {
	return Entry{Type: tar.TypeLink, Name: name, Link: target, Mode: 0o644}
}

// Dev returns a character device, that of /dev/null.
func Dev(name string) Entry { return Entry{Type: tar.TypeChar, Name: name, Mode: 0o666} }

// Fifo returns a named pipe.
func Fifo(name string) Entry { return Entry{Type: tar.TypeFifo, Name: name, Mode: 0o644} }

// writeTar writes a tarball of the entries, end marker included.
func writeTar(w io.Writer, entries []Entry) error {
	tw := tar.NewWriter(w)
	for _, e := range entries {
		h := &tar.Header{
			Typeflag: e.Type, Name: e.Name, Linkname: e.Link, Mode: e.Mode,
			Size: int64(len(e.Data)), PAXRecords: e.PAX, Uname: "root", Gname: "root",
		}
		if e.Type == tar.TypeChar {
			h.Devmajor, h.Devminor = 1, 3
		}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.WriteString(tw, e.Data); err != nil {
			return err
		}
	}
	return tw.Close()
}
