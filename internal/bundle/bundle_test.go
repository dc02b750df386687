package bundle_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bootstrap/internal/bundle"
	"bootstrap/internal/closure"
	"bootstrap/internal/nar"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/run"
	"bootstrap/internal/storetest"
	"bootstrap/internal/tree"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

// store is the store directory of all paths; the files lie elsewhere.
const store = "/p/store"

// nix stands in for the prefix's own: it appends what it is told to register to a file, and takes
// for valid what has a line there.
const nix = `#!/bin/sh
PATH=/usr/bin:/bin
case $* in
*--check-validity*)
	for path; do
		case $path in
		/*) grep -qx "$path" "$STATE/registered" 2>/dev/null || echo "$path" ;;
		esac
	done
	;;
*--register-validity*--hash-given*)
	[ ! -e "$STATE/fail" ] || exit 1
	cat >>"$STATE/registered"
	;;
path-info*) cat "$STATE/info" ;;
*) exit 9 ;;
esac
`

// place is a prefix that something is imported into.
type place struct {
	files, state string
	options      bundle.ImportOptions
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir := t.TempDir()
	p := &place{files: filepath.Join(dir, "files"), state: filepath.Join(dir, "state")}
	for _, d := range []string{p.files, p.state} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "nix")
	if err := os.WriteFile(program, []byte(nix), 0o755); err != nil {
		t.Fatal(err)
	}
	p.options = bundle.ImportOptions{
		File: "it.tar.zst", Nix: nixcmd.Nix{Path: program, Env: run.Env{"STATE": p.state}},
		Store: store, Files: p.files, State: p.state,
	}
	t.Cleanup(func() { p.writable(t) })
	return p
}

// writable lets the test's directory be removed.
func (p *place) writable(t *testing.T) {
	err := filepath.WalkDir(p.files, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func (p *place) take(data []byte) (*bundle.Imported, error) {
	o := p.options
	o.From = bytes.NewReader(data)
	return bundle.Import(context.Background(), o)
}

// registered returns what Nix was told.
func (p *place) registered(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(p.state, "registered"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

// names returns what is in the store directory.
func (p *place) names(t *testing.T) []string {
	t.Helper()
	root, err := os.OpenRoot(p.files)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	names, err := tree.Names(root, ".")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// untouched makes sure that nothing has come of a file that was refused.
func (p *place) untouched(t *testing.T, what string) {
	t.Helper()
	if got := p.registered(t); got != "" {
		t.Errorf("%s: something was registered:\n%s", what, got)
	}
	if names := p.names(t); len(names) > 0 {
		t.Errorf("%s: left in the store: %q", what, names)
	}
}

// complete makes sure that all of a closure is there as it was, and registered.
func (p *place) complete(t *testing.T, c *closure.Closure) {
	t.Helper()
	if diff := cmp.Diff(string(closure.Registration(c.Paths)), p.registered(t)); diff != "" {
		t.Errorf("registered (-want +got):\n%s", diff)
	}
	var want []string
	root, err := os.OpenRoot(p.files)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, path := range c.Paths {
		want = append(want, path.Base())
		if digest, _, err := nar.Sum(root, path.Base()); err != nil || digest != path.NarHash {
			t.Errorf("%s: %s, %v", path.Path, digest, err)
		}
		err := tree.Walk(root, path.Base(), func(n tree.Node) error {
			info, err := root.Lstat(n.Name)
			if err == nil && n.Kind != tree.Link && (info.Mode().Perm()&0o222 != 0 || !info.ModTime().Equal(time.Unix(1, 0))) {
				t.Errorf("%s: %s of %s", n.Name, info.Mode(), info.ModTime())
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff(want, p.names(t)); diff != "" {
		t.Errorf("in the store (-want +got):\n%s", diff)
	}
}

// sample returns a closure and its bundle.
func sample(t testing.TB) (*closure.Closure, []byte) {
	t.Helper()
	c := storetest.Sample(t, t.TempDir(), store)
	return c, export(t, c)
}

func export(t testing.TB, c *closure.Closure) []byte {
	t.Helper()
	root, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var b bytes.Buffer
	if err := bundle.Write(context.Background(), &b, bundle.Options{Closure: c, Root: root}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestThereAndBack(t *testing.T) {
	t.Parallel()
	c, data := sample(t)
	p := newPlace(t)
	sum := sha256.Sum256(data)
	p.options.SHA256 = hex.EncodeToString(sum[:])
	made, err := p.take(data)
	if err != nil {
		t.Fatal(err)
	}
	p.complete(t, c)
	if len(made.Paths) != 3 || len(made.Had) != 0 || made.Bytes != c.Bytes() {
		t.Errorf("it came to %+v", made)
	}
}

func TestSameBytes(t *testing.T) {
	t.Parallel()
	_, first := sample(t)
	time.Sleep(10 * time.Millisecond)
	_, second := sample(t)
	if !bytes.Equal(first, second) {
		t.Error("the same closure, made elsewhere and later, has other bytes")
	}
}

// TestAnyTarReadsIt unpacks one with a reader that knows nothing of bundles.
func TestAnyTarReadsIt(t *testing.T) {
	t.Parallel()
	c, data := sample(t)
	z, err := zstd.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	r := tar.NewReader(z)
	var names []string
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || !h.ModTime.Equal(time.Unix(1, 0)) {
			t.Errorf("%s: of %d:%d %q at %s", h.Name, h.Uid, h.Gid, h.Uname, h.ModTime)
		}
	}
	if names[0] != "nix-path-registration" || names[1] != "p/store/"+c.Paths[0].Base()+"/" {
		t.Errorf("it begins with %q", names[:2])
	}
}
