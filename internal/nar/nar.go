// Package nar writes and digests Nix archives, the form in which Nix takes the hash of a store path.
//
// The format: https://nix.dev/manual/nix/2.26/protocols/nix-archive
package nar

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"slices"

	"bootstrap/internal/tree"
)

// magic is what every archive begins with.
const magic = "nix-archive-1"

// Sum returns the SHA-256 of the archive of a tree, and how many bytes that archive has.
func Sum(root *os.Root, name string) (Digest, int64, error) { return SumWithout(root, name) }

// SumWithout is Sum of the tree without what has those names in root.
func SumWithout(root *os.Root, name string, without ...string) (Digest, int64, error) {
	h := &counter{h: sha256.New()}
	if err := write(h, root, name, without); err != nil {
		return Digest{}, 0, err
	}
	return Digest(h.h.Sum(nil)), h.n, nil
}

type counter struct {
	h hash.Hash
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.h.Write(p)
}

// Write writes the archive of what has that name in root. A file that changes its size meanwhile
// is an error.
func Write(w io.Writer, root *os.Root, name string) error { return write(w, root, name, nil) }

// Read has use read the archive of what has a name in root, while it is made. Use has to read it to its end, or fail.
func Read(root *os.Root, name string, use func(io.Reader) error) error {
	r, w := io.Pipe()
	made := make(chan error, 1)
	go func() {
		err := Write(w, root, name)
		w.CloseWithError(err)
		made <- err
	}()
	err := use(r)
	r.CloseWithError(err)
	// Each gets the other's error, so that of use is the first, or has it in it.
	if merr := <-made; err == nil {
		err = merr
	}
	return err
}

func write(w io.Writer, root *os.Root, name string, without []string) error {
	a := &writer{w: w, root: root, without: without, buf: make([]byte, 128<<10)}
	a.text(magic)
	a.node(name)
	return a.err
}

// writer keeps the first error; after it, nothing more is written.
type writer struct {
	w       io.Writer
	root    *os.Root
	without []string
	buf     []byte
	err     error
}

func (a *writer) node(name string) {
	if a.err != nil {
		return
	}
	n, err := tree.Look(a.root, name)
	if err != nil {
		a.err = err
		return
	}
	a.text("(", "type")
	switch n.Kind {
	case tree.Link:
		a.text("symlink", "target", n.Target)
	case tree.File:
		a.text("regular")
		if n.Executable {
			a.text("executable", "")
		}
		a.text("contents")
		a.contents(n)
	case tree.Directory:
		a.text("directory")
		names, err := tree.Names(a.root, name)
		if err != nil {
			a.err = err
			return
		}
		for _, child := range names {
			if slices.Contains(a.without, path.Join(name, child)) {
				continue
			}
			a.text("entry", "(", "name", child, "node")
			a.node(path.Join(name, child))
			a.text(")")
		}
	}
	a.text(")")
}

// text writes strings: the length in eight bytes, the bytes, zeros up to the next multiple of eight.
func (a *writer) text(words ...string) {
	for _, s := range words {
		a.number(int64(len(s)))
		a.write([]byte(s))
		a.pad(int64(len(s)))
	}
}

func (a *writer) number(n int64) {
	a.write(binary.LittleEndian.AppendUint64(nil, uint64(n)))
}

func (a *writer) pad(length int64) {
	a.write(make([]byte, (8-length%8)%8))
}

func (a *writer) write(p []byte) {
	if a.err == nil {
		_, a.err = a.w.Write(p)
	}
}

func (a *writer) contents(n tree.Node) {
	a.number(n.Size)
	if a.err != nil {
		return
	}
	f, err := a.root.Open(n.Name)
	if err != nil {
		a.err = err
		return
	}
	defer f.Close()
	got, err := io.CopyBuffer(struct{ io.Writer }{a.w}, struct{ io.Reader }{io.LimitReader(f, n.Size+1)}, a.buf)
	if err == nil && got != n.Size {
		err = fmt.Errorf("%q: has another size than a moment ago", n.Name)
	}
	a.err = err
	a.pad(n.Size)
}
