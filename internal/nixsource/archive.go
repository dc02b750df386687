package nixsource

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"

	"github.com/ulikunitz/xz"
)

// fromArchive reads a tarball in which everything is in one directory, or in none.
func fromArchive(ctx context.Context, r io.Reader, wanted map[string]bool) (*Source, error) {
	plain, ending, err := decompressed(r)
	if err != nil {
		return nil, err
	}
	found := map[string]map[string][]byte{} // by directory at the top, and path in it
	for t := tar.NewReader(&bounded{ctx: ctx, r: plain, left: maxArchive}); ; {
		head, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("not a tarball that can be read: %w", err)
		}
		if !filepath.IsLocal(head.Name) {
			return nil, fmt.Errorf("file %q: leads out of the archive", head.Name)
		}
		name := path.Clean(head.Name)
		top, below, _ := strings.Cut(name, "/")
		for _, at := range [][2]string{{"", name}, {top, below}} {
			if !wanted[at[1]] {
				continue
			}
			if head.Typeflag != tar.TypeReg {
				return nil, fmt.Errorf("file %q: is not a file", name)
			}
			data, err := limited(t)
			if err != nil {
				return nil, fmt.Errorf("file %q: %w", name, err)
			}
			if found[at[0]] == nil {
				found[at[0]] = map[string][]byte{}
			}
			if _, twice := found[at[0]][at[1]]; twice {
				return nil, fmt.Errorf("file %q: is there twice", name)
			}
			found[at[0]][at[1]] = data
			break
		}
	}
	top, tops := "", 0
	for name, files := range found {
		if _, there := files[versionFile]; there {
			top = name
			tops++
		}
	}
	if tops > 1 {
		return nil, errors.New("there is more than one source in it")
	}
	s, err := newSource(found[top])
	if err != nil {
		return nil, err
	}
	s.Ending = ending
	return s, nil
}

// decompressed returns what is in a compressed file, and the ending of such a file's name; which kind
// it is, its first bytes say.
func decompressed(r io.Reader) (plain io.Reader, ending string, err error) {
	b := bufio.NewReaderSize(r, 1<<16)
	begin, err := b.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, "", unwrapped(err)
	}
	plain, ending = b, ".tar"
	switch {
	case bytes.HasPrefix(begin, []byte{0x1f, 0x8b}):
		ending = ".tar.gz"
		plain, err = gzip.NewReader(b)
	case bytes.Equal(begin, []byte("\xfd7zXZ\x00")):
		ending = ".tar.xz"
		plain, err = xz.NewReader(b)
	default:
		err = nil // there are less bytes than were asked for
	}
	return plain, ending, err
}

// bounded ends where a context does, or once more was read than there should be.
type bounded struct {
	ctx  context.Context
	r    io.Reader
	left int64
}

// Read reads on.
func (b *bounded) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if b.left <= 0 {
		return 0, fmt.Errorf("it has more than %d bytes", maxArchive)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
