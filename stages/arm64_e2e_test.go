//go:build e2e

package stages

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bootstrap/internal/event"
	"bootstrap/internal/fetch"
	"bootstrap/internal/lock"
	"bootstrap/internal/prefix"
	"bootstrap/templates"
)

// TestHostStageOfArm64 runs the host stage with the files that the built-in lock has for arm64, and
// evaluates with what came of it. scripts/arm64 starts it where the kernel runs programs of arm64;
// BOOTSTRAP_ARM64 is the directory of downloads.
func TestHostStageOfArm64(t *testing.T) {
	cache := os.Getenv("BOOTSTRAP_ARM64")
	if cache == "" {
		t.Skip("scripts/arm64 runs it")
	}
	layout, err := prefix.Resolve(prefix.Options{Path: filepath.Join(scratch(t), "opt", "store")})
	if err != nil {
		t.Fatal(err)
	}
	l, err := lock.Parse(templates.Lock())
	if err != nil {
		t.Fatal(err)
	}
	transport, err := fetch.NewTransport(fetch.TransportOptions{Proxy: http.ProxyFromEnvironment})
	if err != nil {
		t.Fatal(err)
	}
	r := opened(t, Options{
		Layout: layout, Lock: l, Runtime: true, CacheDir: cache, Transport: transport, Root: os.DirFS("/"), User: "somebody",
		Installer: "test", Command: "test", Run: "run-1", Sink: event.Discard(), Now: time.Now,
	})
	// Without namespaces in the facts the sandbox is not tried: a filter for system calls, which it
	// takes, cannot be loaded under qemu.
	r.arch, r.facts.Architecture = "arm64", "arm64"
	ctx := t.Context()
	if _, err := r.fetchSeed(ctx); err != nil {
		t.Fatal(err)
	}
	out, err := r.makeHost(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if out["version"] != "2.26.3" {
		t.Errorf("nix says that it is %q", out["version"])
	}
	t.Logf("nix %s, %s", out["version"], out["summary"])
	r.done[Host] = out
	n := r.hostNix(Host)
	for expression, want := range map[string]string{
		"builtins.currentSystem": "aarch64-linux",
		"builtins.storeDir":      layout.Store,
		"toString (1 + 1)":       "2",
	} {
		got, err := n.Command("nix", "eval", "--raw", "--impure", "--expr", expression).Output(ctx)
		if err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", expression, got, err, want)
		}
	}
	if err := r.writePackages(ctx, Host); err != nil {
		t.Fatal(err)
	}
	paths, err := r.evaluate(ctx, n, "nix", "toolchain")
	if err != nil {
		t.Fatal(err)
	}
	for name, path := range paths {
		t.Logf("%s: %s", name, path)
		if !strings.HasPrefix(path, layout.Store+"/") {
			t.Errorf("%s is %q", name, path)
		}
	}
}
