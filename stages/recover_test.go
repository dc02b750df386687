package stages

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestShapeShowsWhatAPowerCutDoes(t *testing.T) {
	dir := scratch(t)
	file, link := filepath.Join(dir, "bin", "cc"), filepath.Join(dir, "bin", "c++")
	put(t, file, "a compiler")
	if err := os.Symlink("cc", link); err != nil {
		t.Fatal(err)
	}
	was, err := shape(deadline(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{was: "nothing"}
	for _, change := range []struct {
		name string
		do   func() error
	}{
		{"a file shorter", func() error { return os.Truncate(file, 3) }},
		{"a file of no bytes", func() error { return os.Truncate(file, 0) }},
		{"a file that can be run", func() error { return os.Chmod(file, 0o755) }},
		{"a link elsewhere", func() error { return os.Rename(link, filepath.Join(dir, "c++")) }},
		{"a file gone", func() error { return os.Remove(file) }},
	} {
		if err := change.do(); err != nil {
			t.Fatal(err)
		}
		got, err := shape(deadline(t), dir)
		if err != nil {
			t.Fatal(err)
		}
		if before, same := seen[got]; same {
			t.Errorf("%s: the shape is that of %s", change.name, before)
		}
		seen[got] = change.name
	}
	if got, err := shape(deadline(t), filepath.Join(dir, "none")); err == nil {
		t.Errorf("what is not there has the shape %q", got)
	}
}

func TestTorn(t *testing.T) {
	dir := scratch(t)
	for text, want := range map[string]bool{
		`Derive([("out","/s/x","","")],[],[],"x","/bin/sh",[],[])`: false,
		"":                                     true,
		"Deri":                                 true,
		"Derive([(":                            true,
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00": true,
	} {
		path := filepath.Join(dir, "x.drv")
		put(t, path, text)
		if got := torn(path); got != want {
			t.Errorf("%q: torn %v", text, got)
		}
	}
}

func TestDatabaseTrouble(t *testing.T) {
	for name, tt := range map[string]struct {
		schema, db string // "-" for none
		want       string
	}{
		"a new prefix":     {"-", "-", ""},
		"one that is well": {"10", sqliteMagic + "more", ""},
		"no schema":        {"-", sqliteMagic, ""},
		"an empty schema":  {"", sqliteMagic, "its schema is no number"},
		"no database":      {"10", "-", "it is gone"},
		"an empty one":     {"10", "", "it is not one of SQLite"},
		"one of zeros":     {"10", string(make([]byte, 100)), "it is not one of SQLite"},
	} {
		r := newRun(t, options(t, scratch(t)))
		for file, text := range map[string]string{"schema": tt.schema, "db.sqlite": tt.db} {
			if text != "-" {
				put(t, filepath.Join(r.layout.Database(), file), text)
			}
		}
		if got := r.databaseTrouble(); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// What a stage has written is on the disk before the record says that the stage has ended.
func TestFlushComesBeforeTheEnd(t *testing.T) {
	t.Parallel()
	o := options(t, scratch(t))
	var points []string
	o.Crash = func(point string) {
		if point != "create" {
			points = append(points, point)
		}
	}
	if _, err := Execute(deadline(t), o); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, s := range newRun(t, o).pipeline() {
		if s.name == Fetch {
			want = append(want, "fetch begin", "fetch end")
			continue
		}
		want = append(want, s.name+" begin")
		if s.name == Prove { // the first one
			want = append(want, "generation proved", "generation noted", "generation current")
		}
		want = append(want, s.name+" built", s.name+" flushed", s.name+" end")
	}
	if diff := cmp.Diff(want, points); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
}

// Repair says what it did, and nothing where nothing is wrong.
func TestRepair(t *testing.T) {
	t.Parallel()
	o := options(t, scratch(t))
	if _, err := Repair(deadline(t), o); err == nil {
		t.Error("what is not there was repaired")
	}
	res, err := Execute(deadline(t), o)
	if err != nil {
		t.Fatal(err)
	}
	done, err := Repair(deadline(t), o)
	if err != nil || len(done.Stages)+len(done.Paths) > 0 {
		t.Fatalf("a healthy prefix: %+v, %v", done, err)
	}
	cacert := res.Plan.run.done[Toolchain]["cacert"]
	bundle := filepath.Join(cacert, "etc/ssl/certs/ca-bundle.crt")
	if err := os.Chmod(bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bundle, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if done, err = Repair(deadline(t), o); err != nil || !slices.Equal(done.Stages, []string{Host, Toolchain}) {
		t.Errorf("an altered path: %+v, %v", done, err)
	}
	if data, err := os.ReadFile(bundle); err != nil || len(data) > 0 {
		t.Errorf("it is still %q, %v", data, err)
	}
}
