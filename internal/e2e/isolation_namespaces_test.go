//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testNoNamespaces: where a store that is kept elsewhere than its paths say would need a mount
// namespace and there is none, a build ends before it writes anything, least of all into the store
// that is in that place.
func testNoNamespaces(t *testing.T, n *neighbours) {
	change := withoutNamespaces(n.a.account)
	if change == nil {
		t.Skip("skipped: namespaces cannot be taken away here")
	}
	p := *n.a
	p.change = both(change, n.a.change)
	w := p.newWares(t)
	root := p.scratch(t)
	expression := `derivation { name = "iso-diverted"; system = "` + w.system + `"; builder = "/bin/sh"; args = [ "-c" "echo x >$out" ]; }`
	l := p.layout(t)
	for name, uri := range map[string]string{
		"root":      "local?root=" + filepath.Join(root, "root"),
		"real":      "local?real=" + filepath.Join(root, "real/store") + "&state=" + filepath.Join(root, "real/var") + "&log=" + filepath.Join(root, "real/log"),
		"all":       "local?root=" + filepath.Join(root, "all") + "&store=" + n.b.store + "&real=" + filepath.Join(root, "all/store") + "&state=" + filepath.Join(root, "all/var") + "&log=" + filepath.Join(root, "all/log"),
		"directory": filepath.Join(root, "directory"),
	} {
		for _, sandbox := range []string{"true", "false"} {
			for _, fallback := range []string{"true", "false"} {
				t.Run(name+", sandbox "+sandbox+", fallback "+fallback, func(t *testing.T) {
					beforeA, beforeB := n.a.fingerprint(t), n.b.fingerprint(t)
					r := p.bare(w.dir, []string{
						p.programPath(t, "nix"), "build", "--no-link", "--impure", "--store", uri, "--option", "sandbox", sandbox,
						"--option", "sandbox-fallback", fallback, "--expr", expression,
					}).run(t)
					r.refused(t, "this system does not support the kernel namespaces that this needs")
					same(t, "the store", beforeA, n.a.fingerprint(t))
					same(t, "the other store", beforeB, n.b.fingerprint(t))
				})
			}
		}
	}
	t.Run("its own store", func(t *testing.T) {
		build := func(name, fallback string) result {
			return p.bare(w.dir, []string{
				p.programPath(t, "nix"), "build", "--no-link", "--print-out-paths", "-f", "src", name,
				"--option", "sandbox", "true", "--option", "sandbox-fallback", fallback,
			}).run(t)
		}
		build("one", "false").refused(t, "required for sandboxing")
		r := build("prog", "true").want(t, 0)
		if !strings.Contains(r.stderr, "building without a sandbox") {
			t.Errorf("it does not say that there is no sandbox\n%s", r.tail())
		}
		if _, err := os.Lstat(strings.TrimSpace(r.stdout)); err != nil || !strings.HasPrefix(r.stdout, l.Store+"/") {
			t.Errorf("built %q, %v", r.stdout, err)
		}
	})
	t.Run("with namespaces", func(t *testing.T) {
		if withoutNamespaces(n.a.account) == nil || p.output(t, "host", "sandbox") != "true" {
			t.Skip("skipped: there are none here")
		}
		out := n.a.bare(w.dir, []string{
			p.programPath(t, "nix"), "build", "--no-link", "--impure", "--print-out-paths", "--store", "local?root=" + filepath.Join(root, "works"),
			"--expr", expression,
		}).must(t)
		if data, err := os.ReadFile(filepath.Join(root, "works/nix/store", filepath.Base(strings.TrimSpace(out)))); err != nil || string(data) != "x\n" {
			t.Errorf("built %q: %q, %v", out, data, err)
		}
	})
}
