//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"testing"
)

// testCollectors collects the garbage of one prefix with the Nix of the other, which is told all
// four directories. What is installed is rooted by itself, not by the Nix that happens to run.
func testCollectors(t *testing.T, n *neighbours) {
	for _, pair := range n.pairs() {
		mine, other := pair[0], pair[1]
		theirs := other.settle(t)
		before := mine.fingerprint(t)
		l := other.layout(t)
		uri := "local?store=" + l.Store + "&state=" + l.State + "&log=" + l.Log
		mine.line(t, theirs.dir, "nix store gc --store "+uri).must(t)
		theirs.collected(t, false)
		for _, path := range []string{
			mine.native(t), other.native(t), other.output(t, "toolchain", "busybox"), other.output(t, "toolchain", "toolchain"),
		} {
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("%s was collected: %v", path, err)
			}
		}
		same(t, "the collecting prefix", before, mine.fingerprint(t))
		other.works(t, "iso-collected-"+filepath.Base(other.root()))
	}
}

// testStoreStamp: a state directory says whose it is, and a database that knows nothing does not
// make garbage of a store.
func testStoreStamp(t *testing.T, n *neighbours) {
	p := n.a
	dir := p.scratch(t)
	stamp := func(s standIn) string { return filepath.Join(s.layout.State, "store-dir") }
	t.Run("is written", func(t *testing.T) {
		for _, p := range []*place{n.a, n.b} {
			if data, err := os.ReadFile(filepath.Join(p.layout(t).State, "store-dir")); err != nil || string(data) != p.store+"\n" {
				t.Errorf("the stamp of %s: %q, %v", p.store, data, err)
			}
		}
		s := newStandIn(t, p)
		if data, err := os.ReadFile(stamp(s)); err != nil || string(data) != s.layout.Store+"\n" {
			t.Errorf("the stamp of a new store: %q, %v", data, err)
		}
	})
	t.Run("of another store", func(t *testing.T) {
		s := newStandIn(t, p)
		mixed := "local?store=" + filepath.Join(dir, "store") + "&state=" + s.layout.State + "&log=" + s.layout.Log
		p.line(t, dir, "nix store gc --store "+mixed).run(t).refused(t, "belongs to the store '"+s.layout.Store+"'")
		// A database from before there was a stamp is known by what it holds.
		remove(t, stamp(s))
		p.line(t, dir, "nix store gc --store "+mixed).run(t).refused(t, "holds paths of the store '"+s.layout.Store+"'")
		p.line(t, dir, "nix store gc --store "+s.uri()).must(t)
		if _, err := os.Stat(stamp(s)); err != nil {
			t.Errorf("the stamp was not written again: %v", err)
		}
	})
	t.Run("empty database", func(t *testing.T) {
		s := newStandIn(t, p)
		remove(t, filepath.Join(s.layout.State, "gcroots/note"))
		remove(t, s.layout.Profiles())
		if err := os.Rename(filepath.Join(s.layout.State, "db"), filepath.Join(dir, "db")); err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"nix store gc", "nix-store --gc", "nix-collect-garbage"} {
			p.line(t, dir, line+" --store "+s.uri()).run(t).refused(t, "refusing to delete all of it")
		}
		if _, err := os.Lstat(s.rooted); err != nil {
			t.Errorf("the store was emptied: %v", err)
		}
	})
	t.Run("empty store", func(t *testing.T) {
		p.line(t, dir, "nix store gc --store local?store="+dir+"/s/store&state="+dir+"/s/var/nix&log="+dir+"/s/var/log/nix").must(t)
	})
}
