//go:build e2e

package e2e_test

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestIsolationOnly runs testIsolation on two prefixes that are there already, for whoever works
// on it. BOOTSTRAP_ISOLATION is their store directories, with a colon in between. What they hold
// besides what was installed may be lost.
func TestIsolationOnly(t *testing.T) {
	a, b := standing(t)
	testIsolation(t, a, b)
}

// TestStoresOnly does the same with testStores. BOOTSTRAP_ISOLATION_PROGRAM is the installer, which
// takes the prefixes for complete but for what it writes without compiling anything.
func TestStoresOnly(t *testing.T) {
	a, b := standing(t)
	a.w.program = os.Getenv("BOOTSTRAP_ISOLATION_PROGRAM")
	testStores(t, a, b)
}

// TestExportsOnly does the same with testExports.
func TestExportsOnly(t *testing.T) {
	a, b := standing(t)
	a.w.program = os.Getenv("BOOTSTRAP_ISOLATION_PROGRAM")
	testExports(t, a, b)
}

// TestCacheOnly does the same with testCache.
func TestCacheOnly(t *testing.T) {
	a, b := standing(t)
	a.w.program = os.Getenv("BOOTSTRAP_ISOLATION_PROGRAM")
	testCache(t, a, b)
}

// standing returns the prefixes that BOOTSTRAP_ISOLATION names.
func standing(t *testing.T) (a, b *place) {
	t.Helper()
	first, second, ok := strings.Cut(os.Getenv("BOOTSTRAP_ISOLATION"), ":")
	if !ok {
		t.Skip("only where BOOTSTRAP_ISOLATION names two prefixes")
	}
	dir, err := os.MkdirTemp("/var/tmp", "b-iso-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, dir) })
	w := &world{dir: dir, checkout: dir, user: owner(t, first), xdgCache: os.Getenv("BOOTSTRAP_ISOLATION_CACHE")}
	w.mkdir(t, dir)
	place := func(store string) *place {
		return &place{w: w, store: store, home: w.home(t, "home-"+filepath.Base(filepath.Dir(store))), account: w.user}
	}
	return place(first), place(second)
}

// dropDeadRoots removes the roots that other tests have left, which Nix would stop at.
func (p *place) dropDeadRoots(t *testing.T) {
	t.Helper()
	auto := filepath.Join(p.root(), "var/nix/gcroots/auto")
	entries, err := os.ReadDir(auto)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		root := filepath.Join(auto, e.Name())
		target, err := os.Readlink(root)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(filepath.Dir(target)); err != nil {
			remove(t, root)
		}
	}
}

// owner returns whom a directory belongs to.
func owner(t *testing.T, dir string) *account {
	t.Helper()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatalf("%s: no inode", dir)
	}
	a := &account{name: strconv.Itoa(int(st.Uid)), uid: int(st.Uid), gid: int(st.Gid), switched: int(st.Uid) != os.Getuid()}
	if u, err := user.LookupId(a.name); err == nil {
		a.name = u.Username
	}
	return a
}
