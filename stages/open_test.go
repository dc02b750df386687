package stages

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bootstrap/internal/journal"

	"github.com/google/go-cmp/cmp"
)

// created returns what a journal says was made, as "kind path", with paths relative to dir.
func created(t *testing.T, path, dir string) []string {
	t.Helper()
	history, err := journal.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	var made []string
	for _, r := range history.Records {
		if r.Event == journal.Create {
			made = append(made, string(r.Kind)+" "+strings.TrimPrefix(r.Path, dir+"/"))
		}
	}
	return made
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestOpen(t *testing.T) {
	for _, tt := range []struct {
		name  string
		there string // what exists before
		want  []string
	}{
		{"nothing is there", "", []string{"directory opt", "directory opt/var", "tree opt/var/bootstrap"}},
		{"the parent is there", "opt", []string{"directory opt/var", "tree opt/var/bootstrap"}},
		{"all but the work directory is there", "opt/var", []string{"tree opt/var/bootstrap"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := scratch(t)
			r := newRun(t, options(t, dir))
			if err := os.MkdirAll(filepath.Join(dir, tt.there), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := r.open(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, created(t, r.layout.Journal(), dir)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"cache", "opt"}, names(t, dir)); diff != "" {
				t.Errorf("beside the prefix (-want +got):\n%s", diff)
			}
			// A second time there is nothing to do.
			before, err := os.ReadFile(r.layout.Journal())
			if err != nil {
				t.Fatal(err)
			}
			if err := r.open(); err != nil {
				t.Fatal(err)
			}
			after, err := os.ReadFile(r.layout.Journal())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(before), string(after)); diff != "" {
				t.Errorf("the journal was written again:\n%s", diff)
			}
		})
	}
}

// Everybody has to be able to get at the store, whatever the umask of whoever installs.
func TestOpenIgnoresUmask(t *testing.T) {
	dir := scratch(t)
	r := newRun(t, options(t, dir))
	defer syscall.Umask(syscall.Umask(0o077))
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{r.layout.Root, filepath.Dir(r.layout.Work), r.layout.Work} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o755 {
			t.Errorf("%s: mode %v, want 0755", path, got)
		}
	}
}

// Killed on the way, it leaves only what the next run that can be sure of that takes away.
func TestOpenAfterAKill(t *testing.T) {
	dir := scratch(t)
	r := newRun(t, options(t, dir))
	old, young := filepath.Join(dir, ".opt"+fresh+"1"), filepath.Join(dir, ".opt"+fresh+"2")
	foreign := filepath.Join(dir, ".opt")
	put(t, filepath.Join(old, "var", "bootstrap", "journal.jsonl"), "half a rec")
	put(t, filepath.Join(young, "var", "note"), "")
	put(t, filepath.Join(foreign, "note"), "")
	past := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	want := []string{".opt", filepath.Base(young), "cache", "opt"}
	if diff := cmp.Diff(want, names(t, dir)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	history, err := journal.Load(r.layout.Journal())
	if err != nil || history.Torn != "" {
		t.Errorf("what the killed run left is in the journal: %v", err)
	}
}

// Of several at once one makes the directories; all find them, and a whole journal, there.
func TestOpenAtOnce(t *testing.T) {
	dir := scratch(t)
	o := options(t, dir)
	var wait sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		o.Run = fmt.Sprintf("run-%d", i)
		r := newRun(t, o)
		wait.Go(func() { errs[i] = r.open() })
	}
	wait.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("run %d: %v", i, err)
		}
	}
	want := []string{"directory opt", "directory opt/var", "tree opt/var/bootstrap"}
	if diff := cmp.Diff(want, created(t, o.Layout.Journal(), dir)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"cache", "opt"}, names(t, dir)); diff != "" {
		t.Errorf("left behind (-want +got):\n%s", diff)
	}
}

func TestRecorded(t *testing.T) {
	dir := scratch(t)
	o := options(t, dir)
	if _, known := Recorded(o.Layout); known {
		t.Error("something is known of a prefix that is not there")
	}
	moved := o
	moved.Layout.State = filepath.Join(dir, "state")
	if err := newRun(t, moved).open(); err != nil {
		t.Fatal(err)
	}
	got, known := Recorded(o.Layout)
	if !known {
		t.Fatal("nothing is known")
	}
	if diff := cmp.Diff(moved.Layout, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	elsewhere := o.Layout
	elsewhere.Store = filepath.Join(dir, "opt", "other", "store")
	if _, known := Recorded(elsewhere); known {
		t.Error("the journal of another store was believed")
	}
}

// Each thing is recorded before it is made, with the directories above it.
func TestMkdirRecords(t *testing.T) {
	dir := scratch(t)
	r := opened(t, options(t, dir))
	before := len(created(t, r.layout.Journal(), dir))
	path := filepath.Join(r.layout.Root, "a", "b")
	var seen []bool
	r.Crash = func(point string) {
		made := created(t, r.layout.Journal(), dir)
		_, last, _ := strings.Cut(made[len(made)-1], " ")
		seen = append(seen, exists(filepath.Join(dir, last)))
	}
	for range 2 {
		if err := r.mkdir(Install, journal.Directory, path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"directory opt/a", "directory opt/a/b"}, created(t, r.layout.Journal(), dir)[before:]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]bool{false, false}, seen); diff != "" {
		t.Errorf("made before it was recorded (-want +got):\n%s", diff)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
}
