package transplant

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"bootstrap/internal/closure"
	"bootstrap/internal/drv"
	"bootstrap/internal/nixbundle"

	"zombiezen.com/go/nix/nar"
)

// maxRecipe is how much of .drv files and sources is taken into memory.
const maxRecipe = 256 << 20

// recipe is what the paths were made by. It is a [drv.Reader].
type recipe struct {
	archives map[string][]byte // by the last elements of their paths
	digests  map[string]string // those elements, by the digests that they begin with
}

func newRecipe() recipe { return recipe{map[string][]byte{}, map[string]string{}} }

func (r recipe) put(base string, archive []byte) {
	r.archives[base] = archive
	digest, _, _ := strings.Cut(base, "-")
	r.digests[digest] = base
}

// add reads an archive to its end.
func (r recipe) add(a *nixbundle.Archive, left int64) error {
	if a.NarSize > left {
		return &nixbundle.FormatError{Reason: "its .drv files and sources are too large"}
	}
	data, err := io.ReadAll(a)
	r.put(a.Base(), data)
	return err
}

// Derivation returns the text of a .drv file.
func (r recipe) Derivation(base string) ([]byte, error) { return r.file(base, "") }

// NAR writes an archive.
func (r recipe) NAR(w io.Writer, base string) error {
	data, ok := r.archives[base]
	if !ok {
		return fmt.Errorf("read %q: %w", base, fs.ErrNotExist)
	}
	_, err := w.Write(data)
	return err
}

// Find looks a digest up.
func (r recipe) Find(digest string) (string, error) { return r.digests[digest], nil }

// file returns the contents of a file in a store path.
func (r recipe) file(base, name string) ([]byte, error) {
	data, ok := r.archives[base]
	if !ok {
		return nil, fmt.Errorf("read %q: %w", base, fs.ErrNotExist)
	}
	n := nar.NewReader(bytes.NewReader(data))
	for {
		h, err := n.Next()
		if err != nil {
			return nil, fmt.Errorf("read %q in %q: %w", name, base, err)
		}
		if h.Path == name && h.Mode.IsRegular() {
			return io.ReadAll(n)
		}
	}
}

// Verify reads a bundle to its end, each path by its digest, and computes the names of all of them
// from what they are made by.
func Verify(h nixbundle.Head, body io.Reader) (*closure.Closure, error) {
	r, err := nixbundle.NewReader(body, h)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	from, left := newRecipe(), int64(maxRecipe)
	for {
		a, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if a.Recipe {
			err = from.add(a, left)
			left -= a.NarSize
		} else {
			_, err = io.Copy(io.Discard, a)
		}
		if err != nil {
			return nil, err
		}
	}
	moved, err := drv.Transport(drv.Options{From: drv.Dir(h.Store), To: drv.Dir(h.Store), Store: from}, h.Derivation)
	if err != nil {
		return nil, &nixbundle.FormatError{Reason: err.Error()}
	}
	for _, p := range r.Closure.Paths {
		if moved.Bases[p.Base()] != p.Base() {
			return nil, &nixbundle.FormatError{Reason: fmt.Sprintf("nothing in it makes %q", p.Path)}
		}
	}
	_, err = drain(body)
	return r.Closure, err
}

// drain reads what is left: what follows the compressed data belongs to the digest as well.
func drain(r io.Reader) (int64, error) { return io.Copy(io.Discard, r) }

func base(storePath string) string { return path.Base(storePath) }
