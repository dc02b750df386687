package lineage_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"bootstrap/internal/generations"
	"bootstrap/internal/lineage"
	"bootstrap/internal/prefix"
	"bootstrap/internal/receipt"

	"github.com/google/go-cmp/cmp"
)

// made returns the layout of a prefix with generations, of which some have a receipt.
func made(t *testing.T, complete map[int]bool) prefix.Layout {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := prefix.Layout{
		Root: dir, Store: dir + "/store", State: dir + "/var/nix", Log: dir + "/var/log/nix", Conf: dir + "/etc/nix",
		Work: dir + "/var/bootstrap", RunLog: dir + "/var/log/bootstrap", Share: dir + "/share/bootstrap",
		Packages: dir + "/share/bootstrap/packages", ProfileD: dir + "/etc/profile.d",
	}
	now := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	for n, whole := range complete {
		for _, d := range []string{lineage.Dir(l, n), l.RootsOf(n)} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if whole {
			r := receipt.Receipt{Created: now, Updated: now.AddDate(0, 0, n), Layout: l, NixVersion: "2.26.3"}
			if err := receipt.Write(filepath.Join(lineage.Dir(l, n), "receipt.json"), r); err != nil {
				t.Fatal(err)
			}
		}
	}
	return l
}

// TestSwitch: what people look at changes with one link, whatever it was before.
func TestSwitch(t *testing.T) {
	t.Parallel()
	l := made(t, map[int]bool{1: true, 2: true})
	if n, err := lineage.Current(l); n != 0 || err != nil {
		t.Fatalf("current: %d, %v", n, err)
	}
	for _, m := range lineage.Members(l) {
		if err := os.MkdirAll(filepath.Dir(m.Live), 0o755); err != nil {
			t.Fatal(err)
		}
		if m.Linked(l) {
			t.Errorf("%s is linked before it is there", m.Live)
		}
		target, err := m.Target(l)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, m.Live); err != nil {
			t.Fatal(err)
		}
		if !m.Linked(l) {
			t.Errorf("%s is not linked", m.Live)
		}
	}
	for _, n := range []int{1, 2, 1} {
		own, ok := lineage.Place(l, n, l.NixConf())
		if !ok || own == l.NixConf() {
			t.Fatalf("place of nix.conf: %q, %t", own, ok)
		}
		text := []byte{byte('0' + n)}
		if err := os.WriteFile(own, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := lineage.Switch(l, n); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(l.NixConf()); err != nil || string(got) != string(text) {
			t.Errorf("generation %d: nix.conf is %q, %v", n, got, err)
		}
	}
	if own, ok := lineage.Place(l, 1, l.Packages+"/lock.json"); !ok || own != lineage.Dir(l, 1)+"/packages/lock.json" {
		t.Errorf("place of the lock: %q, %t", own, ok)
	}
	if own, ok := lineage.Place(l, 1, l.Packages+"-of-mine"); ok || own != l.Packages+"-of-mine" {
		t.Errorf("place of something else: %q, %t", own, ok)
	}
	if err := lineage.Remove(l, 1); err == nil {
		t.Error("the current generation was removed")
	}
	if err := os.Remove(filepath.Join(l.Generations(), "current")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../elsewhere", filepath.Join(l.Generations(), "current")); err != nil {
		t.Fatal(err)
	}
	if n, err := lineage.Current(l); err == nil {
		t.Errorf("a link to elsewhere is generation %d", n)
	}
}

// TestSuperseded: which generations go, and that nothing is left of them however often that is interrupted.
func TestSuperseded(t *testing.T) {
	t.Parallel()
	l := made(t, map[int]bool{1: true, 2: true, 3: true, 4: false, 10: true})
	if err := lineage.Switch(l, 2); err != nil {
		t.Fatal(err)
	}
	all, err := lineage.List(l)
	if err != nil {
		t.Fatal(err)
	}
	updated := func(g lineage.Generation) time.Time { return g.Receipt.Updated }
	now := time.Date(2026, 12, 7, 0, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		keep int
		age  time.Duration
		want []int
	}{
		"no limit":             {-1, 0, nil},
		"none but the current": {0, 0, []int{1, 3, 4, 10}},
		"one besides":          {1, 0, []int{1, 3, 4}},
		"the young":            {-1, 3 * 24 * time.Hour, []int{1, 3, 4}},
	} {
		got := lineage.Superseded(all, generations.Policy{Keep: tt.keep, MaxAge: tt.age, Now: now}, updated)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	// As if it had been killed in between.
	if err := os.Rename(lineage.Dir(l, 3), filepath.Join(l.Generations(), ".removed-3")); err != nil {
		t.Fatal(err)
	}
	if got, err := lineage.Orphans(l); err != nil || !cmp.Equal(got, []int{3}) {
		t.Errorf("orphans: %v, %v", got, err)
	}
	for _, n := range []int{3, 1, 4, 10} {
		if err := lineage.Remove(l, n); err != nil {
			t.Fatal(err)
		}
	}
	for dir, want := range map[string][]string{l.Generations(): {"2", "current"}, l.GCRoots(): {"2"}} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Name())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", dir, diff)
		}
	}
}
