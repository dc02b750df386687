package drv

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"zombiezen.com/go/nix/nar"
)

// Reader gives what a transport reads of the store it starts from. Objects are named by the last element of their path.
type Reader interface {
	// Derivation returns the text of a .drv file.
	Derivation(base string) ([]byte, error)
	// NAR writes the NAR of an object.
	NAR(w io.Writer, base string) error
	// Find returns the object that has a hash part, or an empty string.
	Find(hash string) (base string, err error)
}

// Files is a [Reader] of a store directory on disk, which may be elsewhere than its name says.
type Files struct {
	root  string
	bases []string // sorted
}

// OpenFiles lists a directory. What appears in it later is not found by hash part.
func OpenFiles(root string) (*Files, error) {
	dir, err := os.Open(root)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return CheckBase(n) != nil })
	slices.Sort(names)
	return &Files{root, names}, nil
}

// Bases returns the objects there are, sorted.
func (f *Files) Bases() []string { return slices.Clone(f.bases) }

// Derivation reads a .drv file.
func (f *Files) Derivation(base string) ([]byte, error) {
	if err := CheckBase(base); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(f.root, base))
}

// NAR writes the NAR of an object.
func (f *Files) NAR(w io.Writer, base string) error {
	if err := CheckBase(base); err != nil {
		return err
	}
	return nar.DumpPath(w, filepath.Join(f.root, base))
}

// Find looks a hash part up.
func (f *Files) Find(hash string) (string, error) {
	i, _ := slices.BinarySearch(f.bases, hash)
	if i < len(f.bases) && strings.HasPrefix(f.bases[i], hash+"-") {
		return f.bases[i], nil
	}
	return "", nil
}

// Memory is a [Reader] of .drv files and of text objects in memory.
type Memory map[string][]byte

// Derivation returns a text.
func (m Memory) Derivation(base string) ([]byte, error) {
	if text, ok := m[base]; ok {
		return text, nil
	}
	return nil, fmt.Errorf("read %q: %w", base, fs.ErrNotExist)
}

// NAR writes the NAR of a text.
func (m Memory) NAR(w io.Writer, base string) error {
	text, err := m.Derivation(base)
	if err != nil {
		return err
	}
	nw := nar.NewWriter(w)
	err = nw.WriteHeader(&nar.Header{Mode: 0o444, Size: int64(len(text))})
	if err == nil {
		_, err = nw.Write(text)
	}
	return errors.Join(err, nw.Close())
}

// Find looks a hash part up.
func (m Memory) Find(hash string) (string, error) {
	for base := range m {
		if strings.HasPrefix(base, hash+"-") {
			return base, nil
		}
	}
	return "", nil
}
