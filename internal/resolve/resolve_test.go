package resolve_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/archive"
	"bootstrap/internal/debtest"
	"bootstrap/internal/fault"
	"bootstrap/internal/lock"
	"bootstrap/internal/resolve"
)

// world is an archive, the options to resolve in it, and what was fetched meanwhile.
type world struct {
	t       *testing.T
	archive *debtest.Archive
	opts    resolve.Options
	fetched []string
}

func newWorld(t *testing.T, table string) *world {
	t.Helper()
	parsed, err := resolve.ParseTable([]byte(table))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, archive: debtest.NewArchive(t)}
	w.opts = resolve.Options{
		Archive: archive.Options{Keyring: w.archive.Keyring(), Now: func() time.Time { return debtest.Date.Add(time.Hour) }},
		Table:   parsed, Architectures: []string{"amd64"}, Fetch: w.fetch, TempDir: t.TempDir(),
	}
	return w
}

func (w *world) fetch(_ context.Context, entries []lock.Entry) (map[string]string, error) {
	dir, paths := w.t.TempDir(), make(map[string]string)
	for _, e := range entries {
		w.fetched = append(w.fetched, e.Name)
		paths[e.SHA256] = filepath.Join(dir, e.SHA256)
		if err := os.WriteFile(paths[e.SHA256], w.archive.File(e.Path), 0o644); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// pkg adds a package: "name version", then fields as "Depends: a, b", then files.
func (w *world) pkg(head string, rest ...any) {
	w.t.Helper()
	p := debtest.Package{Fields: map[string]string{}}
	words := strings.Fields(head)
	p.Name, p.Version = words[0], words[1]
	if len(words) > 2 {
		p.Arch = words[2]
	}
	for _, r := range rest {
		switch r := r.(type) {
		case string:
			name, value, _ := strings.Cut(r, ": ")
			p.Fields[name] = value
		case debtest.Entry:
			p.Entries = append(p.Entries, r)
		}
	}
	s := w.archive.Suite("trixie")
	s.Codename = "trixie"
	s.Add(p)
}

func (w *world) update() (*lock.Lock, error) {
	if w.opts.Archive.Mirror == "" {
		w.opts.Archive.Mirror = w.archive.Serve()
	}
	return resolve.Update(w.t.Context(), w.opts)
}

func (w *world) mustUpdate() *lock.Lock {
	w.t.Helper()
	l, err := w.update()
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

func names(l *lock.Lock, arch string, role lock.Role) []string {
	var list []string
	for _, e := range l.For(arch, role) {
		list = append(list, e.Name+" "+e.Version)
	}
	return list
}

func toolchain(packages, exclude string) string {
	return `{"toolchain": {"suite": "trixie", "packages": [` + packages + `], "exclude": [` + exclude + `]}}`
}

func TestClosure(t *testing.T) {
	for _, tt := range []struct {
		name     string
		roots    string
		exclude  string
		packages [][]any
		want     []string
	}{
		{"depends and pre-depends, and no recommends", `"a"`, ``, [][]any{
			{"a 1", "Depends: b", "Pre-Depends: c", "Recommends: d", "Suggests: d"}, {"b 1", "Depends: e"}, {"c 1"}, {"d 1"}, {"e 1"},
		}, []string{"a 1", "b 1", "c 1", "e 1"}},
		{"a circle", `"a"`, ``, [][]any{{"a 1", "Depends: b"}, {"b 1", "Depends: a"}}, []string{"a 1", "b 1"}},
		{"the first alternative", `"a"`, ``, [][]any{{"a 1", "Depends: b | c"}, {"b 1"}, {"c 1"}}, []string{"a 1", "b 1"}},
		{"the first alternative that there is", `"a"`, ``, [][]any{{"a 1", "Depends: x | c"}, {"c 1"}}, []string{"a 1", "c 1"}},
		{"an alternative that is there already", `"a", "c"`, ``, [][]any{{"a 1", "Depends: b | c"}, {"b 1"}, {"c 1"}}, []string{"a 1", "c 1"}},
		{"an alternative that something later needs", `"a", "d"`, ``, [][]any{
			{"a 1", "Depends: b | c"}, {"b 1"}, {"c 1"}, {"d 1", "Depends: e"}, {"e 1", "Depends: c"},
		}, []string{"a 1", "c 1", "d 1", "e 1"}},
		{"provided", `"a"`, ``, [][]any{{"a 1", "Depends: awk"}, {"gawk 1", "Provides: awk"}}, []string{"a 1", "gawk 1"}},
		{"provided by what is there already", `"a", "mawk"`, ``, [][]any{
			{"a 1", "Depends: awk"}, {"gawk 1", "Provides: awk"}, {"mawk 1", "Provides: awk"},
		}, []string{"a 1", "mawk 1"}},
		{"provided in the right version", `"a"`, ``, [][]any{
			{"a 1", "Depends: abi (>= 2)"}, {"b 1", "Provides: abi"}, {"c 1", "Provides: abi (= 1)"}, {"d 1", "Provides: abi (= 2)"},
		}, []string{"a 1", "d 1"}},
		{"the real one before a provider", `"a"`, ``, [][]any{
			{"a 1", "Depends: x"}, {"w 1", "Provides: x"}, {"x 1"},
		}, []string{"a 1", "x 1"}},
		{"the newest", `"a"`, ``, [][]any{{"a 1.9"}, {"a 1.10"}, {"a 1.10~rc1"}}, []string{"a 1.10"}},
		{"the newest that will do", `"a"`, ``, [][]any{{"a 1", "Depends: b (<< 3)"}, {"b 1"}, {"b 2"}, {"b 3"}}, []string{"a 1", "b 2"}},
		{"a version chosen before and rejected later", `"b", "a"`, ``, [][]any{
			{"a 1", "Depends: b (<< 3)"}, {"b 2", "Depends: c"}, {"b 3", "Depends: d"}, {"c 1"}, {"d 1"},
		}, []string{"a 1", "b 2", "c 1"}},
		{"another architecture's", `"a [amd64]", "b [arm64]"`, ``, [][]any{
			{"a 1"}, {"b 1"},
		}, []string{"a 1"}},
		{"qualifiers", `"a"`, ``, [][]any{{"a 1", "Depends: b:any, c:amd64"}, {"b 1"}, {"c 1"}}, []string{"a 1", "b 1", "c 1"}},
		{"excluded, with all behind it", `"a"`, `"debconf"`, [][]any{
			{"a 1", "Depends: debconf (>= 0.5) | debconf-2.0, b"}, {"debconf 1", "Depends: perl", "Provides: debconf-2.0"}, {"perl 1"}, {"b 1"},
		}, []string{"a 1", "b 1"}},
		{"excluded by pattern, even if there is none", `"a"`, `"*-doc"`, [][]any{{"a 1", "Depends: a-doc"}}, []string{"a 1"}},
		{"an excluded provider", `"a"`, `"mawk"`, [][]any{{"a 1", "Depends: awk"}, {"mawk 1", "Provides: awk"}}, []string{"a 1"}},
		{"an excluded second choice", `"a"`, `"c"`, [][]any{{"a 1", "Depends: b | c"}, {"b 1"}, {"c 1"}}, []string{"a 1", "b 1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, toolchain(tt.roots, tt.exclude))
			for _, p := range tt.packages {
				w.pkg(p[0].(string), p[1:]...)
			}
			if diff := cmp.Diff(tt.want, names(w.mustUpdate(), "amd64", lock.Toolchain)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestClosureRefuses(t *testing.T) {
	for _, tt := range []struct {
		name     string
		packages [][]any
		want     string
	}{
		{"no root", [][]any{{"b 1"}}, `the list of roots needs "a"`},
		{"no dependency", [][]any{{"a 1", "Depends: x | y"}}, `a (1) needs "x | y"`},
		{"no version", [][]any{{"a 1", "Depends: b (>= 2)"}, {"b 1"}}, `a (1) needs "b (>= 2)"`},
		{"another architecture", [][]any{{"a 1", "Depends: b:arm64"}, {"b 1"}}, `a (1) needs "b:arm64"`},
		{"another architecture of what is there", [][]any{{"a 1", "Depends: b, b:arm64"}, {"b 1"}}, `a (1) needs "b:arm64"`},
		{"contradiction", [][]any{
			{"a 1", "Depends: b, c"}, {"b 1", "Depends: d (<< 2)"}, {"c 1", "Depends: d (>= 2)"}, {"d 1"}, {"d 2"},
		}, "no version of d is right for all"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, toolchain(`"a"`, ``))
			for _, p := range tt.packages {
				w.pkg(p[0].(string), p[1:]...)
			}
			_, err := w.update()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if fault.HintOf(err) == "" {
				t.Errorf("no hint: %v", err)
			}
		})
	}
}

func lib(t *testing.T, path, soname string, needed ...string) debtest.Entry {
	return debtest.Reg("./"+path, debtest.ELF{Soname: soname, Needed: needed}.Bytes(t))
}

const hostTable = `{"host": {"suite": "trixie", "packages": ["nix-bin"], "needed_by": ["usr/bin/nix"]}}`

// addHost adds a program that loads a library, which loads another, among dependencies that it does not load.
func (w *world) addHost() {
	w.t.Helper()
	program := debtest.ELF{Interp: "/lib64/ld-linux.so.2", Needed: []string{"liba.so.1", "libc.so.6"}}.Bytes(w.t)
	w.pkg("nix-bin 1", "Depends: liba, libc6, perl", debtest.Dir("./usr/bin/"), debtest.Exe("./usr/bin/nix", program),
		debtest.Exe("./usr/bin/script", "#!/usr/bin/perl\n"))
	w.pkg("liba 1", "Depends: libb, libc6", lib(w.t, "usr/lib/x/liba.so.1.2", "liba.so.1", "libb.so"), debtest.Lnk("./usr/lib/x/liba.so.1", "liba.so.1.2"))
	w.pkg("libb 1", lib(w.t, "lib/x/libb.so", ""))
	w.pkg("libc6 1", lib(w.t, "usr/lib/x/libc.so.6", "libc.so.6"), lib(w.t, "usr/lib/x/ld-linux.so.2", "ld-linux.so.2"))
	w.pkg("perl 1", "Depends: libdb", debtest.Exe("./usr/bin/perl", debtest.ELF{Needed: []string{"libdb.so.5"}}.Bytes(w.t)),
		lib(w.t, "usr/lib/x/perl/private/liba.so.1", "liba.so.1"))
	w.pkg("libdb 1", lib(w.t, "usr/lib/x/libdb.so.5", "libdb.so.5"))
}

func TestNeededByAProgram(t *testing.T) {
	w := newWorld(t, hostTable)
	w.addHost()
	want := []string{"liba 1", "libb 1", "libc6 1", "nix-bin 1"}
	if diff := cmp.Diff(want, names(w.mustUpdate(), "amd64", lock.Host)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	left, err := os.ReadDir(w.opts.TempDir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestNeededRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(w *world)
		want string
	}{
		{"no such program", func(w *world) { w.pkg("nix-bin 1") }, "usr/bin/nix"},
		{"a library nobody has", func(w *world) {
			w.pkg("nix-bin 1", debtest.Exe("./usr/bin/nix", debtest.ELF{Needed: []string{"libx.so"}}.Bytes(w.t)))
		}, `"libx.so"`},
		{"a broken program", func(w *world) { w.pkg("nix-bin 1", debtest.Exe("./usr/bin/nix", "\x7fELF\x02\x01\x01")) }, "usr/bin/nix"},
		{"no copy", func(w *world) {
			w.addHost()
			w.opts.Fetch = func(context.Context, []lock.Entry) (map[string]string, error) { return nil, nil }
		}, "no copy"},
		{"cable cut", func(w *world) {
			w.addHost()
			w.opts.Fetch = func(context.Context, []lock.Entry) (map[string]string, error) { return nil, errors.New("cable cut") }
		}, "cable cut"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, hostTable)
			tt.make(w)
			if _, err := w.update(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestUpdateMakesALock(t *testing.T) {
	w := newWorld(t, `{
		"toolchain": {"suite": "trixie", "packages": ["g++", "meson"]},
		"shell": {"suite": "trixie", "packages": ["g++"], "alone": true},
		"patchelf": {"suite": "bookworm", "packages": ["patchelf (>= 0.14), patchelf (<< 0.18)"], "alone": true},
		"hello-source": {"suite": "trixie", "source": "hello", "file": "hello_2.10.orig.tar.gz"}
	}`)
	w.opts.Architectures = nil
	w.pkg("g++ 14", "Depends: libc6")
	w.pkg("g++ 14 arm64")
	w.pkg("libc6 2")
	w.pkg("meson 1 all")
	hello := map[string][]byte{"hello_2.10.orig.tar.gz": []byte("hello")}
	w.archive.Suite("trixie").AddSource(
		debtest.Source{Name: "hello", Version: "2.10-4", Files: hello}, debtest.Source{Name: "hello", Version: "2.10-5", Files: hello},
	)
	old := w.archive.Suite("bookworm")
	old.Codename, old.Date = "bookworm", debtest.Date.Add(-time.Hour)
	old.Add(
		debtest.Package{Name: "patchelf", Version: "0.14.3-1+b1"}, debtest.Package{Name: "patchelf", Version: "0.18.0-1"},
		debtest.Package{Name: "patchelf", Version: "0.14.3-1", Arch: "arm64"},
	)
	l := w.mustUpdate()
	var got []string
	for _, e := range l.Entries {
		got = append(got, strings.Join([]string{e.Name, e.Version, e.Architecture, e.Suite, join(e.Roles), join(e.For)}, " "))
		if e.SHA256 != w.archive.SHA256(e.Path) || e.Size != int64(len(w.archive.File(e.Path))) {
			t.Errorf("%s: digest or size is not the file's", e.Path)
		}
	}
	want := []string{
		"g++ 14 amd64 trixie shell,toolchain amd64",
		"g++ 14 arm64 trixie shell,toolchain arm64",
		"hello 2.10-5 source trixie hello-source amd64,arm64",
		"libc6 2 amd64 trixie toolchain amd64",
		"meson 1 all trixie toolchain amd64,arm64",
		"patchelf 0.14.3-1+b1 amd64 bookworm patchelf amd64",
		"patchelf 0.14.3-1 arm64 bookworm patchelf arm64",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries: -want +got:\n%s", diff)
	}
	if l.Timestamp != "20260912T075541Z" || len(l.Suites) != 2 || l.Suites[0].Date != "20260912T065541Z" {
		t.Errorf("timestamp %s, suites %+v", l.Timestamp, l.Suites)
	}
	if again := w.mustUpdate(); again.Digest() != l.Digest() {
		t.Error("the same archive gives another lock")
	}
}

func join[T ~string](list []T) string {
	var words []string
	for _, v := range list {
		words = append(words, string(v))
	}
	return strings.Join(words, ",")
}

func TestUpdateWithoutTheSource(t *testing.T) {
	w := newWorld(t, `{"nix-source": {"suite": "trixie", "source": "nix", "file": "nix_2.26.3+dfsg.orig.tar.xz"}}`)
	w.pkg("a 1")
	w.archive.Suite("trixie").AddSource(debtest.Source{Name: "nix", Version: "2.30-1", Files: map[string][]byte{"nix_2.30.orig.tar.xz": []byte("x")}})
	if _, err := w.update(); err == nil || !strings.Contains(err.Error(), "nix_2.26.3+dfsg.orig.tar.xz") {
		t.Errorf("got %v", err)
	}
}

func TestUpdateTrustsNobodyElse(t *testing.T) {
	w := newWorld(t, toolchain(`"a"`, ``))
	w.pkg("a 1")
	w.opts.Archive.Keyring = debtest.NewArchive(t).Keyring()
	if _, err := w.update(); fault.KindOf(err) != fault.Verify {
		t.Errorf("got %v", err)
	}
}

func TestParseTableRefuses(t *testing.T) {
	for _, in := range []string{
		``, `[]`, `{"root": {"suite": "x", "packages": ["a"]}}`, `{"host": {"packages": ["a"]}}`, `{"host": {"suite": "x"}}`,
		`{"host": {"suite": "x", "packages": ["a ("]}}`, `{"host": {"suite": "x", "packages": ["a"], "source": "b", "file": "c"}}`,
		`{"host": {"suite": "x", "source": "b"}}`, `{"host": {"suite": "x", "packages": ["a"], "exclude": ["["]}}`,
		`{"host": {"suite": "x", "packages": ["a"], "alone": true, "needed_by": ["b"]}}`, `{"host": {"suite": "x", "package": ["a"]}}`,
	} {
		t.Run(in, func(t *testing.T) {
			if _, err := resolve.ParseTable([]byte(in)); err == nil {
				t.Error("no error")
			}
		})
	}
}
