package templates_test

import (
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/control"
	"bootstrap/internal/lock"
	"bootstrap/internal/resolve"
	"bootstrap/templates"
)

func embedded(t *testing.T) (*lock.Lock, resolve.Table) {
	t.Helper()
	l, err := lock.Parse(templates.Lock())
	if err != nil {
		t.Fatal(err)
	}
	table, err := resolve.ParseTable(templates.Roots())
	if err != nil {
		t.Fatal(err)
	}
	return l, table
}

// A lock that was edited or sorted by hand would give differences nobody asked for.
func TestLockIsCanonical(t *testing.T) {
	l, _ := embedded(t)
	if diff := cmp.Diff(string(templates.Lock()), string(l.Marshal())); diff != "" {
		t.Errorf("-file +canonical:\n%s", diff)
	}
}

func TestLockFitsTheTable(t *testing.T) {
	l, table := embedded(t)
	for _, role := range lock.Roles() {
		rule, ok := table[role]
		if !ok {
			t.Errorf("role %q: the table does not have it", role)
		}
		for _, arch := range []string{"amd64", "arm64"} {
			entries := l.For(arch, role)
			if len(entries) == 0 {
				t.Errorf("role %q: the lock has nothing for %s", role, arch)
			}
			for _, e := range entries {
				if e.Suite != rule.Suite && len(e.Roles) == 1 {
					t.Errorf("role %q: %q is from %q, not %q", role, e.Path, e.Suite, rule.Suite)
				}
			}
			if rule.File != "" && (len(entries) != 1 || path.Base(entries[0].Path) != rule.File) {
				t.Errorf("role %q: %v is not the one file %q", role, entries, rule.File)
			}
		}
	}
}

// What is added to the toolchain for later versions is locked like all else: each file for both
// architectures, out of the suite that its table names, and no more than the table names.
func TestLater(t *testing.T) {
	names, err := fs.Glob(templates.Later(), "*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("%q, %v", names, err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(templates.Later(), name)
		if err != nil {
			t.Fatal(err)
		}
		l, err := lock.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(data), string(l.Marshal())); diff != "" {
			t.Errorf("%s: -file +canonical:\n%s", name, diff)
		}
		text, err := os.ReadFile(path.Join("later/tables", name))
		if err != nil {
			t.Fatal(err)
		}
		table, err := resolve.ParseTable(text)
		if err != nil {
			t.Fatal(err)
		}
		rule := table[lock.Toolchain]
		for _, arch := range []string{"amd64", "arm64"} {
			entries := l.For(arch)
			if len(entries) != len(rule.Packages) {
				t.Errorf("%s: %d packages for %s, and %d in the table", name, len(entries), arch, len(rule.Packages))
			}
			for _, relation := range rule.Packages {
				wanted, err := control.ParseDependencies(relation)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.ContainsFunc(entries, func(e lock.Entry) bool {
					return e.Name == wanted[0][0].Name && wanted[0][0].SatisfiedBy(e.Version) && e.Suite == rule.Suite
				}) {
					t.Errorf("%s: no %s of %s for %s", name, relation, rule.Suite, arch)
				}
			}
		}
	}
}

// patchelf 0.18 breaks programs that are not position-independent.
func TestPatchelfIsTheRightOne(t *testing.T) {
	l, _ := embedded(t)
	for _, arch := range []string{"amd64", "arm64"} {
		i := slices.IndexFunc(l.For(arch, lock.Patchelf), func(e lock.Entry) bool { return e.Name == "patchelf" })
		if i < 0 {
			t.Fatalf("no patchelf for %s", arch)
		}
		v := l.For(arch, lock.Patchelf)[i].Version
		if control.Compare(v, "0.14.3") < 0 || control.Compare(v, "0.18") >= 0 {
			t.Errorf("patchelf %s for %s", v, arch)
		}
	}
}

func TestFiles(t *testing.T) {
	for name, tt := range map[string]struct {
		files fs.FS
		want  []string // among others
	}{
		"packages": {templates.Packages(), []string{"default.nix", "lock.nix", "lock.json", "roots.json", "builders/nix.sh"}},
		"conf":     {templates.Conf(), []string{"nix.conf"}},
		"env":      {templates.Env(), []string{"environment.sh", "nix.sh", "nix.fish", "nix.csh"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, file := range tt.want {
				data, err := fs.ReadFile(tt.files, file)
				if err != nil || len(data) == 0 {
					t.Errorf("%s: %d bytes, %v", file, len(data), err)
				}
			}
		})
	}
}

// The package set is data for Nix: no place of the machine it was written on may be in it.
func TestPackagesNameNoPlace(t *testing.T) {
	err := fs.WalkDir(templates.Packages(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(templates.Packages(), name)
		if err != nil {
			return err
		}
		for _, place := range []string{"/home/", "/root/", "/tmp/"} {
			if strings.Contains(string(data), " "+place) || strings.Contains(string(data), `"`+place) {
				t.Errorf("%s: it names something in %s", name, place)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
