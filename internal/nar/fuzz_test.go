package nar_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"bootstrap/internal/nar"
)

// FuzzUnpack: whatever an archive has, nothing is made but below the name it is unpacked under.
func FuzzUnpack(f *testing.F) {
	dir := f.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "tree/bin"), 0o755); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tree/bin/x"), []byte("text"), 0o755); err != nil {
		f.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "tree/link")); err != nil {
		f.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		f.Fatal(err)
	}
	defer root.Close()
	var b bytes.Buffer
	if err := nar.Write(&b, root, "tree"); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:b.Len()/2])
	f.Add(bytes.Replace(b.Bytes(), []byte("link"), []byte("../x"), 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		place, err := os.MkdirTemp(dir, "place-")
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = filepath.WalkDir(place, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					err = os.Chmod(path, 0o700)
				}
				return err
			})
			if err := os.RemoveAll(place); err != nil {
				t.Error(err)
			}
		}()
		into, err := os.OpenRoot(place)
		if err != nil {
			t.Fatal(err)
		}
		defer into.Close()
		unpacked := nar.Unpack(into, "tree", bytes.NewReader(data))
		entries, err := os.ReadDir(place)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() != "tree" {
				t.Errorf("%q was made beside it", e.Name())
			}
		}
		if unpacked == nil && len(entries) != 1 {
			t.Error("nothing was made")
		}
	})
}
