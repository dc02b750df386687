package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bootstrap/internal/bundletest"
	"bootstrap/internal/fault"
	"bootstrap/internal/nixbundle"
	"bootstrap/internal/prefix"
	"bootstrap/stages"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestHeadRefuses: no bundle is made where a directory may stand in any text, and nobody is asked anything for that.
func TestHeadRefuses(t *testing.T) {
	opt := prefix.Layout{Store: "/opt/store", State: "/opt/var/nix", Log: "/opt/var/log/nix", Conf: "/opt/etc/nix"}
	for name, change := range map[string]func(*prefix.Layout){
		"/nix/store": func(l *prefix.Layout) { l.Store = "/nix/store" },
		"/s":         func(l *prefix.Layout) { l.Store = "/s" },
		"/var/lib":   func(l *prefix.Layout) { l.State = "/var/lib" },
		"/logs":      func(l *prefix.Layout) { l.Log = "/logs" },
		"/etc":       func(l *prefix.Layout) { l.Conf = "/etc" },
	} {
		l := opt
		change(&l)
		_, err := own{place: place{layout: l}}.head(t.Context())
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Unfit || !strings.Contains(err.Error(), "transport "+name+": prefix is not distinctive") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// makeBundle writes a bundle, as if of a prefix with that root, which has the stand-in for Nix and the
// package set of the prefix in opt. It sets KEY and SUM to what it is known by, and BUNDLE_URL to where
// the mirror has it: that file is then the one which [behaviours] are about.
func makeBundle(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg)
	w := worldOf(ts)
	if len(args) < 2 {
		ts.Fatalf("usage: makebundle FILE ROOT [NAME TEXT]")
	}
	program, err := os.ReadFile(ts.Getenv("FAKE_NIX"))
	ts.Check(err)
	l, err := prefix.Locate(prefix.Options{Path: filepath.Join(w.dir, "opt", "store")})
	ts.Check(err)
	files, err := packageFiles(l)
	ts.Check(err)
	dir, err := os.MkdirTemp(w.dir, "made-")
	ts.Check(err)
	defer os.RemoveAll(dir)
	more := map[string]string{}
	if len(args) == 4 {
		more[args[2]] = args[3]
	}
	made := bundletest.New(w.seed.tb, filepath.Join(dir, "store"), args[1], string(program), more)
	made.Head.Lock, made.Head.Packages = w.seed.lock.Digest(), stages.PackageSet(files)
	key := bundletest.Key(w.seed.tb, "maker")
	file := ts.MkAbs(args[0])
	made.Write(file, []*nixbundle.SecretKey{key}...)
	data, err := os.ReadFile(file)
	ts.Check(err)
	w.seed.moving, w.seed.bundle = "bundle/"+filepath.Base(file), data
	w.seed.archive.Tamper(w.seed.moving, data)
	ts.Setenv("BUNDLE_URL", ts.Getenv("MIRROR")+"/"+w.seed.moving)
	ts.Setenv("KEY", key.Public().String())
	ts.Setenv("SUM", fmt.Sprintf("%x", sha256.Sum256(data)))
}
