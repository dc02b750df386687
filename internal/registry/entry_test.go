package registry_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/journal"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/prefix"
	"bootstrap/internal/receipt"
	"bootstrap/internal/registry"
)

// hash is the digest of a store path.
const hash = "0123456789abcdfghijklmnpqrsvwxyz"

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o755); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// temp returns a directory with no link on the way to it, and short enough for a prefix, which one
// that has the name of a test in it may not be.
func temp(t *testing.T) string {
	t.Helper()
	made, err := os.MkdirTemp("", "look-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(made); err != nil {
			t.Error(err)
		}
	})
	dir, err := filepath.EvalSymlinks(made)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// install makes what an installation leaves, and returns its directories. state is "" for the default.
func install(t *testing.T, root, mode, diverted, state string) prefix.Layout {
	t.Helper()
	l, err := prefix.Resolve(prefix.Options{Path: root, StateDir: state})
	if err != nil {
		t.Fatal(err)
	}
	nix := l.StorePath(hash + "-nix-2.26.3")
	write(t, nixcmd.Program(nix))
	write(t, nixcmd.Program(l.RuntimeDir()))
	write(t, filepath.Join(l.Database(), "db.sqlite"))
	now := time.Unix(1800000000, 0).UTC()
	rec := receipt.Receipt{Created: now, Updated: now, Layout: l, NixVersion: "2.26.3", Mode: mode, Diverted: diverted}
	if mode != receipt.Runtime {
		rec.Stages = []receipt.Stage{{Name: "native", Outputs: map[string]string{"nix": nix}}}
	}
	if err := receipt.Write(l.Receipt(), rec); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLook(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		make  func(t *testing.T, root string)
		state registry.State
		why   string
	}{
		{"native", func(t *testing.T, root string) { install(t, root, "", "", "") }, registry.Native, ""},
		{"runtime", func(t *testing.T, root string) { install(t, root, receipt.Runtime, "", "") }, registry.Runtime, ""},
		{"nothing", func(*testing.T, string) {}, registry.Gone, "nothing of bootstrap's"},
		{"somebody else's", func(t *testing.T, root string) { write(t, root+"/store/file") }, registry.Gone, "nothing of bootstrap's"},
		{"a file in the way", func(t *testing.T, root string) { write(t, root) }, registry.Gone, "nothing of bootstrap's"},
		{"a file above the records", func(t *testing.T, root string) { write(t, root+"/var/bootstrap") }, registry.Gone, "nothing of bootstrap's"},
		{"a journal alone", func(t *testing.T, root string) {
			l := install(t, root, "", "", "")
			if err := os.Remove(l.Receipt()); err != nil {
				t.Fatal(err)
			}
			j, err := journal.Open(journal.Options{Path: l.Journal(), Run: "r", Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			if err := j.Note("", "layout"); err != nil {
				t.Fatal(err)
			}
		}, registry.Unfinished, "did not end"},
		{"its nix is gone", func(t *testing.T, root string) {
			l := install(t, root, "", "", "")
			if err := os.RemoveAll(l.StorePath(hash + "-nix-2.26.3")); err != nil {
				t.Fatal(err)
			}
		}, registry.Unfinished, "is missing"},
		{"its database is gone", func(t *testing.T, root string) {
			if err := os.RemoveAll(install(t, root, receipt.Runtime, "", "").Database()); err != nil {
				t.Fatal(err)
			}
		}, registry.Unfinished, "is missing"},
		{"moved here", func(t *testing.T, root string) {
			install(t, root+"-old", "", "", "")
			if err := os.Rename(root+"-old", root); err != nil {
				t.Fatal(err)
			}
		}, registry.Moved, "was installed as"},
		{"moved away behind a link", func(t *testing.T, root string) {
			install(t, root, "", "", "")
			if err := os.Rename(root, root+"-new"); err != nil {
				t.Fatal(err)
			}
			link(t, root+"-new", root)
		}, registry.Moved, "a symbolic link leads to"},
		{"a damaged receipt", func(t *testing.T, root string) {
			l := install(t, root, "", "", "")
			if err := os.WriteFile(l.Receipt(), []byte("{"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, registry.Unknown, "damaged"},
		{"a receipt of a newer bootstrap", func(t *testing.T, root string) {
			l := install(t, root, "", "", "")
			if err := os.WriteFile(l.Receipt(), []byte(`{"version": 99}`), 0o644); err != nil {
				t.Fatal(err)
			}
		}, registry.Unknown, "newer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := filepath.Join(temp(t), "opt")
			tt.make(t, root)
			got := registry.Look(filepath.Join(root, "store"))
			if got.State != tt.state || !strings.Contains(got.Why, tt.why) || (got.Why == "") != (tt.why == "") {
				t.Errorf("got %s, %q; want %s, %q", got.State, got.Why, tt.state, tt.why)
			}
			if got.Installed() != (got.Remedy == "") || got.Installed() != (got.Nix != "") {
				t.Errorf("nix %q, remedy %q", got.Nix, got.Remedy)
			}
		})
	}
}

func TestSurveyHasTheActiveOne(t *testing.T) {
	t.Parallel()
	dir := temp(t)
	a, b := install(t, dir+"/a", "", "", ""), install(t, dir+"/b", "", "", "")
	type row struct {
		Store          string
		Listed, Active bool
	}
	rows := func(list []string, active string) (got []row) {
		for _, e := range registry.Survey(registry.List{Prefixes: list}, active) {
			got = append(got, row{e.Store, e.Listed, e.Active})
		}
		return got
	}
	for _, tt := range []struct {
		name, active string
		list         []string
		want         []row
	}{
		{"listed", b.Root, []string{a.Store, b.Store}, []row{{a.Store, true, false}, {b.Store, true, true}}},
		{"not listed", b.Root, []string{a.Store}, []row{{a.Store, true, false}, {b.Store, false, true}}},
		{"none", "", []string{a.Store}, []row{{a.Store, true, false}}},
		{"no path", "b", nil, nil},
	} {
		if diff := cmp.Diff(tt.want, rows(tt.list, tt.active)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
