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

// TestStanding runs groups of [TestEndToEnd] on two prefixes that are there already, for whoever works
// on a group:
//
//	BOOTSTRAP_STANDING=/a/store:/b/store go test -tags e2e -run 'TestStanding/^exports$' ./internal/e2e
//
// What the prefixes hold besides what was installed may be lost, and after "shared" the first is one of
// a group. BOOTSTRAP_STANDING_PROGRAM is the installer, which takes the prefixes for complete but for
// what it writes without compiling anything; BOOTSTRAP_STANDING_CACHE is its cache of downloads.
func TestStanding(t *testing.T) {
	for name, group := range map[string]func(*testing.T, *place, *place){
		"builders":    func(t *testing.T, a, _ *place) { testBuilders(t, a) },
		"bundles":     func(t *testing.T, a, _ *place) { testBundles(t, a) },
		"cache":       testCache,
		"days":        func(t *testing.T, a, _ *place) { testDays(t, a) },
		"destdir":     func(t *testing.T, a, _ *place) { testDestdir(t, a) },
		"exports":     testExports,
		"generations": func(t *testing.T, a, _ *place) { testGenerations(t, a) },
		"isolation":   testIsolation,
		"packages":    func(t *testing.T, a, _ *place) { testPackages(t, a) },
		"relocating":  func(t *testing.T, a, _ *place) { testRelocating(t, a) },
		"relocation":  func(t *testing.T, a, _ *place) { testRelocation(t, a) },
		"reproducible": func(t *testing.T, a, _ *place) {
			testReproducible(t, a, "fetch", "host", "toolchain", "relocate", "native")
			t.Run("rebuild bootstrap", func(t *testing.T) { testRebuild(t, a, "bootstrap") })
		},
		"shared":    func(t *testing.T, a, _ *place) { testShared(t, a) },
		"stores":    testStores,
		"transport": func(t *testing.T, a, _ *place) { testTransport(t, a) },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := standing(t)
			group(t, a, b)
		})
	}
}

// standing returns the prefixes that BOOTSTRAP_STANDING names.
func standing(t *testing.T) (a, b *place) {
	t.Helper()
	first, second, ok := strings.Cut(os.Getenv("BOOTSTRAP_STANDING"), ":")
	if !ok {
		t.Skip("only where BOOTSTRAP_STANDING names two prefixes")
	}
	dir, err := os.MkdirTemp("/var/tmp", "b-iso-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, dir) })
	w := &world{dir: dir, checkout: dir, user: owner(t, first), xdgCache: os.Getenv("BOOTSTRAP_STANDING_CACHE"), program: os.Getenv("BOOTSTRAP_STANDING_PROGRAM")}
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
