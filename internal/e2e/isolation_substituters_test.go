//go:build e2e

package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// testSubstituters fetches what does not depend on a store directory from stores of another one:
// from a binary cache, which has to be asked for it in its own words, and from a store beside.
func testSubstituters(t *testing.T, n *neighbours) {
	t.Run("a binary cache", func(t *testing.T) {
		for _, pair := range n.pairs() {
			mine, other := pair[0], pair[1]
			dir := mine.scratch(t)
			f := other.fixedOutput(t, dir)
			cache := "file://" + filepath.Join(dir, "cache")
			other.line(t, dir, "nix copy --to "+cache+" "+f.path).must(t)
			f.isFetched(t, mine, cache+"?store="+other.store)
		}
	})
	t.Run("a store", func(t *testing.T) {
		for _, pair := range n.pairs() {
			mine, other := pair[0], pair[1]
			dir, l := mine.scratch(t), other.layout(t)
			f := other.fixedOutput(t, dir)
			before := other.fingerprint(t)
			f.isFetched(t, mine, "local?store="+l.Store+"&state="+l.State+"&log="+l.Log+"&read-only=true",
				"--extra-experimental-features", "read-only-local-store")
			same(t, "the store that was asked", before, other.fingerprint(t))
		}
	})
	t.Run("the store in /nix", func(t *testing.T) {
		if n.classic == nil {
			t.Skip("skipped: only root can put a store in the place of /nix")
		}
		dir := n.a.scratch(t)
		f := fixed{dir: dir, path: n.classic.root, name: "classic-2", text: n.classic.text("classic-2")}
		f.isFetched(t, n.a, classicStore+"&read-only=true", "--extra-experimental-features", "read-only-local-store")
	})
}

// fixed is an output that is fixed by its hash, so that every store directory can have it.
type fixed struct{ dir, path, name, text string }

// fixedOutput builds one.
func (p *place) fixedOutput(t *testing.T, dir string) fixed {
	t.Helper()
	f := fixed{dir: dir, name: "iso-fixed-" + filepath.Base(dir), text: "fixed " + filepath.Base(dir)}
	f.path = strings.TrimSpace(p.bare(dir, []string{
		p.programPath(t, "nix"), "build", "--impure", "--no-link", "--print-out-paths", "--expr", f.expression("echo " + f.text + " >$out"),
	}).must(t))
	return f
}

// expression is a derivation of it, by a script.
func (f fixed) expression(script string) string {
	return `derivation { name = "` + f.name + `"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "` + script + `" ];
  outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" "` + f.text + `\n"; }`
}

// isFetched makes sure that a prefix plans to fetch it from a store, and does, without a build.
// "" is what nix.conf names.
func (f fixed) isFetched(t *testing.T, p *place, from string, options ...string) {
	t.Helper()
	build := func(more ...string) result {
		argv := []string{
			p.programPath(t, "nix"), "build", "--impure", "--no-link", "--print-out-paths", "--expr", f.expression("exit 1"),
		}
		if from != "" {
			argv = append(argv, "--option", "substituters", from)
		}
		return p.bare(f.dir, append(append(argv, options...), more...)).run(t)
	}
	plan := build("--dry-run").want(t, 0).stderr
	if !strings.Contains(plan, "will be fetched") || strings.Contains(plan, "will be built") {
		t.Errorf("%s: it plans\n%s", from, plan)
	}
	if out := build().want(t, 0).stdout; !strings.HasPrefix(out, p.store+"/") {
		t.Errorf("%s: fetched as %q", from, out)
	}
}
