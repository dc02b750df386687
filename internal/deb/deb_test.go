package deb_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/deb"
	"bootstrap/internal/debtest"
	"bootstrap/internal/fault"
)

// world is a directory with a package in it and a root to unpack into.
type world struct {
	t    *testing.T
	dir  string
	root *os.Root
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "root"), 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(filepath.Join(dir, "root"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return &world{t: t, dir: dir, root: root}
}

// write puts a package next to the root.
func (w *world) write(data []byte) string {
	w.t.Helper()
	path := filepath.Join(w.dir, "x.deb")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// extract unpacks a package into the root, which opts need not name.
func (w *world) extract(data []byte, opts deb.ExtractOptions) (deb.Stats, error) {
	w.t.Helper()
	opts.Root = w.root
	return deb.Extract(w.t.Context(), w.write(data), &opts)
}

// tree returns what is in the root: "dir 0755", "file 0644 content" or "link target" by path.
func (w *world) tree() map[string]string {
	w.t.Helper()
	got := map[string]string{}
	err := fs.WalkDir(w.root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode()
		bits := mode & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
		switch {
		case mode.IsDir():
			got[path] = fmt.Sprintf("dir %#o", bits)
		case mode&fs.ModeSymlink != 0:
			target, err := w.root.Readlink(path)
			got[path] = "link " + target
			return err
		default:
			data, err := w.root.ReadFile(path)
			got[path] = fmt.Sprintf("file %#o %s", bits, data)
			return err
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func build(entries ...debtest.Entry) []byte {
	return debtest.Deb("x", "1", entries, debtest.As(debtest.None))
}

func TestExtractUnpacksEveryCompression(t *testing.T) {
	big := strings.Repeat("all work and no play ", 20_000)
	entries := []debtest.Entry{
		debtest.Dir("./"), debtest.Dir("./usr/"), debtest.Dir("./usr/bin/"),
		debtest.Exe("./usr/bin/tool", big),
		debtest.Reg("./usr/share/doc/tool/copyright", "free"),
		debtest.Reg("./usr/share/empty", ""),
		debtest.Lnk("./usr/bin/alias", "tool"),
		debtest.Lnk("./usr/bin/dangling", "/nowhere/../at/all"),
		debtest.Hard("./usr/bin/twin", "./usr/bin/tool"),
		debtest.Dir("./var/empty/"),
	}
	want := map[string]string{
		"usr": "dir 0755", "usr/bin": "dir 0755", "usr/share": "dir 0755",
		"usr/share/doc": "dir 0755", "usr/share/doc/tool": "dir 0755",
		"var": "dir 0755", "var/empty": "dir 0755",
		"usr/bin/tool":                 "file 0755 " + big,
		"usr/bin/twin":                 "file 0755 " + big,
		"usr/bin/alias":                "link tool",
		"usr/bin/dangling":             "link /nowhere/../at/all",
		"usr/share/doc/tool/copyright": "file 0644 free",
		"usr/share/empty":              "file 0644 ",
	}
	for _, c := range []debtest.Compression{debtest.XZ, debtest.Zstd, debtest.Gzip, debtest.None} {
		t.Run("data.tar"+string(c), func(t *testing.T) {
			w := newWorld(t)
			stats, err := w.extract(debtest.Deb("x", "1", entries, debtest.As(c)), deb.ExtractOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, w.tree()); diff != "" {
				t.Errorf("tree (-want +got):\n%s", diff)
			}
			if want := (deb.Stats{Files: 6, Bytes: int64(len(big) + 4)}); stats != want {
				t.Errorf("got stats %+v, want %+v", stats, want)
			}
		})
	}
}

func TestExtractLinksHardLinks(t *testing.T) {
	w := newWorld(t)
	_, err := w.extract(build(debtest.Reg("./a", "x"), debtest.Hard("./b/c", "./a"), debtest.Hard("./d", "b/c")), deb.ExtractOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := w.root.Stat("a")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"b/c", "d"} {
		if b, err := w.root.Stat(name); err != nil || !os.SameFile(a, b) {
			t.Errorf("%s is not a hard link to a: %v", name, err)
		}
	}
}

// Not parallel: the umask is the process's.
func TestExtractSetsModesPastTheUmask(t *testing.T) {
	setuid, group := debtest.Exe("./su", ""), debtest.Reg("./secret", "")
	setuid.Mode, group.Mode = 0o6755, 0o600
	sticky, some := debtest.Dir("./tmp/"), debtest.Exe("./one", "")
	sticky.Mode, some.Mode = 0o1777, 0o100
	w := newWorld(t)
	data := build(setuid, group, sticky, some, debtest.Reg("./deep/er/file", ""))
	path := w.write(data)
	old := syscall.Umask(0o077)
	_, err := deb.Extract(t.Context(), path, &deb.ExtractOptions{Root: w.root})
	syscall.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"su": "file 0755 ", "secret": "file 0644 ", "tmp": "dir 0755", "one": "file 0755 ",
		"deep": "dir 0755", "deep/er": "dir 0755", "deep/er/file": "file 0644 ",
	}
	if diff := cmp.Diff(want, w.tree()); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

func TestExtractFilters(t *testing.T) {
	w := newWorld(t)
	var asked []string
	stats, err := w.extract(build(
		debtest.Dir("./"), debtest.Dir("./usr/"), debtest.Dir("./usr/share/"), debtest.Dir("./usr/share/doc/"),
		debtest.Reg("./usr/share/doc/x", "text"), debtest.Reg("./usr/share/y", "kept"),
		debtest.Fifo("./usr/share/doc/pipe"),
	), deb.ExtractOptions{Filter: func(name string) bool {
		asked = append(asked, name)
		return !strings.HasPrefix(name, "usr/share/doc")
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"usr": "dir 0755", "usr/share": "dir 0755", "usr/share/y": "file 0644 kept"}
	if diff := cmp.Diff(want, w.tree()); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	wantAsked := []string{"usr", "usr/share", "usr/share/doc", "usr/share/doc/x", "usr/share/y", "usr/share/doc/pipe"}
	if diff := cmp.Diff(wantAsked, asked); diff != "" {
		t.Errorf("names the filter saw (-want +got):\n%s", diff)
	}
	if want := (deb.Stats{Files: 1, Bytes: 4}); stats != want {
		t.Errorf("got stats %+v, want %+v", stats, want)
	}
}

func TestExtractMergesUsr(t *testing.T) {
	w := newWorld(t)
	_, err := w.extract(build(
		debtest.Lnk("./bin", "usr/bin"), debtest.Lnk("./lib64", "/usr/lib64"),
		debtest.Dir("./lib/"), debtest.Exe("./bin/sh", "#!"), debtest.Hard("./sbin/twin", "./bin/sh"),
		debtest.Reg("./lib/x86_64-linux-gnu/libz.so.1", "elf"), debtest.Reg("./usr/lib/libq.so", "elf"),
		debtest.Reg("./library/x", "no"), debtest.Reg("./etc/bin/x", "no"),
	), deb.ExtractOptions{UsrMerge: true})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"usr": "dir 0755", "usr/bin": "dir 0755", "usr/sbin": "dir 0755", "usr/lib": "dir 0755",
		"usr/lib/x86_64-linux-gnu": "dir 0755", "library": "dir 0755", "etc": "dir 0755", "etc/bin": "dir 0755",
		"usr/bin/sh": "file 0755 #!", "usr/sbin/twin": "file 0755 #!",
		"usr/lib/x86_64-linux-gnu/libz.so.1": "file 0644 elf", "usr/lib/libq.so": "file 0644 elf",
		"library/x": "file 0644 no", "etc/bin/x": "file 0644 no",
	}
	if diff := cmp.Diff(want, w.tree()); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

func TestExtractIntoDir(t *testing.T) {
	w := newWorld(t)
	if _, err := w.extract(build(debtest.Reg("./a", "1")), deb.ExtractOptions{Dir: "new/place"}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"new": "dir 0755", "new/place": "dir 0755", "new/place/a": "file 0644 1"}
	if diff := cmp.Diff(want, w.tree()); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	for _, dir := range []string{"..", "/abs", "a/../../b"} {
		if _, err := w.extract(build(), deb.ExtractOptions{Dir: dir}); err == nil {
			t.Errorf("directory %q was accepted", dir)
		}
	}
}

func TestExtractReplacesFilesAndSymlinks(t *testing.T) {
	w := newWorld(t)
	first := build(debtest.Reg("./a", "old"), debtest.Lnk("./b", "a"), debtest.Reg("./c", "old"))
	second := build(debtest.Exe("./a", "new"), debtest.Reg("./b", "file"), debtest.Lnk("./c", "a"), debtest.Hard("./d", "./a"), debtest.Hard("./d", "./b"))
	for _, data := range [][]byte{first, second} {
		if _, err := w.extract(data, deb.ExtractOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"a": "file 0755 new", "b": "file 0644 file", "c": "link a", "d": "file 0644 file"}
	if diff := cmp.Diff(want, w.tree()); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

func TestExtractFollowsSymlinkedDirectoriesInside(t *testing.T) {
	w := newWorld(t)
	_, err := w.extract(build(
		debtest.Dir("./usr/lib/"), debtest.Lnk("./lib", "usr/lib"),
		debtest.Dir("./lib/"), debtest.Reg("./lib/x", "1"),
	), deb.ExtractOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"usr": "dir 0755", "usr/lib": "dir 0755", "usr/lib/x": "file 0644 1", "lib": "link usr/lib"}
	if diff := cmp.Diff(want, w.tree()); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

func TestExtractRunsInParallel(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	want := map[string]string{"usr": "dir 0755", "usr/share": "dir 0755", "usr/share/a": "dir 0755"}
	for i := range errs {
		name := fmt.Sprintf("usr/share/a/%d", i)
		want[name] = "file 0644 x"
		path := filepath.Join(w.dir, fmt.Sprint(i))
		if err := os.WriteFile(path, build(debtest.Dir("./usr/share/a/"), debtest.Reg("./"+name, "x")), 0o644); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			_, errs[i] = deb.Extract(t.Context(), path, &deb.ExtractOptions{Root: w.root})
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, w.tree()); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

func TestExtractHonoursContext(t *testing.T) {
	w := newWorld(t)
	path := w.write(build(debtest.Reg("./a", "1"), debtest.Reg("./b", "2"), debtest.Reg("./c", "3")))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := deb.Extract(ctx, path, &deb.ExtractOptions{Root: w.root, Filter: func(name string) bool {
		if name == "b" {
			cancel()
		}
		return name != "b"
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	if got := fault.KindOf(err); got != fault.General {
		t.Errorf("a cancelled run is a fault of kind %v, want %v", got, fault.General)
	}
	if diff := cmp.Diff(map[string]string{"a": "file 0644 1"}, w.tree()); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

func TestExtractStopsWithinAFile(t *testing.T) {
	w := newWorld(t)
	path := w.write(build(debtest.Reg("./a", strings.Repeat("x", 1<<20))))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := deb.Extract(ctx, path, &deb.ExtractOptions{Root: w.root, Filter: func(string) bool {
		cancel()
		return true
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	if diff := cmp.Diff(map[string]string{}, w.tree()); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

func TestExtractReportsTheHostsErrorsAsTheHosts(t *testing.T) {
	w := newWorld(t)
	_, err := deb.Extract(t.Context(), filepath.Join(w.dir, "none.deb"), &deb.ExtractOptions{Root: w.root})
	if !errors.Is(err, fs.ErrNotExist) || fault.KindOf(err) != fault.General {
		t.Errorf("got error %v of kind %v", err, fault.KindOf(err))
	}
	w.root.Close()
	_, err = w.extract(build(debtest.Reg("./a", "")), deb.ExtractOptions{})
	if !errors.Is(err, fs.ErrClosed) || fault.KindOf(err) != fault.General {
		t.Errorf("got error %v of kind %v", err, fault.KindOf(err))
	}
	if _, err := deb.Extract(t.Context(), "x", nil); err == nil {
		t.Error("no error without options")
	}
}

func TestReadMember(t *testing.T) {
	w := newWorld(t)
	path := w.write(debtest.Deb("x", "1", []debtest.Entry{
		debtest.Reg("./usr/share/a", "before"), debtest.Exe("./bin/busybox", "elf"),
		debtest.Lnk("./usr/bin/link", "busybox"), debtest.Reg("./usr/share/z", "after"),
	}, nil))
	for _, name := range []string{"usr/bin/busybox", "bin/busybox", "./bin//busybox"} {
		got, err := deb.ReadMember(t.Context(), path, name)
		if err != nil || string(got) != "elf" {
			t.Errorf("ReadMember(%q) = %q, %v; want %q", name, got, err, "elf")
		}
	}
	if _, err := deb.ReadMember(t.Context(), path, "usr/bin/nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got error %v, want %v", err, fs.ErrNotExist)
	}
	if got, err := deb.ReadMember(t.Context(), path, "usr/bin/link"); err == nil {
		t.Errorf("a symlink was read as %q", got)
	}
}
