//go:build e2e

package e2e_test

import (
	"path/filepath"
	"runtime"
	"testing"
)

// TestEndToEnd installs from one seed, as often as it takes.
//
// The first installation is what a person does with a checkout. All that can be asked of a prefix is
// asked of it, while a second one is made in a HOME. Then the two live together for a while. In the
// end the first is removed, and another takes its place: as root without a sandbox, in another locale
// and time zone and with another umask, with another number of compilers at a time, begun with the Nix
// in HOME, killed in every stage. It has to end with the same bytes.
func TestEndToEnd(t *testing.T) {
	w := newWorld(t)
	first := &place{w: w, store: filepath.Join(w.parent, "store"), home: w.home(t, "first"), account: w.user}
	home := inHome(t, w)
	before, beforeHome := w.before(t, first), w.before(t, home)
	var bytes map[string]pathInfo

	t.Run("install", func(t *testing.T) { testInstall(t, first) })
	t.Run("again", func(t *testing.T) { testAgain(t, first) })
	t.Run("beside", func(t *testing.T) {
		t.Run("prefix", func(t *testing.T) {
			t.Parallel()
			needs(t, first)
			bytes = first.pathInfos(t, "--all")
			t.Run("days", func(t *testing.T) { testDays(t, first) })
			t.Run("shells", func(t *testing.T) { testShells(t, first) })
			t.Run("enter", func(t *testing.T) { testEnter(t, first) })
			t.Run("closure", func(t *testing.T) { testClosure(t, first) })
			t.Run("interpreters", func(t *testing.T) { testInterpreters(t, first) })
			t.Run("trace", func(t *testing.T) { testTrace(t, first) })
			t.Run("status", func(t *testing.T) { testStatus(t, first) })
			t.Run("transport", func(t *testing.T) { testTransport(t, first) })
			t.Run("relocation", func(t *testing.T) { testRelocation(t, first) })
			t.Run("verify", func(t *testing.T) { testVerify(t, first) })
			t.Run("reproducible", func(t *testing.T) { testReproducible(t, first, "fetch", "host", "toolchain", "relocate") })
			t.Run("gc", func(t *testing.T) { testGC(t, first) })
			t.Run("collect", func(t *testing.T) { testCollect(t, first) })
			t.Run("busy", func(t *testing.T) { testBusy(t, first) })
			t.Run("repair", func(t *testing.T) { testRepair(t, first) })
			t.Run("generations", func(t *testing.T) { testGenerations(t, first) })
			t.Run("packages", func(t *testing.T) { testPackages(t, first) })
			// A bundle has the signatures that Nix knows of, and a push over ssh gives it some.
			t.Run("bundles", func(t *testing.T) { testBundles(t, first) })
			t.Run("builders", func(t *testing.T) { testBuilders(t, first) })
			t.Run("destdir", func(t *testing.T) { testDestdir(t, first) })
			t.Run("relocating", func(t *testing.T) { testRelocating(t, first) })
		})
		t.Run("home", func(t *testing.T) {
			t.Parallel()
			testHome(t, home)
		})
		t.Run("stranger", func(t *testing.T) {
			t.Parallel()
			testStranger(t, w)
		})
		t.Run("diverted", func(t *testing.T) {
			t.Parallel()
			testDiverted(t, w)
		})
		t.Run("seed", func(t *testing.T) {
			t.Parallel()
			testSeed(t, w)
		})
		t.Run("mirrors", func(t *testing.T) {
			t.Parallel()
			testMirrors(t, w)
		})
	})
	t.Run("isolation", func(t *testing.T) { testIsolation(t, first, home) })
	t.Run("stores", func(t *testing.T) { testStores(t, first, home) })
	t.Run("exports", func(t *testing.T) { testExports(t, first, home) })
	t.Run("cache", func(t *testing.T) { testCache(t, first, home) })
	t.Run("shared", func(t *testing.T) { testShared(t, first) })
	t.Run("end", func(t *testing.T) { testUninstall(t, first, before) })
	needs(t, home)
	second := &place{
		w: w, store: first.store, home: w.home(t, "second"),
		account: self(t), change: alsoChanged(cannotSandbox(self(t)), inForeignParts), host: home.programPath(t, "nix"),
		jobs: runtime.NumCPU() + 1, // another number, which takes no longer
	}
	t.Run("killed", func(t *testing.T) { testKilled(t, second, bytes) })
	t.Run("unsandboxed", func(t *testing.T) { testUnsandboxed(t, second) })
	t.Run("end of home", func(t *testing.T) { testUninstallHome(t, home, beforeHome) })
}

// needs ends a test whose prefix is not there.
func needs(t *testing.T, p *place) {
	t.Helper()
	if !p.complete() {
		t.Fatalf("%s was not installed, so nothing can be asked of it", p.store)
	}
}

// trees are the manifests of the directories that an installation may change.
type trees struct{ home, parent manifest }

func (w *world) before(t *testing.T, p *place) trees {
	t.Helper()
	home, err := takeManifest(p.home, goOwn...)
	if err != nil {
		t.Fatal(err)
	}
	parent, err := takeManifest(p.root())
	if err != nil {
		t.Fatal(err)
	}
	return trees{home, parent}
}
