package nixbundle

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"slices"
	"strings"

	"bootstrap/internal/closure"
	"bootstrap/internal/nar"

	"github.com/klauspost/compress/zstd"
	"zombiezen.com/go/nix"
)

const (
	// maxWindow is the largest window of zstd to decode with.
	maxWindow = 32 << 20
	// maxInfo is how long one of the small files may be.
	maxInfo = 1 << 20
)

// Reader reads what follows the head, from its beginning to its end.
type Reader struct {
	Closure *closure.Closure // of all paths, as they are in the bundle

	head   Head
	recipe map[string]bool
	tar    *tar.Reader
	close  func()
	order  []closure.Path // in which the archives come
	at     int
}

// NewReader reads up to the first archive. Close must be called in the end.
func NewReader(body io.Reader, head Head) (*Reader, error) {
	z, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	r := &Reader{head: head, tar: tar.NewReader(z), close: z.Close}
	if err := r.begin(); err != nil {
		z.Close()
		return nil, wrong(err)
	}
	return r, nil
}

// Close gives back what decompressing takes.
func (r *Reader) Close() { r.close() }

func (r *Reader) begin() error {
	text, err := r.small(cacheInfo)
	if err != nil {
		return err
	}
	var info nix.CacheInfo
	if err := info.UnmarshalText(text); err != nil || string(info.StoreDirectory) != r.head.Store {
		return bad("its %s is of another store directory than its head", cacheInfo)
	}
	r.Closure = &closure.Closure{Store: r.head.Store}
	for range r.head.Paths {
		text, err := r.small("")
		if err != nil {
			return err
		}
		p, err := readInfo(text)
		if err != nil {
			return err
		}
		r.Closure.Paths = append(r.Closure.Paths, p)
	}
	slices.SortFunc(r.Closure.Paths, func(a, b closure.Path) int { return strings.Compare(a.Path, b.Path) })
	if err := closure.Check(r.Closure.Paths); err != nil {
		return bad("%v", err)
	}
	recipe, made, err := split(r.Closure, r.head.Derivation, r.head.Nix)
	if err != nil || len(recipe)+len(made) != r.head.Paths {
		return bad("its paths are not those of %s and of what makes it", r.head.Nix)
	}
	r.order, r.recipe = slices.Concat(recipe, made), map[string]bool{}
	for _, p := range recipe {
		r.recipe[p.Path] = true
	}
	return nil
}

// small reads a small file, of that name if one is given.
func (r *Reader) small(name string) ([]byte, error) {
	h, err := r.tar.Next()
	if err != nil {
		return nil, err
	}
	if h.Typeflag != tar.TypeReg || h.Size > maxInfo || name != "" && h.Name != name || name == "" && path.Ext(h.Name) != ".narinfo" {
		return nil, bad("entry %q is not what comes there", h.Name)
	}
	return io.ReadAll(r.tar)
}

// readInfo makes of a narinfo what is known of a path.
func readInfo(text []byte) (p closure.Path, err error) {
	var info nix.NARInfo
	if err := info.UnmarshalText(text); err != nil {
		return p, bad("%v", err)
	}
	p = closure.Path{Path: string(info.StorePath), NarSize: info.NARSize, Deriver: string(info.Deriver)}
	if info.Compression != nix.NoCompression || info.URL != narName(p.Path) || info.NARHash.Type() != nix.SHA256 {
		return p, bad("the narinfo of %q is of another form", p.Path)
	}
	copy(p.NarHash[:], info.NARHash.Bytes(nil))
	for _, ref := range info.References {
		p.References = append(p.References, string(ref))
	}
	slices.Sort(p.References)
	for _, s := range info.Sig {
		p.Signatures = append(p.Signatures, s.String())
	}
	if !info.CA.IsZero() {
		p.CA = info.CA.String()
	}
	return p, nil
}

// Archive is one path of a bundle. What is read of it is its archive, and the end of that is an
// error unless it has the digest that is registered.
type Archive struct {
	closure.Path
	Recipe bool // it is part of what the others are made by

	r    io.Reader
	sum  hash.Hash
	left int64
}

// Next returns the next path. After the last it is [io.EOF], and then there was nothing else.
func (r *Reader) Next() (*Archive, error) {
	h, err := r.tar.Next()
	switch {
	case errors.Is(err, io.EOF) && r.at == len(r.order):
		return nil, io.EOF
	case errors.Is(err, io.EOF):
		return nil, bad("it ends after %d of %d store paths", r.at, len(r.order))
	case err != nil:
		return nil, wrong(err)
	case r.at == len(r.order):
		return nil, bad("entry %q follows the last one", h.Name)
	}
	p := r.order[r.at]
	r.at++
	if h.Typeflag != tar.TypeReg || h.Name != narName(p.Path) || h.Size != p.NarSize {
		return nil, bad("entry %q is not what comes there", h.Name)
	}
	return &Archive{Path: p, Recipe: r.recipe[p.Path], r: r.tar, sum: sha256.New(), left: p.NarSize}, nil
}

// Read reads the archive.
func (a *Archive) Read(p []byte) (int, error) {
	n, err := a.read(p)
	a.sum.Write(p[:n])
	if errors.Is(err, io.EOF) {
		if err := a.Check(nar.Digest(a.sum.Sum(nil))); err != nil {
			return n, err
		}
	}
	return n, err
}

func (a *Archive) read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	a.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = wrong(err)
	}
	return n, err
}

// Undigested reads the archive in place of [Archive.Read], for somebody who digests it by the way, and then
// must ask [Archive.Check].
func (a *Archive) Undigested() io.Reader { return undigested{a} }

type undigested struct{ a *Archive }

func (u undigested) Read(p []byte) (int, error) { return u.a.read(p) }

// Check refuses the archive, read to its end, if it has not the size and the digest that are registered.
func (a *Archive) Check(sum [sha256.Size]byte) error {
	if a.left != 0 || nar.Digest(sum) != a.NarHash {
		return bad("%q has other contents than are registered of it", a.Path.Path)
	}
	return nil
}

// wrong makes an error of decoding one about the format.
func wrong(err error) error {
	var f *FormatError
	if err == nil || errors.As(err, &f) {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return bad("it ends too early")
	}
	return &FormatError{fmt.Sprintf("it cannot be read: %v", err)}
}
