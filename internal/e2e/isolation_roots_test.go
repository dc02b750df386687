//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testRoots: where a root cannot be followed for now, nothing is deleted. What is rooted in the
// state directory does not depend on any of that.
func testRoots(t *testing.T, n *neighbours) {
	collectors := []string{"nix-collect-garbage", "nix-collect-garbage -d", "nix store gc", "nix-store --gc"}
	for _, tt := range []struct {
		name   string
		away   func(t *testing.T, dir string) (back func())
		reason string
	}{
		{"the directory of a result is renamed", renameAway, "whose directory does not exist"},
		{"the directory above it is renamed", func(t *testing.T, dir string) func() { return renameAway(t, filepath.Dir(dir)) }, "whose directory does not exist"},
		{"the directory cannot be read", closeAway, "permission denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := n.a
			p.forget(t)
			s := p.settle(t)
			dir := filepath.Join(s.dir, "disk/project")
			p.w.mkdir(t, filepath.Dir(dir))
			p.w.mkdir(t, dir)
			link := filepath.Join(dir, "result")
			kept := strings.TrimSpace(p.line(t, s.dir, "nix-build src -A env -o "+link).must(t))
			back := tt.away(t, dir)
			defer back()
			for _, line := range collectors {
				r := p.line(t, s.dir, line).run(t)
				r.refused(t, tt.reason)
				r.refused(t, "--ignore-missing-roots")
				if !strings.Contains(r.stderr, link) && !strings.Contains(r.stderr, "gcroots/auto") {
					t.Errorf("%s\nit does not name the root\n%s", r, r.tail())
				}
			}
			for _, path := range []string{kept, s.garbage, s.rooted} {
				if _, err := os.Lstat(path); err != nil {
					t.Fatalf("%s is gone", path)
				}
			}
			back()
			p.line(t, s.dir, "nix-collect-garbage").must(t)
			if _, err := os.Lstat(kept); err != nil {
				t.Fatalf("%s is gone although its root is back", kept)
			}
			// Whoever knows that it is gone for good says so.
			defer tt.away(t, dir)()
			p.line(t, s.dir, "nix store gc --ignore-missing-roots").must(t)
			if _, err := os.Lstat(kept); err == nil {
				t.Errorf("%s is still there", kept)
			}
		})
	}
	t.Run("profiles need no HOME", func(t *testing.T) {
		p := n.a
		p.forget(t)
		w := p.newWares(t)
		for _, line := range []string{"nix-env -f src -i -A one", "nix-env -f src -i -A two", "nix-collect-garbage"} {
			p.line(t, w.dir, line, "HOME=/nonexistent").must(t)
		}
		one, two := p.installed(t, 1), p.installed(t, 2)
		// And without a HOME, the old generations are found as well.
		p.line(t, w.dir, "nix-collect-garbage -d", "HOME=/nonexistent").must(t)
		for path, want := range map[string]bool{one: false, two: true} {
			if _, err := os.Lstat(path); (err == nil) != want {
				t.Errorf("%s is there: %t, and should be: %t", path, err == nil, want)
			}
		}
		p.forget(t)
	})
}

// installed returns the store path of a generation of the account's profile.
func (p *place) installed(t *testing.T, generation int) string {
	t.Helper()
	link := filepath.Join(p.layout(t).UserProfiles(p.account.name), "profiles", "profile-"+string(rune('0'+generation))+"-link")
	path, err := os.Readlink(link)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func renameAway(t *testing.T, dir string) func() {
	t.Helper()
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := os.Lstat(dir); err != nil {
			if err := os.Rename(dir+"-away", dir); err != nil {
				t.Error(err)
			}
		}
	}
}

// closeAway makes a directory that nobody but root can enter.
func closeAway(t *testing.T, dir string) func() {
	t.Helper()
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Error(err)
		}
	}
}
