package drv_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zombiezen.com/go/nix/nar"

	"bootstrap/internal/drv"
)

// disk is a store on disk that a [world] of derivations is written to.
type disk struct {
	*world
	root string
}

func newDisk(t *testing.T) *disk {
	return &disk{newWorld(t, "/opt/some/store"), t.TempDir()}
}

// source makes a directory by what is in it, and returns its path in the store.
func (d *disk) source(name string, files map[string]string) string {
	d.t.Helper()
	dir := filepath.Join(d.t.TempDir(), "tree")
	for file, content := range files {
		p := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			d.t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			d.t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := nar.DumpPath(&b, dir); err != nil {
		d.t.Fatal(err)
	}
	p := d.dir.Source(name, sha256.Sum256(b.Bytes()), nil, false)
	if err := os.Rename(dir, filepath.Join(d.root, d.base(p))); err != nil {
		d.t.Fatal(err)
	}
	return p
}

// flat keeps a file that is known by its own digest.
func (d *disk) flat(name, content string) string {
	sum := sha256.Sum256([]byte(content))
	p := d.dir.Fixed(name, drv.Fixed{Algo: "sha256", Hash: hex.EncodeToString(sum[:])})
	d.files[d.base(p)] = []byte(content)
	return p
}

func (d *disk) transport(to drv.Dir, roots ...string) (*drv.Result, error) {
	d.t.Helper()
	for base, text := range d.files {
		if err := os.WriteFile(filepath.Join(d.root, base), text, 0o644); err != nil {
			d.t.Fatal(err)
		}
	}
	f, err := drv.OpenFiles(d.root)
	if err != nil {
		d.t.Fatal(err)
	}
	return drv.Transport(drv.Options{From: d.dir, To: to, Store: f}, roots...)
}

// TestSources: each kind of source gets the path that its kind gives at the other directory.
func TestSources(t *testing.T) {
	const to = drv.Dir("/nix/store")
	d, at := newDisk(t), newWorld(t, to)
	tree := map[string]string{"a/b": "1", "c": "a word on /opt/some/store alone"}
	note := d.text("note", "hello")
	script := d.text("script", "cat "+note, note)
	root := simple("x")
	root.Sources = []string{d.source("tree", tree), d.flat("flat", "content"), note, script}
	for i := range root.Sources { // sorted
		for j := range i {
			if root.Sources[i] < root.Sources[j] {
				root.Sources[i], root.Sources[j] = root.Sources[j], root.Sources[i]
			}
		}
	}
	r, err := d.transport(to, d.add(root))
	if err != nil {
		t.Fatal(err)
	}
	there := newDisk(t)
	there.dir = to
	note2 := at.text("note", "hello")
	for name, want := range map[string]string{
		"tree": there.source("tree", tree), "flat": there.flat("flat", "content"),
		"note": note2, "script": at.text("script", "cat "+note2, note2),
	} {
		got := ""
		for base, moved := range r.Bases {
			if base[drv.HashLen+1:] == name {
				got = moved
			}
		}
		if got != strings.TrimPrefix(want, string(to)+"/") {
			t.Errorf("%s becomes %s, want %s", name, got, want)
		}
	}
	if text := string(r.Texts[strings.TrimPrefix(at.text("script", "cat "+note2, note2), string(to)+"/")]); text != "cat "+note2 {
		t.Errorf("the script is now %q", text)
	}
}

// TestSourcesMadeHere: a tree that names a path of this store was made at this prefix.
func TestSourcesMadeHere(t *testing.T) {
	d := newDisk(t)
	note := d.text("note", "hello")
	for name, source := range map[string]func() string{
		"tree": func() string { return d.source("tree", map[string]string{"f": note}) },
		"flat": func() string { return d.flat("flat", note) },
	} {
		root := simple(name)
		root.Sources = []string{source()}
		_, err := d.transport("/nix/store", d.add(root))
		var refused *drv.RefusedError
		if !errors.As(err, &refused) || refused.Reason != drv.Unproven {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLateDerivation: a derivation that only a source's text names is found.
func TestLateDerivation(t *testing.T) {
	d := newDisk(t)
	dep := d.add(simple("dep"))
	script := d.text("script", "build "+dep+" "+d.out(dep, "out"), dep)
	root := simple("x")
	root.Sources = []string{script}
	r, err := d.transport("/nix/store", d.add(root))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, "/nix/store")
	dep2 := w.add(simple("dep"))
	script2 := w.text("script", "build "+dep2+" "+w.out(dep2, "out"), dep2)
	if got := r.Bases[d.base(script)]; got != w.base(script2) {
		t.Errorf("the script becomes %s, want %s", got, script2)
	}
}
