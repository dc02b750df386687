//go:build e2e

package e2e_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"bootstrap/internal/lock"
	"bootstrap/templates"
)

// world is all that the tests have in common.
type world struct {
	dir      string   // with everything in it, readable by all
	parent   string   // of the prefix that is not in a HOME
	user     *account // whom installations run as
	checkout string   // a copy of the source
	program  string   // built from it
	xdgCache string   // XDG_CACHE_HOME of all installations: the seed is downloaded once
	goEnv    []string // so that Go works for the user, and downloads nothing
}

// newWorld makes a world that is gone when the test ends.
func newWorld(t *testing.T) *world {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Fatal("go is not on PATH; the program is built with it")
	}
	if os.Getuid() == 0 {
		alone(t)
	}
	dir, err := os.MkdirTemp("/var/tmp", "b-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, dir) })
	w := &world{dir: dir, user: ordinary(t), parent: filepath.Join(dir, "opt")}
	if os.Getuid() == 0 {
		w.parent = "/opt/" + userName
		remove(t, w.parent) // of an earlier run that was killed
		t.Cleanup(func() { remove(t, w.parent) })
	}
	w.checkout, w.xdgCache = filepath.Join(dir, "checkout"), filepath.Join(dir, "cache")
	for _, d := range []string{dir, w.parent, w.checkout, w.xdgCache} {
		w.mkdir(t, d)
	}
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	copyTree(t, top, w.checkout)
	w.user.own(t, w.checkout)
	w.prepareGo(t)
	w.build(t)
	return w
}

// alone keeps a second run on this machine out: they would share a user and a prefix.
func alone(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile("/var/tmp/"+userName+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Fatalf("another run of these tests is at work on this machine: %v", err)
	}
	t.Cleanup(func() { f.Close() })
}

// mkdir makes a directory of the user's that everybody may read.
func (w *world) mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if w.user.switched {
		if err := os.Lchown(dir, w.user.uid, w.user.gid); err != nil {
			t.Fatal(err)
		}
	}
}

// copyTree copies the source as a clone would have it: without the repository and what is built.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		switch {
		case name == ".git" || name == "dist":
			return skipped(d)
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		return os.WriteFile(target, data, mode)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// prepareGo gives the user the modules that are on this machine already.
// Their own caches are below a home directory that only root may enter.
func (w *world) prepareGo(t *testing.T) {
	t.Helper()
	env := func(name string) string {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatalf("go env %s: %v", name, err)
		}
		return strings.TrimSpace(string(out))
	}
	w.goEnv = []string{
		"PATH=" + filepath.Join(env("GOROOT"), "bin") + ":/usr/local/bin:/usr/bin:/bin",
		"GOCACHE=" + filepath.Join(w.dir, "go-build"),
		"GOMODCACHE=" + env("GOMODCACHE"), "GOPROXY=" + env("GOPROXY"), "GOFLAGS=", "GOTOOLCHAIN=local",
	}
	if !w.user.switched {
		return
	}
	modules := filepath.Join(w.dir, "go-mod")
	cmd := exec.Command("go", "list", "-deps", "./cmd/bootstrap")
	cmd.Dir = w.checkout
	cmd.Env = append(os.Environ(), "GOMODCACHE="+modules, "GOFLAGS=-modcacherw", "CGO_ENABLED=0",
		"GOPROXY=file://"+filepath.Join(env("GOMODCACHE"), "cache", "download")+","+env("GOPROXY"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	w.user.own(t, modules)
	w.goEnv = append(w.goEnv, "GOMODCACHE="+modules, "GOPROXY=off")
}

// build builds the program as the script does, and so fills Go's cache for it.
func (w *world) build(t *testing.T) {
	t.Helper()
	w.mkdir(t, filepath.Join(w.dir, "bin"))
	w.mkdir(t, filepath.Join(w.dir, "go-build"))
	w.program = filepath.Join(w.dir, "bin", "bootstrap")
	home := w.home(t, "builder")
	command{
		argv: []string{"go", "build", "-trimpath", "-buildvcs=false", "-tags=nethttpomithttp2", "-gcflags=all=-l", "-gcflags=bootstrap/internal/relocate=", "-ldflags=-s -w", "-o", w.program, "./cmd/bootstrap"},
		dir:  w.checkout, account: w.user,
		env: append([]string{"HOME=" + home, "CGO_ENABLED=0"}, w.goEnv...),
	}.must(t)
}

// canaries are the start-up files of every HOME, and none of those that a shell hook has to make.
var canaries = map[string]string{
	".profile":                 "# the user's own\nexport FROM_PROFILE=yes\n",
	".bashrc":                  "# no newline at the end",
	".zshrc":                   "setopt nobeep\n",
	".tcshrc":                  "set prompt='> '\n",
	".config/fish/config.fish": "# fish\n",
	".nix-profile-note":        "looks like Nix's and is not\n",
}

// home makes a home directory of the user's.
func (w *world) home(t *testing.T, name string) string {
	t.Helper()
	home := filepath.Join(w.dir, name)
	w.mkdir(t, home)
	for file, text := range canaries {
		path := filepath.Join(home, file)
		for dir := filepath.Dir(path); dir != home; dir = filepath.Dir(dir) {
			w.mkdir(t, dir)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w.user.own(t, home)
	return home
}

// goOwn are the directories below a HOME where the go command counts its own errors:
// they come from building the installer in a checkout, not from the installer.
var goOwn = []string{".config/go"}

// lock returns the entries of the built-in lock that this machine needs.
func seedEntries(t *testing.T) []lock.Entry {
	t.Helper()
	l, err := lock.Parse(templates.Lock())
	if err != nil {
		t.Fatal(err)
	}
	return l.For(runtime.GOARCH)
}

// cached returns where a file of the seed is in the cache.
func (w *world) cached(sha256 string) string {
	return filepath.Join(w.xdgCache, "bootstrap", "sha256", sha256[:2], sha256)
}

// remove removes a tree, directories that may not be written to included.
func remove(t *testing.T, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return nil
	})
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = os.RemoveAll(root)
	}
	if err != nil {
		t.Errorf("remove %q: %v", root, err)
	}
}
