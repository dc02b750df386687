package stages

import (
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bootstrap/internal/debtest"
	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/fetch"
	"bootstrap/internal/journal"
	"bootstrap/internal/lock"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/google/go-cmp/cmp"
)

// renewed returns an archive whose index has a newer version of a package of the seed, the
// installation that needs it, and the file that is gone.
func renewed(t *testing.T) (*installation, string, *fetch.GoneError) {
	t.Helper()
	archive := debtest.NewArchive(t)
	for _, m := range members() {
		if m.roles[0] == lock.NixSource || m.roles[0] == lock.HelloSource {
			continue
		}
		if m.name == "make" {
			m.version = "4.4.1-3"
		}
		archive.Suite("trixie").Add(debtest.Package{Name: m.name, Version: m.version, Arch: runtime.GOARCH})
	}
	url := archive.Serve()
	o := options(t, scratch(t))
	o.Transport, o.Keyring = http.DefaultTransport, archive.Keyring()
	o.Now = func() time.Time { return debtest.Date.Add(time.Hour) }
	r := opened(t, o)
	i := slices.IndexFunc(o.Lock.Entries, func(e lock.Entry) bool { return e.Name == "make" })
	gone := o.Lock.Entries[i]
	return r, url, &fetch.GoneError{Files: []fetch.File{{SHA256: gone.SHA256, Size: gone.Size, Name: "make.deb"}}}
}

// versionIn returns which version of make a lock pins.
func versionIn(l *lock.Lock) string {
	i := slices.IndexFunc(l.Entries, func(e lock.Entry) bool { return e.Name == "make" })
	return l.Entries[i].Version
}

func TestResolveAgain(t *testing.T) {
	r, url, gone := renewed(t)
	var mu sync.Mutex
	var warned []string
	r.Sink = event.Func(func(e event.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Kind == event.Warn {
			warned = append(warned, e.Text)
		}
	})
	f, err := r.fetcher()
	if err != nil {
		t.Fatal(err)
	}
	given := r.lock.Digest()
	if err := r.resolveAgain(deadline(t), f, url, gone); err != nil {
		t.Fatal(err)
	}
	if got := versionIn(r.lock); got != "4.4.1-3" {
		t.Errorf("the lock in use pins %s", got)
	}
	if r.Lock.Digest() != given {
		t.Error("the lock that was given has changed")
	}
	text := strings.Join(warned, "\n")
	for _, want := range []string{"make:" + runtime.GOARCH + ": 4.4.1-2 -> 4.4.1-3", "store paths will differ"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q, but:\n%s", want, text)
		}
	}

	// A later run with the same lock finds the mended one.
	later := func(l *lock.Lock) string {
		o := r.Options
		o.Lock, o.Sink = l, event.Discard()
		again := newRun(t, o)
		if again.history, err = journal.Load(r.layout.Journal()); err != nil {
			t.Fatal(err)
		}
		if err := again.loadLock(); err != nil {
			t.Fatal(err)
		}
		return versionIn(again.lock)
	}
	if got := later(r.Lock); got != "4.4.1-3" {
		t.Errorf("a later run pins %s", got)
	}
	other := lockOf(members())
	other.Timestamp = "20270101T000000Z"
	if got := later(other); got != "4.4.1-2" {
		t.Errorf("a run with another lock pins %s", got)
	}
	if err := os.WriteFile(filepath.Join(r.layout.Work, relocked), other.Marshal(), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := later(r.Lock); got != "4.4.1-2" {
		t.Errorf("with a file that is not what the journal says it pins %s", got)
	}
	if err := os.Remove(filepath.Join(r.layout.Work, relocked)); err != nil {
		t.Fatal(err)
	}
	if got := later(r.Lock); got != "4.4.1-2" {
		t.Errorf("without the file it pins %s", got)
	}
}

// What is not signed by a key that counts is not resolved from, and changes nothing.
func TestResolveAgainRefuses(t *testing.T) {
	r, url, gone := renewed(t)
	given := r.lock
	for _, tt := range []struct {
		name   string
		change func()
		kind   fault.Kind
		hint   string
	}{
		{"a foreign key", func() { r.Keyring = openpgp.EntityList{debtest.NewKey(t, "Somebody Else")} }, fault.Verify, "--mirror"},
		{"an index whose time is over", func() {
			r.Now = func() time.Time { return debtest.Date.Add(30 * 24 * time.Hour) }
		}, fault.Verify, "--allow-expired-index"},
		{"no mirror at all", func() { r.Transport = offline{} }, fault.General, "--mirror"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := r.Options
			defer func() { r.Options = before }()
			tt.change()
			f, err := r.fetcher()
			if err != nil {
				t.Fatal(err)
			}
			err = r.resolveAgain(deadline(t), f, url, gone)
			if fault.KindOf(err) != tt.kind || !strings.Contains(fault.HintOf(err), tt.hint) {
				t.Errorf("kind %d, hint %q: %v", fault.KindOf(err), fault.HintOf(err), err)
			}
			if r.lock != given || exists(filepath.Join(r.layout.Work, relocked)) {
				t.Error("the lock was changed all the same")
			}
		})
	}
}

// TestFiles says where files come from, and in which order.
func TestFiles(t *testing.T) {
	o := options(t, scratch(t))
	r := newRun(t, o)
	e := lock.Entry{Path: "pool/main/m/make_4%3a1~rc_amd64.deb", Size: 7, SHA256: "aa"}
	mended := *o.Lock
	mended.Timestamp = "20270101T000000Z"
	for _, tt := range []struct {
		name, from, snapshot string
		lock                 *lock.Lock
		want                 int // addresses
	}{
		{"from the cache alone", "", "", o.Lock, 0},
		{"from the mirror, and the archive of the lock's day", "http://m.example/debian", "", o.Lock, 2},
		{"from a snapshot archive that was named", "http://m.example/debian", "http://s.example", o.Lock, 2},
		{"for a lock of two days", "http://m.example/debian", "", &mended, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.Snapshot, r.lock = tt.snapshot, tt.lock
			got := r.files([]lock.Entry{e}, tt.from)[0]
			if got.SHA256 != "aa" || got.Size != 7 || len(got.URLs) != tt.want {
				t.Fatalf("%+v", got)
			}
			for i, url := range got.URLs {
				if !strings.HasSuffix(url, "/make_4%253a1~rc_amd64.deb") {
					t.Errorf("address %d is %q", i, url)
				}
			}
			if tt.want > 0 && !strings.HasPrefix(got.URLs[0], tt.from+"/pool/") {
				t.Errorf("the mirror is not first: %q", got.URLs)
			}
			if tt.snapshot != "" && !strings.HasPrefix(got.URLs[1], tt.snapshot) {
				t.Errorf("not the archive that was named: %q", got.URLs)
			}
		})
	}
	if diff := cmp.Diff("trixie", r.mainSuite()); diff != "" {
		t.Error(diff)
	}
}
