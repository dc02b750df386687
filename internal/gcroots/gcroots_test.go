package gcroots_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/gcroots"
)

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	state, home := filepath.Join(top, "state"), filepath.Join(top, "home")
	d := gcroots.Dirs{
		GCRoots: filepath.Join(state, "gcroots"), Profiles: filepath.Join(state, "profiles"),
		Installer: filepath.Join(state, "gcroots/bootstrap"), Store: "/p/store",
	}
	const path = "/p/store/00000000000000000000000000000000-x"
	auto := func(name, via string) { link(t, via, filepath.Join(d.GCRoots, "auto", name)) }
	link(t, path, filepath.Join(d.Installer, "nix"))
	link(t, d.Profiles, filepath.Join(d.GCRoots, "profiles"))
	link(t, path, filepath.Join(d.Profiles, "per-user/me/profile-1-link"))
	link(t, "profile-1-link", filepath.Join(d.Profiles, "per-user/me/profile"))
	link(t, path, filepath.Join(home, "result"))
	link(t, "/p/store-2/00000000000000000000000000000000-x", filepath.Join(home, "foreign"))
	if err := os.WriteFile(filepath.Join(home, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(home, "closed"), 0o755); err != nil {
		t.Fatal(err)
	}
	auto("a", filepath.Join(home, "result"))
	auto("b", filepath.Join(home, "foreign"))
	auto("c", filepath.Join(home, "removed"))
	auto("d", filepath.Join(home, "renamed", "result"))
	auto("e", filepath.Join(home, "file"))
	want := map[string]gcroots.Verdict{
		"bootstrap/nix": gcroots.Fine, "auto/a": gcroots.Fine, "auto/b": gcroots.Foreign, "auto/c": gcroots.Stale,
		"auto/d": gcroots.Unmounted, "auto/e": gcroots.Stale, "../profiles/per-user/me/profile-1-link": gcroots.Fine,
	}
	kinds := map[string]gcroots.Kind{
		"bootstrap/nix": gcroots.Installer, "auto/a": gcroots.Indirect, "auto/b": gcroots.Indirect, "auto/c": gcroots.Indirect,
		"auto/d": gcroots.Indirect, "auto/e": gcroots.Indirect, "../profiles/per-user/me/profile-1-link": gcroots.Profile,
	}
	// Root may look everywhere, so it can only be told that the link is not there.
	auto("f", filepath.Join(home, "closed", "result"))
	want["auto/f"], kinds["auto/f"] = gcroots.Unreadable, gcroots.Indirect
	if os.Getuid() == 0 {
		want["auto/f"] = gcroots.Stale
	} else {
		link(t, path, filepath.Join(home, "closed", "result"))
		if err := os.Chmod(filepath.Join(home, "closed"), 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(filepath.Join(home, "closed"), 0o755) })
	}

	roots, err := gcroots.List(d)
	if err != nil {
		t.Fatal(err)
	}
	got, gotKinds, bad := map[string]gcroots.Verdict{}, map[string]gcroots.Kind{}, 0
	for _, r := range roots {
		name, err := filepath.Rel(d.GCRoots, r.Link)
		if err != nil {
			t.Fatal(err)
		}
		got[name], gotKinds[name] = r.Verdict, r.Kind
		if r.Verdict != gcroots.Fine {
			bad++
			if r.Reason == "" || r.Via == "" {
				t.Errorf("%s: reason %q, via %q", name, r.Reason, r.Via)
			}
		} else if r.Target != path {
			t.Errorf("%s: target %q", name, r.Target)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(kinds, gotKinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	if len(gcroots.Bad(roots)) != bad {
		t.Errorf("%d are bad, want %d", len(gcroots.Bad(roots)), bad)
	}
}

func TestNothing(t *testing.T) {
	roots, err := gcroots.List(gcroots.Dirs{GCRoots: "/nonexistent/a", Profiles: "/nonexistent/b"})
	if err != nil || len(roots) != 0 {
		t.Errorf("got %v, %v", roots, err)
	}
}
