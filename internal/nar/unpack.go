package nar

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"bootstrap/internal/tree"

	"zombiezen.com/go/nix/nar"
)

// Unpack makes what an archive holds, as Nix has it in a store, under a name that is not there yet.
// It reads r to its end. What it made of an archive that is damaged stays, and is worth nothing.
func Unpack(root *os.Root, name string, r io.Reader) error {
	in := nar.NewReader(bufio.NewReaderSize(r, 64<<10))
	buf := make([]byte, 128<<10)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return tree.Seal(root, name)
		}
		if err != nil {
			return err
		}
		if err := unpackNode(root, path.Join(name, h.Path), h, in, buf); err != nil {
			return err
		}
	}
}

func unpackNode(root *os.Root, name string, h *nar.Header, in io.Reader, buf []byte) (err error) {
	switch h.Mode.Type() {
	case fs.ModeDir:
		return root.Mkdir(name, 0o700)
	case fs.ModeSymlink:
		return root.Symlink(h.LinkTarget, name)
	}
	// O_EXCL follows no link, and there can be nothing: the directory is new.
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{in}, buf)
	if err == nil && n != h.Size {
		err = fmt.Errorf("%q: ends too early", name)
	}
	if err == nil {
		err = f.Chmod(0o444 | h.Mode.Perm()&0o111)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return root.Chtimes(name, epoch(), epoch())
}

// epoch is the time that all files in a store have.
func epoch() time.Time { return time.Unix(1, 0) }
