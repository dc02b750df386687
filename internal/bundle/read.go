package bundle

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"bootstrap/internal/closure"
	"bootstrap/internal/tree"

	"github.com/klauspost/compress/zstd"
)

const (
	// maxWindow is the largest window of zstd to decode with: four times what [Write] has.
	maxWindow = 32 << 20
	// maxRegistration is how long the first entry may be: enough for a hundred thousand paths.
	maxRegistration = 64 << 20
	// maxName is Linux's PATH_MAX.
	maxName = 4096
	// overhead is how many times as large as the contents of store paths the tarball may be: a file
	// of no bytes takes over a hundred in the form that is registered, and a few blocks here.
	overhead = 64
)

// FormatError says that a file is not what [Write] writes.
type FormatError struct {
	Entry  string // of the tarball; "" for the file as a whole
	Reason string
}

// Error returns the entry and the reason.
func (e *FormatError) Error() string {
	if e.Entry == "" {
		return e.Reason
	}
	return fmt.Sprintf("entry %q: %s", e.Entry, e.Reason)
}

// Reader reads a bundle, entry by entry, and refuses whatever [Write] would not have written.
type Reader struct {
	Store string         // the store directory of the paths
	Paths []closure.Path // in the order in which they come

	tape  *bounded
	tar   *tar.Reader
	close func()

	at    int             // index of the path that is being read; -1 before the first
	dirs  map[string]bool // directories of that path, by their names in the store directory
	last  string          // the entry before, of that path
	bytes int64           // of files of that path, so far
}

// NewReader reads the registration. Close must be called in the end.
func NewReader(r io.Reader) (*Reader, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	b, err := newReader(z)
	if err != nil {
		z.Close()
		return nil, err
	}
	b.close = z.Close
	return b, nil
}

// newReader reads the tarball itself.
func newReader(r io.Reader) (*Reader, error) {
	b := &Reader{tape: &bounded{r: r, left: maxRegistration + 1<<20}, at: -1, close: func() {}}
	b.tar = tar.NewReader(b.tape)
	return b, b.begin()
}

// Close gives back what decompressing takes.
func (b *Reader) Close() { b.close() }

// bounded ends with an error before more is read than a bundle can have.
type bounded struct {
	r    io.Reader
	left int64
}

func (t *bounded) Read(p []byte) (int, error) {
	if t.left <= 0 {
		return 0, &FormatError{Reason: "it is larger than what is registered in it"}
	}
	n, err := t.r.Read(p[:min(int64(len(p)), t.left)])
	t.left -= int64(n)
	return n, err
}

func (b *Reader) begin() error {
	h, err := b.tar.Next()
	if err != nil {
		return damaged(err)
	}
	if h.Name != registrationName || h.Typeflag != tar.TypeReg {
		return &FormatError{Reason: fmt.Sprintf("it begins with %q, not with %s", h.Name, registrationName)}
	}
	if h.Size > maxRegistration {
		return &FormatError{Entry: h.Name, Reason: "is too large"}
	}
	text, err := io.ReadAll(b.tar)
	if err != nil {
		return damaged(err)
	}
	if b.Paths, err = closure.ParseRegistration(text); err != nil {
		return &FormatError{Entry: h.Name, Reason: err.Error()}
	}
	b.Store = path.Dir(b.Paths[0].Path)
	var most int64
	for _, p := range b.Paths {
		if most += p.NarSize; most < 0 || p.NarSize < 0 {
			return &FormatError{Entry: h.Name, Reason: "the sizes are no sizes"}
		}
	}
	if most > (1<<62)/overhead {
		return &FormatError{Entry: h.Name, Reason: "the sizes are no sizes"}
	}
	b.tape.left = most*overhead + 1<<20
	return nil
}

// Entry is a node of a store path.
type Entry struct {
	tree.Node     // its name is relative to the store directory
	Path      int // which of the paths it belongs to
}

// Next returns the next entry; its contents are read with [Reader.Read]. After the last it is
// [io.EOF], and then all of the file has been read, and every path has come.
func (b *Reader) Next() (Entry, error) {
	h, err := b.tar.Next()
	if errors.Is(err, io.EOF) {
		return Entry{}, b.end()
	}
	if err != nil {
		return Entry{}, damaged(err)
	}
	n, err := b.node(h)
	if err != nil {
		return Entry{}, &FormatError{Entry: h.Name, Reason: err.Error()}
	}
	if err := b.place(&n); err != nil {
		return Entry{}, &FormatError{Entry: h.Name, Reason: err.Error()}
	}
	return Entry{n, b.at}, nil
}

// Read reads the contents of the file that Next has returned.
func (b *Reader) Read(p []byte) (int, error) {
	n, err := b.tar.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = damaged(err)
	}
	return n, err
}

// node checks an entry by itself.
func (b *Reader) node(h *tar.Header) (n tree.Node, err error) {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return n, errors.New("is a sparse file")
		}
	}
	name := h.Name
	switch h.Typeflag {
	case tar.TypeReg:
		n.Executable, n.Size = h.Mode&0o100 != 0, h.Size
	case tar.TypeDir:
		n.Kind = tree.Directory
		name = strings.TrimSuffix(name, "/")
	case tar.TypeSymlink:
		n.Kind, n.Target = tree.Link, h.Linkname
		if n.Target == "" || len(n.Target) >= maxName || strings.ContainsRune(n.Target, 0) {
			return n, errors.New("is a symbolic link to what cannot be a path")
		}
	default:
		return n, errors.New("is neither a file nor a directory nor a symbolic link")
	}
	inside, ok := strings.CutPrefix(name, strings.TrimPrefix(b.Store, "/")+"/")
	switch {
	case !ok:
		return n, fmt.Errorf("is not in the store directory %q", b.Store)
	case len(name) >= maxName || strings.ContainsRune(name, 0) || path.Clean(inside) != inside || strings.HasPrefix(inside, "../"):
		return n, errors.New("has a name that leads elsewhere")
	}
	n.Name = inside
	return n, nil
}

// place checks that an entry comes where it should: after the directory it is in, in order, and in
// the path whose turn it is.
func (b *Reader) place(n *tree.Node) error {
	base, _, inner := strings.Cut(n.Name, "/")
	if !inner {
		b.at++
		if b.at >= len(b.Paths) || b.Paths[b.at].Base() != base {
			return errors.New("is not the store path whose turn it is")
		}
		b.dirs, b.bytes = map[string]bool{}, 0
	} else {
		switch {
		case b.at < 0 || b.Paths[b.at].Base() != base:
			return errors.New("is in no store path whose turn it is")
		case !b.dirs[path.Dir(n.Name)]:
			return errors.New("is in a directory that has not come")
		case !before(b.last, n.Name):
			return errors.New("is not in order")
		}
	}
	b.last = n.Name
	switch n.Kind {
	case tree.Directory:
		b.dirs[n.Name] = true
	case tree.File:
		if b.bytes += n.Size; b.bytes > b.Paths[b.at].NarSize || b.bytes < 0 {
			return errors.New("makes its store path larger than is registered")
		}
	}
	return nil
}

// before reports whether a name comes before another in a walk of a tree.
func before(a, b string) bool {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/")) < 0
}

// end makes sure that nothing is missing and nothing follows.
func (b *Reader) end() error {
	if b.at != len(b.Paths)-1 {
		return &FormatError{Reason: fmt.Sprintf("it ends after %d of %d store paths", b.at+1, len(b.Paths))}
	}
	buf := make([]byte, 16<<10)
	for {
		n, err := b.tape.Read(buf)
		for _, c := range buf[:n] {
			if c != 0 {
				return &FormatError{Reason: "something follows its end"}
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return io.EOF
		case errors.Is(err, zstd.ErrMagicMismatch):
			return &FormatError{Reason: "something follows its end"}
		case err != nil:
			return damaged(err)
		}
	}
}

// damaged returns what is wrong with a file that cannot be read as what it should be.
func damaged(err error) error {
	var f *FormatError
	switch {
	case errors.As(err, &f), isHost(err):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &FormatError{Reason: "it ends too early"}
	case errors.Is(err, zstd.ErrMagicMismatch):
		return &FormatError{Reason: "it is not compressed with zstd"}
	}
	return &FormatError{Reason: err.Error()}
}
