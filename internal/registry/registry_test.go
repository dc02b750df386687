package registry_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/fault"
	"bootstrap/internal/registry"
)

func place(t *testing.T, home, state string) registry.File {
	t.Helper()
	f, err := registry.Place(home, state)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// names returns every path below a directory.
func names(t *testing.T, dir string) []string {
	t.Helper()
	got := []string{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir {
			got = append(got, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func add(t *testing.T, f registry.File, stores ...string) {
	t.Helper()
	for _, s := range stores {
		if err := f.Add(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(t *testing.T, f registry.File, stores ...string) {
	t.Helper()
	if err := f.Remove(t.Context(), stores...); err != nil {
		t.Fatal(err)
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, home, state, want string }{
		{"home", "/home/a", "", "/home/a/.local/state/bootstrap/prefixes.json"},
		{"state", "/home/a", "/s/", "/s/bootstrap/prefixes.json"},
		{"state alone", "", "/s", "/s/bootstrap/prefixes.json"},
		{"a relative state is ignored", "/home/a", "s", "/home/a/.local/state/bootstrap/prefixes.json"},
		{"neither", "", "s", ""},
		{"a relative home", "home", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := registry.Place(tt.home, tt.state)
			if f.Path() != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("got %q, %v; want %q", f.Path(), err, tt.want)
			}
			if err != nil && fault.HintOf(err) == "" {
				t.Error("no hint")
			}
		})
	}
}

func TestTheLastPrefixTakesAllAlong(t *testing.T) {
	t.Parallel()
	for name, before := range map[string][]string{
		"an empty home":           nil,
		"a state directory":       {".local/state"},
		"others in it":            {".local/state/other"},
		"a directory of our name": {".local/state/bootstrap"},
		"something of theirs":     {".local/state/bootstrap/theirs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			for _, dir := range before {
				if err := os.MkdirAll(filepath.Join(home, dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			want := names(t, home)
			f := place(t, home, "")
			add(t, f, "/a/store", "/b/store", "/a/store")
			list, err := f.Load()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"/a/store", "/b/store"}, list.Prefixes); diff != "" {
				t.Errorf("prefixes (-want +got):\n%s", diff)
			}
			remove(t, f, "/a/store", "/c/store")
			if list, err = f.Load(); err != nil || len(list.Prefixes) != 1 {
				t.Fatalf("after one was removed: %v, %v", list, err)
			}
			remove(t, f, "/b/store")
			if diff := cmp.Diff(want, names(t, home)); diff != "" {
				t.Errorf("HOME (-before +after):\n%s", diff)
			}
		})
	}
}

// A directory that somebody uses since stays; one that the file only claims is never touched.
func TestOnlyWhatIsEmptyAndOnTheWay(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	f := place(t, home, "")
	add(t, f, "/a/store")
	if err := os.WriteFile(filepath.Join(home, ".local/state/theirs"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	claimed := filepath.Join(home, "claimed")
	if err := os.Mkdir(claimed, 0o755); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(f.Path())
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(data), `"directories": [`, fmt.Sprintf(`"directories": [%q,`, claimed), 1)
	if err := os.WriteFile(f.Path(), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	remove(t, f, "/a/store")
	if diff := cmp.Diff([]string{".local", ".local/state", ".local/state/theirs", "claimed"}, names(t, home)); diff != "" {
		t.Errorf("HOME (-want +got):\n%s", diff)
	}
}

func TestWhatAKilledWriterLeftIsSwept(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	f := place(t, home, "")
	add(t, f, "/a/store")
	if err := os.WriteFile(filepath.Join(filepath.Dir(f.Path()), ".prefixes.json123"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	remove(t, f, "/a/store")
	if got := names(t, home); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	f := place(t, home, "")
	const writers, rounds = 6, 15
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			store := fmt.Sprintf("/%d/store", i)
			for range rounds {
				if err := f.Add(t.Context(), store); err != nil {
					t.Errorf("add: %v", err)
				}
				if list, err := f.Load(); err != nil || !strings.Contains(strings.Join(list.Prefixes, " "), store) {
					t.Errorf("%s was added, and the list is %q, %v", store, list.Prefixes, err)
				}
				if err := f.Remove(t.Context(), store); err != nil {
					t.Errorf("remove: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if got := names(t, home); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want error
	}{
		"empty":         {"", registry.ErrDamaged},
		"cut off":       {`{"version": 1, "prefixes": ["/a`, registry.ErrDamaged},
		"no version":    {`{"prefixes": []}`, registry.ErrDamaged},
		"unknown field": {`{"version": 1, "more": 1}`, registry.ErrDamaged},
		"relative path": {`{"version": 1, "prefixes": ["a/store"]}`, registry.ErrDamaged},
		"the root":      {`{"version": 1, "directories": ["/"]}`, registry.ErrDamaged},
		"newer":         {`{"version": 2, "more": 1}`, registry.ErrNewer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := place(t, "", t.TempDir())
			if err := os.Mkdir(filepath.Dir(f.Path()), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(f.Path(), []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := f.Load()
			if !errors.Is(err, tt.want) || fault.HintOf(err) == "" {
				t.Errorf("error %v, hint %q; want %v", err, fault.HintOf(err), tt.want)
			}
			if err := f.Add(t.Context(), "/b/store"); !errors.Is(err, tt.want) {
				t.Errorf("add: %v, want %v", err, tt.want)
			}
			if got, err := os.ReadFile(f.Path()); err != nil || string(got) != tt.text {
				t.Errorf("the file is %q now (%v)", got, err)
			}
		})
	}
}

func TestAddWhereNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]registry.File{
		"no such home":         place(t, filepath.Join(dir, "nobody"), ""),
		"home is a file":       place(t, file, ""),
		"the way has a file":   place(t, "", file),
		"nothing grows there":  place(t, "", "/proc/self"),
		"a state below a file": place(t, dir, file+"/state"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := f.Add(t.Context(), "/a/store")
			if err == nil || fault.HintOf(err) == "" {
				t.Errorf("error %v, hint %q", err, fault.HintOf(err))
			}
		})
	}
	t.Cleanup(func() {
		if diff := cmp.Diff([]string{"file"}, names(t, dir)); diff != "" {
			t.Errorf("written (-want +got):\n%s", diff)
		}
	})
}
