//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// settled is what a prefix holds for a test to look after.
type settled struct {
	wares
	rooted  string // a store path with a root in the working directory
	garbage string // a store path without one
	old     string // one that only an old generation of the profile keeps
}

// settle gives a prefix a profile with an old generation to go back to, a result and some garbage.
func (p *place) settle(t *testing.T) settled {
	t.Helper()
	s := settled{wares: p.newWares(t)}
	s.garbage = p.built(t, s.wares, "prog")
	s.rooted = strings.TrimSpace(p.line(t, s.dir, "nix-build src -A two").must(t))
	p.line(t, s.dir, "nix-env -f src -i -A old").must(t)
	p.line(t, s.dir, "nix-env -e *").must(t)
	s.old = p.built(t, s.wares, "old")
	return s
}

// collected makes sure that the garbage of a prefix is gone, and that with the old generations
// what they kept is, but that the rest is not.
func (s settled) collected(t *testing.T, generations bool) {
	t.Helper()
	for path, want := range map[string]bool{s.garbage: false, s.old: !generations, s.rooted: true} {
		if _, err := os.Lstat(path); (err == nil) != want {
			t.Errorf("%s is there: %t, and should be: %t", path, err == nil, want)
		}
	}
}

// insideOf returns command lines that run another one in an environment of the prefix's making.
func (p *place) insideOf(t *testing.T, s settled, script string) map[string]command {
	t.Helper()
	shell := []string{"nix-shell", "src", "-A", "env", "--run", script}
	path := func(argv ...string) []string { return append([]string{p.programPath(t, argv[0])}, argv[1:]...) }
	return map[string]command{
		"nix-shell":              p.bare(s.dir, path(shell...)),
		"nix develop":            p.bare(s.dir, path("nix", "develop", "./src#env", "-c", "sh", "-c", script)),
		"nix shell":              p.bare(s.dir, path("nix", "shell", "./src#prog", "-c", "sh", "-c", script)),
		"env file":               p.sourced(s.dir, []string{"sh", "-c", script}),
		"env file and nix-shell": p.sourced(s.dir, shell),
		"no shell":               p.bare(s.dir, []string{"sh", "-c", script}),
	}
}

// testOtherShell does what there is to do with one Nix in the shells of the other. The other store
// has to be as it was, and it has to be one's own garbage that was collected.
func testOtherShell(t *testing.T, n *neighbours) {
	for _, pair := range n.pairs() {
		mine, other := pair[0], pair[1]
		theirs := other.settle(t)
		for name := range other.insideOf(t, theirs, "true") {
			t.Run(fmt.Sprintf("%s in %s of %s", mine.store, name, other.store), func(t *testing.T) {
				inside := func(words ...string) result {
					words[0] = mine.programPath(t, words[0])
					return other.insideOf(t, theirs, strings.Join(words, " "))[name].run(t)
				}
				ours := mine.settle(t)
				inside("nix-store", "--version").want(t, 0) // what the shell needs is built then
				before := other.fingerprint(t)
				storeDir := strings.TrimSpace(inside("nix", "eval", "--raw", "--expr", "builtins.storeDir").want(t, 0).stdout)
				if storeDir != mine.store {
					t.Fatalf("builtins.storeDir is %q", storeDir)
				}
				// What would be collected is looked at before anything is.
				if dead := inside("nix-store", "--gc", "--print-dead").want(t, 0).stdout; strings.Contains(dead, other.store+"/") {
					t.Fatalf("the garbage of %s is to be\n%s", mine.store, lastLines(dead, 10))
				}
				inside("nix-build", "--no-out-link", filepath.Join(ours.dir, "src"), "-A", "env").want(t, 0)
				inside("nix", "registry", "add", "iso", "path:"+filepath.Join(ours.dir, "src")).want(t, 0)
				inside("nix-collect-garbage", "-d").want(t, 0)
				same(t, "the other store", before, other.fingerprint(t))
				ours.collected(t, true)
				mine.line(t, ours.dir, "nix-store --verify").must(t)
			})
		}
	}
}
