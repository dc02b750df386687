//go:build e2e

package e2e_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// announced is what the tests need of `gc --json`.
type announced struct {
	Roots []struct {
		Via     string `json:"via"`
		Verdict string `json:"verdict"`
	} `json:"roots"`
	Dead []struct {
		Path string `json:"path"`
	} `json:"dead"`
	Bytes  int64 `json:"bytes"`
	Result *struct {
		Paths int   `json:"paths"`
		Bytes int64 `json:"bytes"`
	} `json:"result"`
}

func (p *place) gc(t *testing.T, args ...string) announced {
	t.Helper()
	out := p.program(append([]string{"gc", "--json"}, args...)...).must(t)
	var a announced
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		t.Fatalf("gc --json: %v\n%s", err, out)
	}
	return a
}

// testGC has roots that the collector would take for gone: what they hold is not lost unless it is
// given up, and then what was announced is deleted, and nothing else.
func testGC(t *testing.T, p *place) {
	needs(t, p)
	p.gc(t, "--yes", "--drop-stale") // what other tests have left
	dir := p.scratch(t)
	build := func(name string) (result, path string) {
		result = filepath.Join(dir, name, "result")
		p.w.mkdir(t, filepath.Dir(result))
		p.nix(t, "nix", "build", "--impure", "--expr", p.proof(t, "gc-"+name), "-o", result).must(t)
		path, err := os.Readlink(result)
		if err != nil {
			t.Fatal(err)
		}
		return result, path
	}
	fine, kept := build("fine")
	bad := map[string]string{}
	for name, change := range map[string]func(result string) error{
		"unreadable": func(result string) error { return os.Chmod(filepath.Dir(result), 0) },
		"stale":      os.Remove,
		"unmounted":  func(result string) error { return os.Rename(filepath.Dir(result), filepath.Join(dir, "renamed")) },
		"foreign": func(result string) error {
			return errors.Join(os.Remove(result), os.Symlink("/nix/store/00000000000000000000000000000000-x", result))
		},
	} {
		result, path := build(name)
		if err := change(result); err != nil {
			t.Fatal(err)
		}
		bad[name] = path
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "unreadable"), 0o755) })

	before := storeNames(t, p)
	r := p.program("gc", "--yes").run(t).want(t, 3)
	for name := range bad {
		if !strings.Contains(r.stderr, name+" ") {
			t.Errorf("the root that is %s is not in the list:\n%s", name, r.tail())
		}
	}
	dry := p.gc(t, "--dry-run", "--drop-stale")
	if diff := cmp.Diff(before, storeNames(t, p)); diff != "" {
		t.Errorf("something was deleted before that was wished (-before +after):\n%s", diff)
	}

	done := p.gc(t, "--drop-stale", "--yes")
	if done.Result == nil || done.Result.Bytes != done.Bytes || done.Bytes != dry.Bytes || done.Result.Paths != len(done.Dead) || len(done.Roots) != len(bad) {
		t.Errorf("announced %d bytes, then %+v", dry.Bytes, done)
	}
	var gone, announcedGone []string
	after := storeNames(t, p)
	for _, name := range before {
		if !slices.Contains(after, name) {
			gone = append(gone, name)
		}
	}
	for _, d := range dry.Dead {
		announcedGone = append(announcedGone, filepath.Base(d.Path))
	}
	slices.Sort(announcedGone)
	if diff := cmp.Diff(announcedGone, gone); diff != "" {
		t.Errorf("deleted (-announced +deleted):\n%s", diff)
	}
	for name, path := range bad {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s: %s is still there", name, path)
		}
	}
	if _, err := os.Stat(fine); err != nil || kept == "" {
		t.Errorf("what is rooted is lost: %v", err)
	}
	p.generations(t)
	p.works(t, "after-gc")
}

// generations has a profile of three generations lose one.
func (p *place) generations(t *testing.T) {
	profile := filepath.Join(p.root(), "var/nix/profiles/gc-test")
	for _, name := range []string{"one", "two", "three"} {
		out := p.nix(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", p.proof(t, "generation-"+name)).must(t)
		p.nix(t, "nix-env", "--profile", profile, "--set", strings.TrimSpace(out)).must(t)
	}
	p.gc(t, "--keep", "1", "--yes")
	for name, want := range map[string]bool{"-1-link": false, "-2-link": true, "-3-link": true} {
		if _, err := os.Stat(profile + name); (err == nil) != want {
			t.Errorf("%s is there: %t, want %t", name, err == nil, want)
		}
	}
	for _, name := range []string{"", "-2-link", "-3-link"} {
		if err := os.Remove(profile + name); err != nil {
			t.Error(err)
		}
	}
}

func storeNames(t *testing.T, p *place) []string {
	t.Helper()
	entries, err := os.ReadDir(p.store)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != ".links" {
			names = append(names, e.Name())
		}
	}
	return names
}
