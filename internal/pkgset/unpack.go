package pkgset

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/ulikunitz/xz"
)

// The most that is unpacked: nixpkgs has some 50,000 files, of less than 500 MB.
const (
	maxBytes = 4 << 30
	maxFiles = 1 << 20
)

// Unpack unpacks a tarball, plain, .gz or .xz, that has everything in one directory, and returns that
// directory, below dir. No entry leaves dir. The bytes have to be known to be the ones that were meant.
func Unpack(ctx context.Context, file, dir string) (_ string, err error) {
	in, err := os.Open(filepath.Clean(file))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	plain, err := decompressed(in)
	if err != nil {
		return "", fmt.Errorf("archive %q: %w", file, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	u := unpacker{ctx: ctx, root: root, left: maxBytes, files: maxFiles, tops: map[string]bool{}}
	if err := u.all(tar.NewReader(plain)); err != nil {
		return "", fmt.Errorf("archive %q: %w", file, err)
	}
	for top := range u.tops {
		if info, err := root.Stat(path.Join(top, "default.nix")); len(u.tops) == 1 && err == nil && info.Mode().IsRegular() {
			return filepath.Join(dir, top), nil
		}
	}
	return "", fmt.Errorf("archive %q: %w", file, errShape)
}

// decompressed goes by the first bytes.
func decompressed(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	begin, err := b.Peek(6)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case bytes.HasPrefix(begin, []byte{0x1f, 0x8b}):
		return gzip.NewReader(b)
	case bytes.Equal(begin, []byte("\xfd7zXZ\x00")):
		return xz.NewReader(b)
	}
	return b, nil
}

type unpacker struct {
	ctx         context.Context
	root        *os.Root
	left, files int64
	tops        map[string]bool
}

func (u *unpacker) all(t *tar.Reader) error {
	for {
		head, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case u.ctx.Err() != nil:
			return u.ctx.Err()
		}
		if head.Typeflag == tar.TypeXGlobalHeader { // of git: the commit, which is no file
			continue
		}
		if u.files--; u.files < 0 {
			return fmt.Errorf("it has more than %d files", int64(maxFiles))
		}
		if err := u.one(head, t); err != nil {
			return fmt.Errorf("%q: %w", head.Name, err)
		}
	}
}

func (u *unpacker) one(head *tar.Header, r io.Reader) error {
	name := path.Clean(head.Name)
	if !filepath.IsLocal(name) {
		return errors.New("leads out of the archive")
	}
	if name == "." {
		return nil
	}
	top, _, _ := strings.Cut(name, "/")
	u.tops[top] = true
	if err := u.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	switch head.Typeflag {
	case tar.TypeDir:
		return u.root.MkdirAll(name, 0o755)
	case tar.TypeSymlink:
		return u.root.Symlink(head.Linkname, name)
	case tar.TypeReg:
		return u.file(name, head, r)
	}
	return errors.New("is neither a file, a directory nor a symbolic link")
}

func (u *unpacker) file(name string, head *tar.Header, r io.Reader) (err error) {
	if u.left -= head.Size; u.left < 0 {
		return fmt.Errorf("it has more than %d bytes", int64(maxBytes))
	}
	mode := fs.FileMode(0o644)
	if head.FileInfo().Mode()&0o100 != 0 {
		mode = 0o755
	}
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, r, head.Size)
	return errors.Join(err, f.Close())
}
