package tree_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"bootstrap/internal/storetest"
	"bootstrap/internal/tree"

	"github.com/google/go-cmp/cmp"
)

func open(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func TestWalk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	storetest.Path(t, dir, "/p/store", "x", storetest.Tree{"b/x": "+x 12", "a.b": "", "a/b": "1", "B": "-> /etc", "c": "dir"})
	var got []tree.Node
	if err := tree.Walk(open(t, dir), "x", func(n tree.Node) error { got = append(got, n); return nil }); err != nil {
		t.Fatal(err)
	}
	want := []tree.Node{
		{Name: "x", Kind: tree.Directory},
		{Name: "x/B", Kind: tree.Link, Target: "/etc"},
		{Name: "x/a", Kind: tree.Directory},
		{Name: "x/a/b", Size: 1},
		{Name: "x/a.b"},
		{Name: "x/b", Kind: tree.Directory},
		{Name: "x/b/x", Executable: true, Size: 2},
		{Name: "x/c", Kind: tree.Directory},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keep := filepath.Join(dir, "keep")
	if err := os.Mkdir(keep, 0o555); err != nil {
		t.Fatal(err)
	}
	storetest.Path(t, dir, "/p/store", "x", storetest.Tree{"a/b": "1", "link": "-> ../keep"})
	if err := syscall.Mkfifo(filepath.Join(dir, "x/a/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "x/a"), 0o555); err != nil {
		t.Fatal(err)
	}
	root := open(t, dir)
	for range 2 { // what is gone is no error
		if err := tree.Remove(root, "x"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := root.Lstat("x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if info, err := os.Stat(keep); err != nil || info.Mode().Perm() != 0o555 {
		t.Errorf("what a link led to: %v, %v", info, err)
	}
}
