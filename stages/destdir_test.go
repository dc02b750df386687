package stages

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"bootstrap/internal/fault"
	"bootstrap/internal/journal"

	"github.com/google/go-cmp/cmp"
)

// A prefix whose files lie below a directory has records of what it has at its place, and a note of
// what was made to have a place for it.
func TestOpenBelow(t *testing.T) {
	for name, c := range map[string]struct {
		there string // below dir
		made  string // the outermost directory that is noted
	}{
		"nothing is there":       {"", "some"},
		"the directory is there": {"some/root", "some/root"},
		"its root is there":      {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := scratch(t)
			o := options(t, dir)
			o.Below = filepath.Join(dir, "some/root")
			r := newRun(t, o)
			files := r.layout.Below(o.Below)
			there, made := filepath.Join(dir, c.there), filepath.Join(dir, c.made)
			switch {
			case c.made == "":
				there, made = files.Root, ""
			case c.made == "some/root": // what is in it has to be made
				made = filepath.Join(o.Below, firstElement(r.layout.Root))
			}
			if err := os.MkdirAll(there, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := r.open(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"directory opt/var", "tree opt/var/bootstrap"}, created(t, files.Journal(), dir)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"cache", "some"}, names(t, dir)); diff != "" {
				t.Errorf("beside the files (-want +got):\n%s", diff)
			}
			h, err := journal.Load(files.Journal())
			if err != nil {
				t.Fatal(err)
			}
			way := Way(h, files.Root)
			if made == "" && len(way) > 0 || made != "" && (len(way) == 0 || way[0] != files.Root || way[len(way)-1] != made) {
				t.Errorf("made for it: %q, not from %q to %q", way, files.Root, made)
			}
			if way := Way(h, filepath.Join(dir, "moved/opt")); len(way) > 0 {
				t.Errorf("moved since, and yet made for it: %q", way)
			}
		})
	}
}

func firstElement(path string) string {
	for filepath.Dir(path) != "/" {
		path = filepath.Dir(path)
	}
	return path
}

// What package main has found to be impossible is refused with the rest, before anything is written.
func TestFoundRefused(t *testing.T) {
	dir := scratch(t)
	o := options(t, dir)
	o.Below = filepath.Join(dir, "root")
	o.Refusal = fault.New(fault.Unfit, errors.New("no namespaces"), "have some")
	o.Mirror = "http://localhost"
	err := Found(t.Context(), o)
	if fault.KindOf(err) != fault.Unfit || err.Error() != "no namespaces" {
		t.Errorf("Found: %v", err)
	}
	if diff := cmp.Diff([]string{"cache"}, names(t, dir)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}
