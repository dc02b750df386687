package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// ward is where installations meet their faults: one place, a seed, and what is served of it.
type ward struct {
	dir      string
	seed     *seed
	front    *front
	snapshot *httptest.Server
	healthy  remains // of an installation that met no fault
	copy     string  // of its directories
}

// newWard makes one, with a healthy installation to compare with.
func newWard(t *testing.T) *ward {
	t.Helper()
	// Short, since a prefix must be, and without links on the way.
	dir, err := os.MkdirTemp("", "f")
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	must(t, err)
	t.Cleanup(func() { raze(t, dir) })
	must(t, os.Chmod(dir, 0o755)) // nobody has to get in, too
	w := &ward{dir: dir, seed: newSeed(t, parts()), copy: filepath.Join(dir, "healthy")}
	w.front = newFront(t, w.seed)
	w.snapshot = httptest.NewServer(http.HandlerFunc(w.seed.snapshot))
	t.Cleanup(w.snapshot.Close)
	must(t, os.WriteFile(w.path("lock.json"), w.seed.lock.Marshal(), 0o644))
	var key bytes.Buffer
	must(t, w.seed.keyrings["keyring"].Serialize(&key))
	must(t, os.WriteFile(w.path("keyring.gpg"), key.Bytes(), 0o644))
	fake, err := os.ReadFile(filepath.Join("..", "..", "stages", "testdata", "nix"))
	must(t, err)
	// Some faults change /bin/sh, and with it the programs that a shell has built in.
	fake = bytes.Replace(fake, []byte("#!/bin/sh\n"), []byte("#!/bin/bash\n"), 1)
	must(t, os.WriteFile(w.path("nix"), fake, 0o755))

	p := w.patient(t, false)
	p.run().wants(0)
	w.healthy = p.remains()
	must(t, os.Mkdir(w.copy, 0o755))
	for _, name := range []string{"opt", "cache", "home"} {
		copyTree(t, w.path(name), filepath.Join(w.copy, name))
	}
	return w
}

func (w *ward) path(names ...string) string {
	return filepath.Join(append([]string{w.dir}, names...)...)
}

func (w *ward) store() string { return w.path("opt", "store") }

// patient returns the place as it is before a fault: with nothing in it, or with a healthy installation.
func (w *ward) patient(t *testing.T, whole bool) *patient {
	t.Helper()
	for _, name := range []string{"opt", "cache", "home"} {
		raze(t, w.path(name))
		if whole {
			copyTree(t, filepath.Join(w.copy, name), w.path(name))
		} else {
			must(t, os.Mkdir(w.path(name), 0o755))
		}
	}
	w.front.behave(nil)
	return &patient{T: t, ward: w, program: "bootstrap", home: w.path("home"), cache: w.path("cache"), url: w.front.url()}
}

// suffer provokes a fault, runs the same command again, and returns how many bytes were lost.
func (w *ward) suffer(t *testing.T, m mishap) int64 {
	t.Helper()
	p := w.patient(t, m.whole)
	defer p.dismiss()
	m.provoke(p)
	if t.Failed() {
		return -1
	}
	w.front.behave(nil)
	if m.heal != nil {
		m.heal(p)
	}
	p.run().wants(0)
	got := p.remains()
	got.compare(t, w.healthy, m.differs)
	return w.healthy.lost(got)
}

// copyTree copies directories with modes, times and links, as cp -a does.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
}

// raze removes a directory in which some may be read-only.
func raze(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Lstat(dir); err != nil {
		return
	}
	_ = exec.Command("chmod", "-R", "u+rwX", dir).Run()
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
