package journal_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
)

// clock returns a clock that advances one second per reading.
func clock() func() time.Time {
	now := time.Date(2026, 9, 12, 7, 55, 41, 0, time.UTC)
	var mu sync.Mutex
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}
}

func open(t *testing.T, path string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(journal.Options{Path: path, Run: "r1", Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func load(t *testing.T, path string) *journal.History {
	t.Helper()
	h, err := journal.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestJournalRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	j := open(t, path)
	must(t, j.Create("probe", journal.Directory, "/opt/var"))
	must(t, j.Begin("fetch", "k1"))
	must(t, j.Note("fetch", "the mirror\nwas slow"))
	must(t, j.Fail("fetch", "k1", errors.New("no route to host")))
	must(t, j.Begin("fetch", "k1"))
	must(t, j.End("fetch", "k1", map[string]string{"path": "/c"}))
	must(t, j.Create("host", journal.Tree, "/opt/var/host"))
	must(t, j.Create("host", journal.Directory, "/opt/var"))

	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, want 0600", info.Mode())
	}
	h := load(t, path)
	if len(h.Records) != 8 || h.Torn != "" {
		t.Fatalf("%d records, torn %q", len(h.Records), h.Torn)
	}
	last, ok := h.Last("fetch")
	want := journal.Record{
		Time: time.Date(2026, 9, 12, 7, 55, 47, 0, time.UTC), Run: "r1", Stage: "fetch",
		Event: journal.End, Key: "k1", Output: map[string]string{"path": "/c"},
	}
	if diff := cmp.Diff(want, last); !ok || diff != "" {
		t.Errorf("last of fetch (-want +got):\n%s", diff)
	}
	if _, ok := h.Last("host"); ok {
		t.Error("a stage that only created something has a last record")
	}
	var made []string
	for _, r := range h.Created() {
		made = append(made, string(r.Kind)+" "+r.Path)
	}
	if diff := cmp.Diff([]string{"directory /opt/var", "tree /opt/var/host"}, made); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
}

func TestAppendRefusesWhatLoadWouldRefuse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	j := open(t, path)
	for _, r := range []journal.Record{
		{Event: "dance"},
		{Event: journal.Begin},
		{Event: journal.Create, Kind: journal.File, Path: "relative"},
		{Event: journal.Create, Kind: journal.File, Path: "/\xff"},
		{Event: journal.Create, Kind: "", Path: "/x"},
	} {
		if err := j.Append(r); err == nil {
			t.Errorf("Append(%+v): no error", r)
		}
	}
	if h := load(t, path); len(h.Records) != 0 || h.Torn != "" {
		t.Errorf("something was written: %+v", h)
	}
}

func TestEveryCutIsTolerated(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal.jsonl")
	j := open(t, path)
	must(t, j.Begin("fetch", "k"))
	must(t, j.End("fetch", "k", nil))
	data, err := os.ReadFile(path)
	must(t, err)
	lines := func(b []byte) int { return strings.Count(string(b), "\n") }

	cut := filepath.Join(dir, "cut.jsonl")
	for n := range len(data) {
		must(t, os.WriteFile(cut, data[:n], 0o600))
		h, err := journal.Load(cut)
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		if len(h.Records) != lines(data[:n]) {
			t.Fatalf("cut at %d: %d records", n, len(h.Records))
		}
		if torn := n > 0 && data[n-1] != '\n'; torn != (h.Torn != "") {
			t.Fatalf("cut at %d: torn = %q", n, h.Torn)
		}
	}
}

func TestOpenCutsOffATornLine(t *testing.T) {
	for _, torn := range []string{`{"time":"20`, "\x00\x00\x00", strings.Repeat("x", 10000)} {
		path := filepath.Join(t.TempDir(), "journal.jsonl")
		must(t, open(t, path).Begin("fetch", "k"))
		file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		must(t, err)
		_, err = file.WriteString(torn)
		must(t, err)
		must(t, file.Close())

		must(t, open(t, path).Begin("host", "k"))
		h := load(t, path)
		if len(h.Records) != 2 || h.Records[1].Stage != "host" || h.Torn != "" {
			t.Errorf("after %.10q: %+v", torn, h)
		}
	}
}

func TestLoadRefusesGarbageInTheMiddle(t *testing.T) {
	const good = `{"time":"2026-09-12T07:55:41Z","run":"r","stage":"s","event":"begin"}` + "\n"
	tests := []struct{ name, text, want string }{
		{"not JSON", good + "rubbish\n" + good, "line 2"},
		{"an empty line", good + "\n" + good, "line 2"},
		{"two records glued together", good[:20] + good + good, "line 1"},
		{"an unknown event", strings.Replace(good, "begin", "dance", 1), `event "dance" is not known`},
		{"no time", `{"event":"note"}` + "\n", "no time"},
		{"a list", "[]\n", "line 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal.jsonl")
			must(t, os.WriteFile(path, []byte(tt.text), 0o600))
			_, err := journal.Load(path)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error = %v, want %q in it", err, tt.want)
			}
			if fault.HintOf(err) == "" {
				t.Error("no hint")
			}
		})
	}
}

func TestLoadOfNothingIsEmpty(t *testing.T) {
	h := load(t, filepath.Join(t.TempDir(), "none"))
	if len(h.Records) != 0 || h.Torn != "" {
		t.Errorf("history = %+v", h)
	}
}

func TestAppendFromManyGoroutines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	j := open(t, path)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 4 {
				if err := j.Note("fetch", strings.Repeat("x", 500)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if h := load(t, path); len(h.Records) != 32 {
		t.Errorf("%d records, want 32", len(h.Records))
	}
}

func TestAppendToAFullDiskFails(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	j, err := journal.Open(journal.Options{Path: "/dev/full", Run: "r", Now: clock()})
	if err != nil {
		t.Skip(err)
	}
	defer j.Close()
	if err := j.Begin("fetch", "k"); err == nil {
		t.Error("no error")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"time":"2026-09-12T07:55:41Z","run":"r","stage":"s","event":"begin"}` + "\n" + `{"ti`))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := journal.Parse(data)
		if err != nil {
			return
		}
		if got := strings.Count(string(data), "\n"); got != len(h.Records) {
			t.Errorf("%d lines gave %d records", got, len(h.Records))
		}
		for _, r := range h.Created() {
			if !filepath.IsAbs(r.Path) {
				t.Errorf("created %q", r.Path)
			}
		}
	})
}
