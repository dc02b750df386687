//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// early is what a prefix had in its store before it had a native nix.
type early struct {
	path string
	info os.FileInfo
}

// testRuntime makes a prefix in runtime mode, with nothing in the cache of downloads, and builds
// something in it.
func testRuntime(t *testing.T, p *place) early {
	r := p.install("", "--runtime", "--cache-dir", p.scratch(t)).run(t).want(t, 0)
	t.Logf("measured: runtime mode with a cold cache: %s", r.took.Round(100*time.Millisecond))
	if got := strings.TrimSpace(p.runtime(t, "nix", "eval", "--raw", "--expr", "builtins.storeDir").must(t)); got != p.store {
		t.Errorf("builtins.storeDir is %q, not %q", got, p.store)
	}
	begin := time.Now()
	out := strings.TrimSpace(p.runtime(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", p.simple("early")).must(t))
	t.Logf("measured: runtime mode, from the command to a derivation that is built: %s",
		(r.took + time.Since(begin)).Round(100*time.Millisecond))
	info, err := os.Stat(out)
	if err != nil || !strings.HasPrefix(out, p.store+"/") {
		t.Fatalf("built %q: %v", out, err)
	}
	// A root, so that nothing collects it.
	p.runtime(t, "nix-store", "--realise", out, "--add-root", filepath.Join(p.root(), "early"), "--indirect").must(t)

	// NIX_STORE is what every nix-shell exports. Nothing of it may get through.
	c := p.runtime(t, "nix-instantiate", "--eval", "--expr", "builtins.storeDir")
	c.env = append(c.env, "NIX_STORE=/poisoned/store", "NIX_STORE_DIR=/poisoned/store", "NIX_REMOTE=daemon")
	if got := strings.TrimSpace(c.must(t)); got != `"`+p.store+`"` {
		t.Errorf("with another store in the environment builtins.storeDir is %s", got)
	}
	return early{out, info}
}

// testStranger makes a prefix in runtime mode as an account that the host knows nothing of, without
// a variable that says who it is, as a container may be run.
func testStranger(t *testing.T, w *world) {
	if os.Getuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	const uid = 54321
	dir, err := os.MkdirTemp("/var/tmp", "b-e2e-who-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, dir) })
	if err := os.Chown(dir, uid, uid); err != nil {
		t.Fatal(err)
	}
	p := &place{w: w, store: filepath.Join(dir, "p/store"), home: dir, account: &account{name: "54321", uid: uid, gid: uid, switched: true}}
	install := p.install("", "--runtime", "--cache-dir", filepath.Join(dir, "cache"))
	install.env = slices.DeleteFunc(install.env, func(v string) bool {
		return strings.HasPrefix(v, "USER=") || strings.HasPrefix(v, "LOGNAME=") || strings.HasPrefix(v, "SHELL=") || strings.HasPrefix(v, "XDG_CACHE_HOME=")
	})
	install.run(t).want(t, 0)
	if got := strings.TrimSpace(p.runtime(t, "nix", "eval", "--raw", "--expr", "builtins.storeDir").must(t)); got != p.store {
		t.Errorf("builtins.storeDir is %q, not %q", got, p.store)
	}
	if _, err := os.Stat(filepath.Join(p.root(), "var/nix/users/54321")); err != nil {
		t.Errorf("its directories are not called by its number: %v", err)
	}
}

// kept makes sure that what was built in runtime mode was not built again since.
func (e early) kept(t *testing.T, p *place) {
	t.Helper()
	infos := p.pathInfos(t, e.path)
	if len(infos) != 1 {
		t.Errorf("%s: %v", e.path, infos)
	}
	now, err := os.Stat(e.path)
	if err != nil || !os.SameFile(e.info, now) {
		t.Errorf("%s is not the file it was: %v", e.path, err)
	}
	r := p.nix(t, "nix", "build", "--impure", "--no-link", "--expr", p.simple("early")).run(t).want(t, 0)
	if strings.Contains(r.stderr, "building") {
		t.Errorf("it is built again:\n%s", r.tail())
	}
	if err := os.Remove(filepath.Join(p.root(), "early")); err != nil {
		t.Error(err)
	}
}

// runtime returns a command of the programs of runtime mode.
func (p *place) runtime(t *testing.T, program string, args ...string) command {
	t.Helper()
	return command{
		argv: append([]string{filepath.Join(p.root(), "var/nix/profiles/default/bin", program)}, args...), dir: p.scratch(t),
		env: []string{"HOME=" + p.home}, account: p.account, change: p.change,
	}
}

// simple is a derivation that needs nothing of a store. Where builds have no /bin/sh of the
// host nix, they have the machine's.
func (p *place) simple(name string) string {
	return `derivation { name = "` + name + `"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo ` + name + ` > $out" ]; }`
}

// testDiverted builds for a store directory that is not there, and looks where the files lie.
func testDiverted(t *testing.T, w *world) {
	blindly := cannotSandbox(self(t))
	if blindly == nil {
		t.Log("skipped: a store for another place: user namespaces cannot be made here")
		return
	}
	home := w.home(t, "d")
	root := filepath.Join(home, "image")
	before, err := takeManifest(home)
	if err != nil {
		t.Fatal(err)
	}
	asked := &place{w: w, home: home, account: w.user, store: "/not/there/store"}
	files := &place{w: w, home: home, account: w.user, store: filepath.Join(root, "not/there/store")}

	blind := &place{w: w, home: home, account: self(t), store: asked.store, change: blindly}
	r := blind.install("", "--runtime", "--root", root).run(t).want(t, 3)
	if !strings.Contains(r.stderr, "takes user namespaces") {
		t.Errorf("without namespaces it does not say what is missing:\n%s", r.tail())
	}
	after, err := takeManifest(home)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("it wrote something before it refused (-before +after):\n%s", diff)
	}

	asked.install("", "--runtime", "--root", root).run(t).want(t, 0)
	if got := strings.TrimSpace(files.runtime(t, "nix", "eval", "--raw", "--expr", "builtins.storeDir").must(t)); got != asked.store {
		t.Errorf("builtins.storeDir is %q, not %q", got, asked.store)
	}
	out := strings.TrimSpace(files.runtime(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", files.simple("far")).must(t))
	if data, err := os.ReadFile(filepath.Join(root, out)); err != nil || string(data) != "far\n" || !strings.HasPrefix(out, asked.store+"/") {
		t.Errorf("built %q: %q, %v", out, data, err)
	}
	if _, err := os.Lstat("/not"); err == nil {
		t.Error("/not is there")
	}
	files.program("uninstall", "--yes").run(t).want(t, 0)
	if after, err = takeManifest(home); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("HOME is not as it was (-before +after):\n%s", diff)
	}
}
