//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testBusy runs the installer and the collector while something is built in the prefix: neither takes
// anything from the build, and it takes nothing from them.
func testBusy(t *testing.T, p *place) {
	busybox := filepath.Join(p.output(t, "toolchain", "busybox"), "bin/busybox")
	expression := `derivation { name = "slow"; system = builtins.currentSystem; builder = "` + busybox + `";
		args = [ "sh" "-euc" "` + busybox + ` sleep 12; echo slow >$out" ]; }`
	build := p.nix(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", expression).start(t)
	started := func() bool {
		dirs, err := filepath.Glob(filepath.Join(p.root(), "var/nix/builds/nix-build-slow*"))
		return err == nil && len(dirs) > 0
	}
	for deadline := time.Now().Add(time.Minute); !started(); time.Sleep(50 * time.Millisecond) {
		if !build.running() || time.Now().After(deadline) {
			t.Fatalf("it does not begin to build\n%s", build.wait(t).tail())
		}
	}

	conf := filepath.Join(p.root(), "etc/nix/nix.conf")
	before, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	remove(t, conf)
	p.install("").run(t).want(t, 0)
	if after, err := os.ReadFile(conf); err != nil || string(after) != string(before) {
		t.Errorf("nix.conf was not written as it was: %v", err)
	}
	p.program("gc", "--yes").must(t)
	if !build.running() {
		t.Error("the build was over before all that was done beside it")
	}
	r := build.wait(t).want(t, 0)
	if text, err := os.ReadFile(strings.TrimSpace(r.stdout)); err != nil || string(text) != "slow\n" {
		t.Errorf("built %q: %q, %v", r.stdout, text, err)
	}
}
