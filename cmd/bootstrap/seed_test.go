package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bootstrap/internal/debtest"
	"bootstrap/internal/lock"
	"bootstrap/internal/relink"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/rogpeppe/go-internal/testscript"
)

// seed is a small seed, with a mirror and a snapshot archive that have it.
type seed struct {
	tb       testing.TB
	archive  *debtest.Archive
	older    *debtest.Archive // the archive as it was when the lock was made
	lock     *lock.Lock
	moving   string        // path of the file that [behaviours] are about
	bundle   []byte        // it, where that is a bundle
	stalled  chan struct{} // gets a value when the mirror stalls
	keyrings map[string]*openpgp.Entity

	mu    sync.Mutex
	way   string   // in which the file is answered for
	asked []string // paths, with a "range" behind them where a part was asked for
}

// part is one package of the seed, with the roles it has.
type part struct {
	debtest.Package
	suite string
	roles []lock.Role
}

// movingName names the package that moves, or that the mirror gets wrong.
const movingName = "make"

func parts() []part {
	text := strings.Repeat("all work and no play makes jack a dull boy\n", 5)
	program := func(name, version, file string) debtest.Package {
		return debtest.Package{
			Name: name, Version: version, Arch: runtime.GOARCH,
			// The shell among them runs the programs of runtime mode.
			Entries: []debtest.Entry{debtest.Exe(file, "#!/bin/sh\nexec /bin/bash \"$@\"\n"+text)},
		}
	}
	lib := "./usr/lib/" + relink.Triplet(runtime.GOARCH) + "/"
	return []part{
		{program("busybox-static", "1:1.37.0-6", "./usr/bin/busybox"), "trixie", []lock.Role{lock.Shell}},
		{program("bash-static", "5.2.37-2", "./usr/bin/bash-static"), "trixie", []lock.Role{lock.Shell}},
		{program("patchelf", "0.14.3-1", "./usr/bin/patchelf"), "bookworm", []lock.Role{lock.Patchelf}},
		{program("nix-bin", "2.26.3+dfsg-1", "./usr/bin/nix"), "trixie", []lock.Role{lock.Host}},
		{debtest.Package{
			Name: "libacl1", Version: "2.3.2-2", Arch: runtime.GOARCH,
			Entries: []debtest.Entry{debtest.Reg(lib+"libacl.so.1", text)},
		}, "trixie", []lock.Role{lock.Host, lock.Toolchain}},
		{program(movingName, "4.4.1-2", "./usr/bin/make"), "trixie", []lock.Role{lock.Toolchain}},
		{program("ca-certificates", "20250419", "./usr/sbin/update-ca-certificates"), "trixie", []lock.Role{lock.CACert}},
	}
}

// sources are those of a role, by role.
func sources() map[lock.Role]debtest.Source {
	return map[lock.Role]debtest.Source{
		lock.NixSource: {Name: "nix", Version: "2.26.3+dfsg-1", Files: map[string][]byte{
			"nix_2.26.3+dfsg.orig.tar.xz": []byte("a source of Nix"),
		}},
		lock.HelloSource: {Name: "hello", Version: "2.10-5", Files: map[string][]byte{
			"hello_2.10.orig.tar.gz": []byte("a source of GNU hello"),
		}},
	}
}

// newSeed returns a seed whose packages are as given, and whose lock pins all of them.
func newSeed(t testing.TB, parts []part) *seed {
	s := &seed{
		tb: t, archive: debtest.NewArchive(t), older: debtest.NewArchive(t), lock: &lock.Lock{Version: lock.FormatVersion},
		stalled: make(chan struct{}, 100), keyrings: map[string]*openpgp.Entity{},
	}
	date := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	stamp := date.Format(lock.TimeLayout)
	s.lock.Timestamp = stamp
	for _, name := range []string{"bookworm", "trixie"} {
		s.archive.Suite(name).Date = date
		s.lock.Suites = append(s.lock.Suites, lock.Suite{
			Name: name, Codename: name, Date: stamp,
			InReleaseSHA256: strings.Repeat("c", 64), SignedBy: strings.Repeat("AB", 20),
		})
	}
	for _, p := range parts {
		s.archive.Suite(p.suite).Add(p.Package)
		s.older.Suite(p.suite).Add(p.Package)
		s.pin(lock.Entry{
			Name: p.Name, Version: p.Version, Architecture: p.Arch, Suite: p.suite, Path: p.Path(),
			Roles: p.roles, For: []string{p.Arch},
		})
		if p.Name == movingName {
			s.moving = p.Path()
		}
	}
	for role, source := range sources() {
		s.archive.Suite("trixie").AddSource(source)
		s.older.Suite("trixie").AddSource(source)
		for name := range source.Files {
			s.pin(lock.Entry{
				Name: source.Name, Version: source.Version, Architecture: lock.Source, Suite: "trixie",
				Path: source.Dir() + "/" + name, Roles: []lock.Role{role}, For: []string{runtime.GOARCH},
			})
		}
	}
	s.archive.Publish()
	s.older.Publish()
	for i := range s.lock.Entries {
		e := &s.lock.Entries[i]
		e.Size, e.SHA256 = int64(len(s.archive.File(e.Path))), s.archive.SHA256(e.Path)
	}
	s.keyrings["keyring"] = s.archive.Key
	s.keyrings["foreign"] = debtest.NewKey(t, "Somebody Else")
	return s
}

func (s *seed) pin(e lock.Entry) { s.lock.Entries = append(s.lock.Entries, e) }

// startMirror serves the seed. The first argument, if there is one, names one of [crimes]
// that a package of the host nix commits.
func startMirror(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg)
	all := parts()
	if len(args) > 0 {
		entries, known := crimes(filepath.Join(worldOf(ts).dir, "outside"))[args[0]]
		if !known {
			ts.Fatalf("no crime %q is known", args[0])
		}
		i := slices.IndexFunc(all, func(p part) bool { return p.Name == "libacl1" })
		all[i].Entries = append(all[i].Entries, entries...)
	}
	w := worldOf(ts)
	w.seed = newSeed(tb{ts: ts}, all)
	mirror, snapshot := httptest.NewServer(w.seed), httptest.NewServer(http.HandlerFunc(w.seed.snapshot))
	ts.Defer(func() {
		mirror.CloseClientConnections() // one may be stalled
		mirror.Close()
		snapshot.Close()
	})
	ts.Check(os.WriteFile(filepath.Join(w.dir, "lock.json"), w.seed.lock.Marshal(), 0o644))
	for name, key := range w.seed.keyrings {
		var b bytes.Buffer
		ts.Check(key.Serialize(&b))
		ts.Check(os.WriteFile(filepath.Join(w.dir, name+".gpg"), b.Bytes(), 0o644))
	}
	fake, err := filepath.Abs(filepath.Join("..", "..", "stages", "testdata", "nix"))
	ts.Check(err)
	ts.Setenv("FAKE_NIX", fake)
	data, err := os.ReadFile(fake)
	ts.Check(err)
	w.seed.archive.Tamper("static/nix", data) // as a publisher of static programs has it
	ts.Setenv("HOST_URL", mirror.URL+"/static/nix")
	ts.Setenv("HOST_SHA256", fmt.Sprintf("%x", sha256.Sum256(data)))
	ts.Setenv("MIRROR", mirror.URL)
	ts.Setenv("SNAPSHOT", snapshot.URL)
}

// installs runs the program from the mirror with the stand-in for Nix as its host nix.
func installs(ts *testscript.TestScript, neg bool, args []string) {
	exits(ts, neg, append([]string{args[0], "bootstrap"}, flags(ts, args[1:])...))
}

// flags returns arguments behind those by which the program finds the seed. The later ones count.
func flags(ts *testscript.TestScript, args []string) []string {
	dir := worldOf(ts).dir
	common := []string{
		"--prefix=" + filepath.Join(dir, "opt", "store"), "--cache-dir=" + filepath.Join(dir, "cache"),
		"--lock=" + filepath.Join(dir, "lock.json"), "--host=" + ts.Getenv("FAKE_NIX"),
	}
	if len(args) == 0 || args[0] != "status" { // which asks nobody for anything
		common = append(common, "--mirror="+ts.Getenv("MIRROR"), "--snapshot="+ts.Getenv("SNAPSHOT"),
			"--keyring="+filepath.Join(dir, "keyring.gpg"))
	}
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") { // a verb
		return append(append([]string{args[0]}, common...), args[1:]...)
	}
	return append(common, args...)
}

// ServeHTTP is the mirror.
func (s *seed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	s.mu.Lock()
	line, way := path, s.way
	if r.Header.Get("Range") != "" {
		line += " range"
	}
	s.asked = append(s.asked, line)
	s.mu.Unlock()
	if answer := behaviours()[way]; answer != nil && path == s.moving {
		answer(s, w, r)
		return
	}
	s.archive.ServeHTTP(w, r)
}

// snapshot is the archive as it was when the lock was made. It has what the mirror does not.
func (s *seed) snapshot(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, "snapshot"+r.URL.Path)
	way := s.way
	s.mu.Unlock()
	if way != "snapshot" {
		http.NotFound(w, r)
		return
	}
	s.older.ServeHTTP(w, r)
}

func (s *seed) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func (s *seed) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = nil
}

// tb is as much of [testing.TB] as fixtures need.
type tb struct {
	testing.TB
	ts *testscript.TestScript
}

// Helper does nothing: a script's position is known.
func (t tb) Helper() {}

// Fatalf ends the script.
func (t tb) Fatalf(format string, args ...any) { t.ts.Fatalf(format, args...) }

// Errorf ends the script, too.
func (t tb) Errorf(format string, args ...any) { t.ts.Fatalf(format, args...) }
