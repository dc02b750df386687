package e2e_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// manifest says of everything below a directory what it is: "file 0644 1000 <sha256>" by relative path.
type manifest map[string]string

// takeManifest reads a tree. Paths that begin with one of skip, relative to root, are left out.
func takeManifest(root string, skip ...string) (manifest, error) {
	m := manifest{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == root {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		for _, s := range skip {
			if name == s || strings.HasPrefix(name, s+"/") {
				return skipped(d)
			}
		}
		m[name], err = describe(path, d)
		return err
	})
	return m, err
}

func skipped(d fs.DirEntry) error {
	if d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

func describe(path string, d fs.DirEntry) (string, error) {
	info, err := d.Info()
	if err != nil {
		return "", err
	}
	owner := -1
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		owner = int(st.Uid)
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		return "link " + target, err
	case info.Mode().IsRegular():
		sum, err := digest(path)
		return fmt.Sprintf("file %04o %d %s", info.Mode().Perm(), owner, sum), err
	}
	return fmt.Sprintf("%s %04o %d", info.Mode().Type(), info.Mode().Perm(), owner), nil
}

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

func TestManifest(t *testing.T) {
	root := t.TempDir()
	put := func(name, data string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("a", "one")
	put("skipped/b", "two")
	before, err := takeManifest(root, "skipped")
	if err != nil {
		t.Fatal(err)
	}
	put("skipped/c", "three")
	if after, err := takeManifest(root, "skipped"); err != nil || cmp.Diff(before, after) != "" {
		t.Errorf("what is skipped counts: %v\n%s", err, cmp.Diff(before, after))
	}
	put("a", "two")
	if err := os.Symlink("a", filepath.Join(root, "l")); err != nil {
		t.Fatal(err)
	}
	after, err := takeManifest(root, "skipped")
	if err != nil {
		t.Fatal(err)
	}
	if before["a"] == after["a"] || after["l"] != "link a" || len(after) != 3 {
		t.Errorf("got %v", after)
	}
}
