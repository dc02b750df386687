package stages

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"bootstrap/internal/debtest"
	"bootstrap/internal/event"
	"bootstrap/internal/journal"
	"bootstrap/internal/lock"
	"bootstrap/internal/prefix"
	"bootstrap/internal/probe"
)

// stamp is when the lock of the tests was made.
const stamp = "20260912T075541Z"

// member is one file of the seed of the tests.
type member struct {
	name, version string
	roles         []lock.Role
	data          []byte
}

// members are a seed with a file for each role, and one that serves two.
func members() []member {
	program := func(name, version, file string, roles ...lock.Role) member {
		text := "#!/bin/sh\n# " + name + "\n"
		if name == "busybox-static" { // it runs the programs of runtime mode
			text += "exec /bin/bash \"$@\"\n"
		}
		entries := []debtest.Entry{debtest.Exe("./"+file, text)}
		deb := debtest.Deb(name, version, entries, &debtest.DebOptions{Arch: runtime.GOARCH})
		return member{name, version, roles, deb}
	}
	return []member{
		program("busybox-static", "1.37.0-6", "usr/bin/busybox", lock.Shell),
		program("bash-static", "5.2.37-2", "usr/bin/bash-static", lock.Shell),
		program("patchelf", "0.14.3-1", "usr/bin/patchelf", lock.Patchelf),
		program("nix-bin", "2.26.3+dfsg-1", "usr/bin/nix", lock.Host),
		program("libacl1", "2.3.2-2", "usr/lib/libacl.so.1", lock.Host, lock.Toolchain),
		program("make", "4.4.1-2", "usr/bin/make", lock.Toolchain),
		program("ca-certificates", "20250419", "usr/share/ca-certificates/mozilla/Somebody.crt", lock.CACert),
		{"nix", "2.26.3+dfsg-1", []lock.Role{lock.NixSource}, []byte("a source of Nix")},
		{"hello", "2.10-5", []lock.Role{lock.HelloSource}, []byte("a source of GNU hello")},
	}
}

// lockOf returns a lock that pins the members for this machine.
func lockOf(members []member) *lock.Lock {
	l := &lock.Lock{
		Version: lock.FormatVersion, Timestamp: stamp,
		Suites: []lock.Suite{{
			Name: "trixie", Codename: "trixie", Date: stamp,
			InReleaseSHA256: strings.Repeat("c", 64), SignedBy: strings.Repeat("AB", 20),
		}},
	}
	for _, m := range members {
		e := lock.Entry{
			Name: m.name, Version: m.version, Architecture: runtime.GOARCH, Suite: "trixie",
			Path: "pool/main/" + m.name + "_" + m.version + "_" + runtime.GOARCH + ".deb",
			Size: int64(len(m.data)), SHA256: digestOf(m.data), Roles: m.roles, For: []string{runtime.GOARCH},
		}
		if m.roles[0] == lock.NixSource || m.roles[0] == lock.HelloSource {
			e.Architecture = lock.Source
			upstream, _, _ := strings.Cut(m.version, "-")
			e.Path = "pool/main/" + m.name + "_" + upstream + ".orig.tar.xz"
		}
		l.Entries = append(l.Entries, e)
	}
	return l
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// fill puts the members into a cache of downloads, as if they had been fetched.
func fill(t *testing.T, cache string, members []member) {
	t.Helper()
	for _, m := range members {
		sum := digestOf(m.data)
		put(t, filepath.Join(cache, "sha256", sum[:2], sum), string(m.data))
	}
}

// options are those of an installation below a directory, whose seed is in the cache, whose host
// nix is the stand-in, and that reaches no network.
func options(t *testing.T, dir string) Options {
	t.Helper()
	layout, err := prefix.Resolve(prefix.Options{Path: filepath.Join(dir, "opt", "store")})
	if err != nil {
		t.Fatal(err)
	}
	fake, err := filepath.Abs(filepath.Join("testdata", "nix"))
	if err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(dir, "cache")
	fill(t, cache, members())
	return Options{
		Layout: layout, Lock: lockOf(members()), Host: fake, CacheDir: cache, Transport: offline{},
		Root: os.DirFS(dir), User: "somebody", Installer: "test", Command: "test", Run: "run-1",
		Sink: event.Discard(), Now: time.Now,
	}
}

// offline is a network that is not there.
type offline struct{}

func (offline) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no network in tests")
}

// newRun returns an installation that has not looked at anything yet.
func newRun(t *testing.T, o Options) *installation {
	t.Helper()
	r, err := begin(o)
	if err != nil {
		t.Fatal(err)
	}
	r.history, r.arch = &journal.History{}, runtime.GOARCH
	r.facts = probe.Facts{CPUs: 2, Architecture: runtime.GOARCH}
	return r
}

// opened returns an installation with its directories made and its journal open.
func opened(t *testing.T, o Options) *installation {
	t.Helper()
	r := newRun(t, o)
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(journal.Options{Path: r.layout.Journal(), Run: r.Run, Now: r.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	r.journal = j
	if err := r.prepare(); err != nil {
		t.Fatal(err)
	}
	return r
}

// scratch returns a directory whose path is short enough for a prefix, and without links.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "stages")
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := removeTree(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
