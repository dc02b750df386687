package stages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bootstrap/internal/registry"
)

// classicIn makes what a classic Nix has at least, in a directory of its own.
func classicIn(t *testing.T) *registry.Classic {
	t.Helper()
	c := registry.ClassicAt(filepath.Join(t.TempDir(), "nix"))
	for _, dir := range []string{c.Store, c.Layout.Database()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"db.sqlite", "schema"} {
		if err := os.WriteFile(filepath.Join(c.Layout.Database(), name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestRefuseLocal(t *testing.T) {
	never := func(string) bool { return false }
	for name, tt := range map[string]struct {
		change func(t *testing.T, c *registry.Classic)
		own    func(c *registry.Classic) string
		may    func(c *registry.Classic) func(string) bool
		want   string // with the directory of the Nix as NIX
	}{
		"as it should be": {},
		"our own store":   {own: func(c *registry.Classic) string { return c.Store }, want: "this store itself is that of NIX"},
		"none": {
			change: func(t *testing.T, c *registry.Classic) { removeAll(t, c.Layout.Root) },
			want:   "there was none in NIX when this was written",
		},
		"no database": {
			change: func(t *testing.T, c *registry.Classic) { removeAll(t, c.Layout.Database()) },
			want:   "NIX is there, and NIX/var/nix/db/db.sqlite is missing",
		},
		"no schema": {
			change: func(t *testing.T, c *registry.Classic) {
				removeAll(t, filepath.Join(c.Layout.Database(), "schema"))
			},
			want: "NIX is there, and NIX/var/nix/db/schema is missing",
		},
		"a file in its place": {
			change: func(t *testing.T, c *registry.Classic) {
				removeAll(t, c.Layout.State)
				if err := os.WriteFile(c.Layout.State, nil, 0o644); err != nil {
					t.Fatal(err)
				}
			},
			want: "NIX is there, and NIX/var/nix/db/db.sqlite cannot be read: open NIX/var/nix/db/db.sqlite: not a directory",
		},
		"Nix could make it": {
			may: func(c *registry.Classic) func(string) bool {
				return func(dir string) bool { return dir == filepath.Dir(c.Layout.Root) }
			},
			want: "you may write to TOP, and Nix would make an empty NIX whenever that is gone",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, own, may := classicIn(t), "/opt/store", never
			if tt.change != nil {
				tt.change(t, c)
			}
			if tt.own != nil {
				own = tt.own(c)
			}
			if tt.may != nil {
				may = tt.may(c)
			}
			got := strings.ReplaceAll(refuseLocal(c, own, may), c.Layout.Root, "NIX")
			if got = strings.ReplaceAll(got, filepath.Dir(c.Layout.Root), "TOP"); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestUnreadableStoreIsNotAsked(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("skipped: root reads everything")
	}
	c := classicIn(t)
	if err := os.Chmod(c.Layout.Database(), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(c.Layout.Database(), 0o755) })
	if got := refuseLocal(c, "/opt/store", mayWrite); !strings.HasSuffix(got, "db.sqlite may not be read") {
		t.Errorf("got %q", got)
	}
}

func TestLocalURL(t *testing.T) {
	const want = "local?store=/nix/store&state=/nix/var/nix&log=/nix/var/log/nix&read-only=true"
	if got := localURL(registry.ClassicAt("/nix")); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func removeAll(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}
