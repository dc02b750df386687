package resolve_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/debtest"
	"bootstrap/internal/fault"
	"bootstrap/internal/lock"
	"bootstrap/internal/resolve"
)

// withdraw takes all versions of packages out of the suite.
func (w *world) withdraw(names ...string) {
	s := w.archive.Suite("trixie")
	s.Packages = slices.DeleteFunc(s.Packages, func(p debtest.Package) bool { return slices.Contains(names, p.Name) })
}

// replace publishes what the suite has now, and replaces the entries of the named packages.
func (w *world) replace(l *lock.Lock, names ...string) (*lock.Lock, []string, error) {
	w.t.Helper()
	w.archive.Publish()
	var gone []lock.Entry
	for _, e := range l.Entries {
		if slices.Contains(names, e.Name) {
			gone = append(gone, e)
		}
	}
	replaced, changes, err := resolve.Replace(w.t.Context(), l, gone, w.opts)
	var texts []string
	for _, c := range changes {
		texts = append(texts, c.String())
	}
	return replaced, texts, err
}

func TestReplace(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(w *world)
		gone   []string
		want   []string
	}{
		{"only what is gone, though more is new", func(w *world) {
			w.withdraw("gcc", "make")
			w.pkg("gcc 2", "Depends: libc6")
			w.pkg("make 2")
		}, []string{"gcc"}, []string{"gcc:amd64: 1 -> 2"}},
		{"what the new one needs", func(w *world) {
			w.withdraw("gcc")
			w.pkg("gcc 2", "Depends: libc6, libnew")
			w.pkg("libnew 1", "Depends: libnewer")
			w.pkg("libnewer 1")
		}, []string{"gcc"}, []string{"gcc:amd64: 1 -> 2", "libnew:amd64: added 1", "libnewer:amd64: added 1"}},
		{"a pinned version the new one rejects", func(w *world) {
			w.withdraw("gcc", "libc6")
			w.pkg("gcc 2", "Depends: libc6 (>= 2)")
			w.pkg("libc6 2")
		}, []string{"gcc"}, []string{"gcc:amd64: 1 -> 2", "libc6:amd64: 1 -> 2"}},
		{"what is still pinned provides", func(w *world) {
			w.withdraw("gcc", "mawk")
			w.pkg("gcc 2", "Depends: libc6, awk (<= 1)")
			w.pkg("mawk 9", "Provides: awk (= 9)")
		}, []string{"gcc"}, []string{"gcc:amd64: 1 -> 2"}},
		{"for all architectures", func(w *world) {
			w.withdraw("meson")
			w.pkg("meson 2 all")
		}, []string{"meson"}, []string{"meson:all: 1 -> 2"}},
		{"a source, in a file of the same name", func(w *world) {
			w.archive.Suite("trixie").Sources = nil
			w.archive.Suite("trixie").AddSource(debtest.Source{Name: "hello", Version: "2", Files: map[string][]byte{"hello.tar.gz": []byte("new")}})
		}, []string{"hello"}, []string{"hello:source: 1 -> 2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, `{
				"toolchain": {"suite": "trixie", "packages": ["gcc", "make", "mawk", "meson"]},
				"hello-source": {"suite": "trixie", "source": "hello", "file": "hello.tar.gz"}
			}`)
			w.pkg("gcc 1", "Depends: libc6")
			w.pkg("make 1")
			w.pkg("mawk 1", "Provides: awk (= 1)")
			w.pkg("libc6 1")
			w.pkg("meson 1 all")
			w.archive.Suite("trixie").AddSource(debtest.Source{Name: "hello", Version: "1", Files: map[string][]byte{"hello.tar.gz": []byte("old")}})
			old := w.mustUpdate()
			before := old.Digest()
			tt.change(w)
			replaced, got, err := w.replace(old, tt.gone...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if err := replaced.Check(); err != nil {
				t.Error(err)
			}
			if old.Digest() != before {
				t.Error("the old lock was changed")
			}
		})
	}
}

func TestReplaceInTheHost(t *testing.T) {
	w := newWorld(t, hostTable)
	w.addHost()
	old := w.mustUpdate()
	w.withdraw("liba")
	w.pkg("liba 2", "Depends: libc6, libz, perl", lib(t, "usr/lib/x/liba.so.1", "liba.so.1", "libz.so"))
	w.pkg("libz 1", lib(t, "usr/lib/x/libz.so", "libz.so"))
	replaced, got, err := w.replace(old, "liba")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"liba:amd64: 1 -> 2", "libb:amd64: removed 1", "libz:amd64: added 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"liba 2", "libc6 1", "libz 1", "nix-bin 1"}, names(replaced, "amd64", lock.Host)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestReplaceRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(w *world)
		hint   string
	}{
		{"the index still lists the file", func(*world) {}, "--mirror"},
		{"the suite has no such package any more", func(w *world) { w.withdraw("a"); w.pkg("b 1") }, "bootstrap lock update"},
		{"the suite is signed by somebody else", func(w *world) {
			w.withdraw("a")
			w.pkg("a 2")
			w.archive.Key = debtest.NewKey(w.t, "other")
		}, "--mirror"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, toolchain(`"a"`, ``))
			w.pkg("a 1")
			old := w.mustUpdate()
			tt.change(w)
			_, _, err := w.replace(old, "a")
			if err == nil || !strings.Contains(fault.HintOf(err), tt.hint) {
				t.Errorf("got %v, hint %q, want hint %q", err, fault.HintOf(err), tt.hint)
			}
		})
	}
	t.Run("an entry of another lock", func(t *testing.T) {
		w := newWorld(t, toolchain(`"a"`, ``))
		w.pkg("a 1")
		if _, _, err := resolve.Replace(t.Context(), w.mustUpdate(), []lock.Entry{{Path: "pool/x", Suite: "trixie"}}, w.opts); err == nil {
			t.Error("no error")
		}
	})
}
