//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testStores makes two prefixes and a Nix in /nix work together, on purpose and as docs/BORROW.md
// and docs/STORES.md have it. All that was arranged is undone, and then nothing of it is left.
func testStores(t *testing.T, a, b *place) {
	n := newNeighbours(t, a, b, "stores")
	before := n.others(t)
	for _, group := range []struct {
		name string
		test func(*testing.T, *neighbours)
	}{
		{"borrow", testBorrow},
		{"borrow from a Nix in /nix", testBorrowClassic},
		{"sources", testLocalSources},
		{"copies", testCopies},
		{"software and data", testSoftwareAndData},
	} {
		t.Run(group.name, func(t *testing.T) {
			group.test(t, n)
			same(t, "after the group", before, n.others(t))
			n.a.works(t, "stores-after-"+filepath.Base(t.Name())+"-a")
			n.b.works(t, "stores-after-"+filepath.Base(t.Name())+"-b")
		})
	}
}

// testBorrow lets builds of one prefix use what the other has, and ends that again.
func testBorrow(t *testing.T, n *neighbours) {
	for _, pair := range n.pairs() {
		mine, other := pair[0], pair[1]
		t.Run(filepath.Base(mine.root()), func(t *testing.T) {
			before := other.fingerprint(t)
			ware := other.built(t, other.newWares(t), "one") // nothing keeps it
			l := loanOf{mine, filepath.Join(ware, "one"), "one\n"}
			l.isSeen(t, !mine.sandboxed(t))

			r := mine.program("borrow", other.root(), "--path", ware, "--path", other.native(t)).run(t).want(t, 0)
			for _, want := range []string{"recorded nowhere", "may delete all that is borrowed but the paths that are kept"} {
				if !strings.Contains(r.stderr, want) {
					t.Errorf("it does not warn that what is borrowed %s:\n%s", want, r.stderr)
				}
			}
			l.isSeen(t, true)
			mine.runsBorrowed(t, other)
			if again := mine.program("borrow", other.root()).must(t); !strings.Contains(again, "nothing to do") {
				t.Errorf("borrowed again:\n%s", again)
			}
			if status := mine.program("status").must(t); !strings.Contains(status, "borrows from   "+other.store) || strings.Contains(status, "drift") {
				t.Errorf("status:\n%s", status)
			}

			// The lender keeps it, by its own collector and by ours.
			other.line(t, other.scratch(t), "nix-collect-garbage").must(t)
			other.program("gc", "--yes").must(t)
			l.isSeen(t, true)
			roots := other.program("roots").must(t)
			if !strings.Contains(roots, "bootstrap-lent") || !strings.Contains(roots, ware) {
				t.Errorf("the roots of the lender:\n%s", roots)
			}
			r = other.program("uninstall", "--dry-run").run(t).want(t, 0)
			if !strings.Contains(r.stdout+r.stderr, `"`+mine.store+`" borrows from this store`) {
				t.Errorf("nobody is warned that uninstalling takes away what is borrowed:\n%s", r.tail())
			}

			// Returned, it is not seen, not kept, and the lender is as it was.
			mine.program("return", other.root()).must(t)
			l.isSeen(t, !mine.sandboxed(t))
			other.line(t, other.scratch(t), "nix-collect-garbage").must(t)
			if _, err := os.Lstat(ware); err == nil {
				t.Errorf("%s is kept although it was returned", ware)
			}
			if left := other.lent(t); len(left) > 0 {
				t.Errorf("left in the lender: %q", left)
			}
			after := other.fingerprint(t)
			for _, change := range changes(before, after) {
				if strings.HasPrefix(change, "- ") && strings.Contains(change, "/gcroots/") {
					t.Errorf("a root of the lender is gone: %s", change)
				}
			}
			if status := mine.program("status").must(t); strings.Contains(status, "borrows") || strings.Contains(status, "drift") {
				t.Errorf("status:\n%s", status)
			}
		})
	}
}

// testBorrowClassic borrows the default profile of a Nix in /nix, whose daemon is not called.
func testBorrowClassic(t *testing.T, n *neighbours) {
	if n.classic == nil {
		t.Skip("skipped: only root can put a store in the place of /nix")
	}
	profile := filepath.Join(n.classic.dir, "var/nix/profiles/default")
	n.w.link(t, n.classic.root, profile)
	defer remove(t, profile)
	l := loanOf{n.a, "/nix/var/nix/profiles/default", n.classic.text("classic-2") + "\n"}
	l.isSeen(t, !n.a.sandboxed(t))
	out := n.a.program("borrow", "/nix").must(t)
	if !strings.Contains(out, "kept       "+n.classic.root) {
		t.Errorf("it does not say that the profile is kept:\n%s", out)
	}
	l.isSeen(t, true)
	root := filepath.Join(n.classic.dir, "var/nix/gcroots/bootstrap-lent", strings.ReplaceAll(n.a.store, "/", "%2F"), filepath.Base(n.classic.root))
	if target, err := os.Readlink(root); err != nil || target != n.classic.root {
		t.Errorf("the root in the lender: %q, %v", target, err)
	}
	n.a.program("return", "/nix").must(t)
	l.isSeen(t, !n.a.sandboxed(t))
}

// loanOf is a file of a lender, and the prefix whose builds are to read it.
type loanOf struct {
	p          *place
	path, text string
}

// isSeen makes sure that a build can read the file, or cannot, and that the result does not refer to it.
func (l loanOf) isSeen(t *testing.T, want bool) {
	t.Helper()
	name := "borrowing-" + filepath.Base(l.p.scratch(t))
	r := l.p.bare(l.p.scratch(t), []string{
		l.p.programPath(t, "nix"), "build", "--impure", "--no-link", "--print-out-paths", "--expr",
		`derivation { name = "` + name + `"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-euc" "read -r line <` + l.path + `; echo \$line >$out; echo ` + filepath.Dir(l.path) + ` >>$out" ]; }`,
	}).run(t)
	switch {
	case r.code == 0 && !want:
		t.Fatalf("a build reads %s, which is not borrowed", l.path)
	case r.code != 0 && want:
		t.Fatalf("a build does not read %s\n%s", l.path, r.tail())
	case r.code != 0:
		return
	}
	out := strings.TrimSpace(r.stdout)
	if data, err := os.ReadFile(out); err != nil || !strings.HasPrefix(string(data), l.text) {
		t.Errorf("built with %s: %q, %v", l.path, data, err)
	}
	if references := l.p.nix(t, "nix-store", "-q", "--references", out).must(t); references != "" {
		t.Errorf("what was built with %s refers to %s", l.path, references)
	}
}

// runsBorrowed makes sure that a program of a lender can be run in a build.
func (p *place) runsBorrowed(t *testing.T, lender *place) {
	t.Helper()
	out := strings.TrimSpace(p.nix(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr",
		`derivation { name = "version-`+filepath.Base(p.scratch(t))+`"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "`+
			lender.programPath(t, "nix")+` --version >$out" ]; }`).must(t))
	if data, err := os.ReadFile(out); err != nil || !strings.HasPrefix(string(data), "nix (Nix) ") {
		t.Errorf("the lender's program: %q, %v", data, err)
	}
}

// sandboxed reports whether builds see only what they are shown.
func (p *place) sandboxed(t *testing.T) bool {
	t.Helper()
	return p.output(t, "host", "sandbox") == "true"
}

// lent returns the GC roots that others have made in the prefix.
func (p *place) lent(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(p.layout(t).State, "gcroots", "bootstrap-lent*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}
