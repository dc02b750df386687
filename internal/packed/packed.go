// Package packed writes store trees into tarballs, the same bytes for the same trees: in the order
// of the names, at the time that Nix gives all its files, and owned by numbers.
package packed

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"bootstrap/internal/tree"
)

// epoch is the time of all files: the one that they have in a store.
var epoch = time.Unix(1, 0)

// Owner is whom files belong to.
type Owner struct{ UID, GID int }

// Writer writes entries to a tarball.
type Writer struct {
	Tar   *tar.Writer
	Owner Owner
	Done  func(bytes int64) // told of what was written of files; may be nil

	buf []byte
}

// Store writes what has a name in a store directory, as entries below dir, whose leading slash goes.
func (w *Writer) Store(ctx context.Context, root *os.Root, dir, base string) error {
	return tree.Walk(root, base, func(n tree.Node) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := path.Join(dir, n.Name)
		switch n.Kind {
		case tree.Directory:
			return w.Directory(name, 0o555)
		case tree.Link:
			return w.Link(name, n.Target)
		}
		f, err := root.Open(n.Name)
		if err != nil {
			return err
		}
		defer f.Close()
		mode := int64(0o444)
		if n.Executable {
			mode = 0o555
		}
		return w.Reader(name, mode, n.Size, f)
	})
}

// Directory writes a directory.
func (w *Writer) Directory(name string, mode int64) error {
	return w.header(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode})
}

// Link writes a symbolic link.
func (w *Writer) Link(name, target string) error {
	return w.header(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777})
}

// File writes a file that is in memory.
func (w *Writer) File(name string, mode int64, data []byte) error {
	return w.Reader(name, mode, int64(len(data)), bytes.NewReader(data))
}

// Reader writes a file of that size. One that is shorter or longer is an error.
func (w *Writer) Reader(name string, mode, size int64, from io.Reader) error {
	if err := w.header(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: size}); err != nil {
		return err
	}
	if w.buf == nil {
		w.buf = make([]byte, 256<<10)
	}
	// A file that has grown meanwhile is too long for tar, and one that has shrunk is too short.
	n, err := io.CopyBuffer(struct{ io.Writer }{w.Tar}, struct{ io.Reader }{from}, w.buf)
	if w.Done != nil {
		w.Done(n)
	}
	return err
}

func (w *Writer) header(h *tar.Header) error {
	h.Name = strings.TrimPrefix(h.Name, "/")
	h.ModTime, h.Uid, h.Gid = epoch, w.Owner.UID, w.Owner.GID
	return w.Tar.WriteHeader(h)
}
