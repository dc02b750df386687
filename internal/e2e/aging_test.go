//go:build e2e

package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"bootstrap/internal/debtest"
	"bootstrap/internal/journal"
	"bootstrap/internal/lock"
)

// testMirrors fetches from mirrors of its own, good ones and bad ones: the lock ages, since point
// releases take files off the mirrors, and an installation has to go on.
// None of these runs gets further than to the end of stage fetch.
func testMirrors(t *testing.T, w *world) {
	w.fillCache(t)
	t.Run("on the mirror", func(t *testing.T) {
		f := w.newFetching(t, "make", "ca-certificates")
		mirror := w.newSeedMirror(t)
		f.run(t, "--mirror", mirror.serve(t)).fetched(t, f)
		if !mirror.wasAsked(f.missing[0]) {
			t.Errorf("the mirror was not asked for %s", f.missing[0].Path)
		}
	})
	t.Run("in the snapshot archive", func(t *testing.T) {
		f := w.newFetching(t, "make", "ca-certificates")
		mirror, snapshot := w.newSeedMirror(t).without(f.missing), w.newSeedMirror(t)
		f.run(t, "--mirror", mirror.serve(t), "--snapshot", snapshot.serve(t)).fetched(t, f)
		if !mirror.wasAsked(f.missing[0]) || !snapshot.wasAsked(f.missing[0]) {
			t.Errorf("not both were asked for %s", f.missing[0].Path)
		}
	})
	t.Run("nowhere any more", func(t *testing.T) { testResolvedAgain(t, w) })
	t.Run("nowhere, and the index is signed by a stranger", func(t *testing.T) {
		f := w.newFetching(t, "ca-certificates")
		mirror := w.newSeedMirror(t).without(f.missing)
		mirror.archive, _ = newArchive(t)
		r := f.run(t, "--mirror", mirror.serve(t), "--snapshot", mirror.serve(t)).want(t, 4)
		f.nothingUnpacked(t, r)
	})
	t.Run("the mirror lies, the snapshot archive does not", func(t *testing.T) {
		f := w.newFetching(t, "make")
		mirror := w.newSeedMirror(t)
		mirror.broken(f.missing, mirror.wrong)
		f.run(t, "--mirror", mirror.serve(t), "--snapshot", w.newSeedMirror(t).serve(t)).fetched(t, f)
	})
	testBadMirrors(t, w)
}

// testBadMirrors: neither the mirror nor the snapshot archive has anything of use.
func testBadMirrors(t *testing.T, w *world) {
	for _, tt := range []struct {
		name string
		code int
		how  func(*seedMirror) http.HandlerFunc
	}{
		{"500", 1, func(*seedMirror) http.HandlerFunc { return serverError }},
		{"half a file", 1, func(m *seedMirror) http.HandlerFunc { return m.half }},
		{"wrong bytes", 4, func(m *seedMirror) http.HandlerFunc { return m.wrong }},
		{"endless bytes", 4, func(*seedMirror) http.HandlerFunc { return endless }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := w.newFetching(t, "make")
			mirror := w.newSeedMirror(t)
			url := mirror.broken(f.missing, tt.how(mirror)).serve(t)
			r := f.run(t, "--mirror", url, "--snapshot", url).want(t, tt.code)
			if !strings.Contains(r.stderr, "\nhint: ") {
				t.Errorf("it has no hint\n%s", r.tail())
			}
			f.nothingUnpacked(t, r)
			if _, err := os.Stat(f.cached(f.missing[0])); err == nil {
				t.Errorf("%s is in the cache", f.missing[0].Path)
			}
			// And with a good mirror the same command goes on.
			f.run(t, "--mirror", w.newSeedMirror(t).serve(t)).fetched(t, f)
		})
	}
}

// fetching is an installation whose cache lacks some files.
type fetching struct {
	*place
	missing []lock.Entry
	cache   string
}

func (w *world) newFetching(t *testing.T, names ...string) *fetching {
	t.Helper()
	f := &fetching{}
	for _, e := range seedEntries(t) {
		if slices.Contains(names, e.Name) && e.Serves(runtime.GOARCH, lock.Toolchain, lock.CACert) {
			f.missing = append(f.missing, e)
		}
	}
	if len(f.missing) != len(names) {
		t.Fatalf("the lock has %v of %q", f.missing, names)
	}
	f.cache = w.cacheWithout(t, f.missing)
	root, err := os.MkdirTemp(w.dir, "f-")
	if err != nil {
		t.Fatal(err)
	}
	w.mkdir(t, root)
	f.place = &place{w: w, store: filepath.Join(root, "store"), home: w.home(t, "mirrors"), account: w.user}
	return f
}

func (f *fetching) cached(e lock.Entry) string {
	return filepath.Join(f.cache, "sha256", e.SHA256[:2], e.SHA256)
}

// fetchRun is the result of an installation that was to end with stage fetch.
type fetchRun struct{ result }

func (f *fetching) run(t *testing.T, args ...string) fetchRun {
	t.Helper()
	return fetchRun{f.install("fetch end", append(args, "--cache-dir", f.cache)...).run(t)}
}

// fetched makes sure that a run got to the end of stage fetch, with the right bytes.
func (r fetchRun) fetched(t *testing.T, f *fetching) {
	t.Helper()
	if r.signal != syscall.SIGKILL || f.records(t, "fetch", journal.End) != 1 {
		t.Fatalf("%s\nit was to end after stage fetch\n%s", r, r.tail())
	}
	for _, e := range f.missing {
		if sum, err := digest(f.cached(e)); err != nil || sum != e.SHA256 {
			t.Errorf("%s: sha256 %s, %v", e.Path, sum, err)
		}
	}
}

// nothingUnpacked makes sure that a run which failed left nothing that was made of a seed.
func (f *fetching) nothingUnpacked(t *testing.T, r result) {
	t.Helper()
	if n := f.records(t, "fetch", journal.End); n != 0 {
		t.Errorf("stage fetch ended well\n%s", r.tail())
	}
	for _, dir := range []string{f.store, filepath.Join(f.root(), "var/bootstrap/host"), f.packages()} {
		if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
			t.Errorf("%s is not empty", dir)
		}
	}
}

// want is [result.want], which returns the result alone.
func (r fetchRun) want(t *testing.T, code int) result {
	t.Helper()
	return r.result.want(t, code)
}

// newArchive returns a signed archive in which two packages of the seed are newer,
// and a file with the key it is signed by.
func newArchive(t *testing.T) (archive *debtest.Archive, keyring string) {
	t.Helper()
	archive = debtest.NewArchive(t)
	suite := archive.Suite("trixie")
	suite.Codename, suite.Date = "trixie", time.Now()
	suite.Add(
		debtest.Package{Name: "make", Version: "99", Arch: runtime.GOARCH},
		debtest.Package{Name: "ca-certificates", Version: "20990101", Arch: lock.All},
	)
	archive.Publish()
	dir, err := os.MkdirTemp("/var/tmp", "b-key-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	keyring = filepath.Join(dir, "keyring")
	f, err := os.Create(keyring)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, key := range archive.Keyring() {
		if err := key.Serialize(f); err != nil {
			t.Fatal(err)
		}
	}
	return archive, keyring
}

// testResolvedAgain: what is nowhere any more is replaced by what the signed index has now.
func testResolvedAgain(t *testing.T, w *world) {
	f := w.newFetching(t, "make", "ca-certificates")
	mirror := w.newSeedMirror(t).without(f.missing)
	archive, keyring := newArchive(t)
	mirror.archive = archive
	args := []string{"--mirror", mirror.serve(t), "--snapshot", mirror.serve(t), "--keyring", keyring}
	before := f.plan(t, append(args, "--cache-dir", f.cache)...)

	r := f.run(t, args...)
	if r.signal != syscall.SIGKILL || f.records(t, "fetch", journal.End) != 1 || f.records(t, "relock", journal.End) != 1 {
		t.Fatalf("%s\nit was to make a new lock and end after stage fetch\n%s", r, r.tail())
	}
	for _, e := range f.missing {
		want := e.Name + ":" + e.Architecture + ": " + e.Version + " -> "
		if !strings.Contains(r.stderr, want) {
			t.Errorf("it does not say %q\n%s", want, r.tail())
		}
	}
	if !strings.Contains(r.stderr, "store paths will differ") {
		t.Errorf("it does not say what follows\n%s", r.tail())
	}
	for _, p := range archive.Suite("trixie").Packages {
		sum := archive.SHA256(p.Path())
		if got, err := digest(filepath.Join(f.cache, "sha256", sum[:2], sum)); err != nil || got != sum {
			t.Errorf("%s: sha256 %s, %v", p.Path(), got, err)
		}
	}
	// The next run goes on with the new lock, and has nothing to fetch.
	after := f.plan(t, append(args, "--cache-dir", f.cache)...)
	if after.LockDigest == before.LockDigest || after.FetchFiles != 0 {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
}

// fillCache fetches the seed, if no other test has.
func (w *world) fillCache(t *testing.T) {
	t.Helper()
	entries := seedEntries(t)
	if _, err := os.Stat(w.cached(entries[len(entries)-1].SHA256)); err == nil {
		return
	}
	root := filepath.Join(w.dir, "fill")
	w.mkdir(t, root)
	p := &place{w: w, store: filepath.Join(root, "store"), home: w.home(t, "fill-home"), account: w.user}
	if r := p.install("fetch end").run(t); r.signal != syscall.SIGKILL {
		t.Fatalf("%s\n%s", r, r.tail())
	}
}
