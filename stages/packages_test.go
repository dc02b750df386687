package stages

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"bootstrap/internal/fault"
	"bootstrap/internal/lock"
	"bootstrap/templates"

	"github.com/google/go-cmp/cmp"
)

// inodesOf returns the inode and the content of each file below a directory: a file that was
// written again has another inode.
func inodesOf(t *testing.T, dir string) map[string]any {
	t.Helper()
	type file struct {
		Inode uint64
		Mode  fs.FileMode
		Text  string
	}
	all := map[string]any{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		f := file{Inode: info.Sys().(*syscall.Stat_t).Ino, Mode: info.Mode()}
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			f.Text = digestOf(data)[:8]
		} else if f.Text, err = os.Readlink(p); err != nil {
			return err
		}
		all[strings.TrimPrefix(p, dir+"/")] = f
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestWritePackages(t *testing.T) {
	r := opened(t, options(t, scratch(t)))
	set := r.layout.Packages
	if err := r.writePackages(deadline(t), Toolchain); err != nil {
		t.Fatal(err)
	}
	whole := inodesOf(t, set)
	for _, name := range []string{"default.nix", "lock.json", "patches/0001-meson-tests-are-optional.patch", "seed/bin/busybox", "seed/bin/sh"} {
		if whole[name] == nil {
			t.Errorf("%s is not there", name)
		}
	}
	if !r.havePackages() {
		t.Error("it is not taken for whole")
	}
	if err := r.writePackages(deadline(t), Bootstrap); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(whole, inodesOf(t, set)); diff != "" {
		t.Errorf("the same was written again:\n%s", diff)
	}
	for _, tt := range []struct {
		name   string
		damage func() error
	}{
		{"a file is gone", func() error { return os.Remove(filepath.Join(set, "default.nix")) }},
		{"a file is another", func() error { return os.WriteFile(filepath.Join(set, "lock.nix"), []byte("{ }"), 0o644) }},
		{"a link in place of a file", func() error {
			return os.Rename(filepath.Join(set, "seed/bin/sh"), filepath.Join(set, "hello.nix"))
		}},
		{"a file is left from an older set", func() error { return os.WriteFile(filepath.Join(set, "old.nix"), nil, 0o644) }},
		{"a patch is left from an older set", func() error {
			return os.WriteFile(filepath.Join(set, "patches", "0000-old.patch"), nil, 0o644)
		}},
		{"a directory is left from an older set", func() error {
			return errors.Join(os.Mkdir(filepath.Join(set, "old"), 0o755), os.WriteFile(filepath.Join(set, "old", "x.nix"), nil, 0o644))
		}},
		{"the shell is gone", func() error { return os.RemoveAll(filepath.Join(set, "seed")) }},
		{"a file has another mode", func() error { return os.Chmod(filepath.Join(set, "nix.nix"), 0o600) }},
		{"the shell was cut off", func() error { return os.Truncate(filepath.Join(set, "seed/bin/busybox"), 0) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.damage(); err != nil {
				t.Fatal(err)
			}
			if err := r.writePackages(deadline(t), Native); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(texts(whole), texts(inodesOf(t, set))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// texts leaves the inodes out.
func texts(files map[string]any) map[string]string {
	all := map[string]string{}
	for name, f := range files {
		all[name] = regexp.MustCompile(`^\{\d+ `).ReplaceAllString(fmt.Sprint(f), "{")
	}
	return all
}

// A key must not depend on anything but the set itself.
func TestPackageSet(t *testing.T) {
	o := options(t, scratch(t))
	plain := newRun(t, o)
	before, err := plain.packageSet()
	if err != nil {
		t.Fatal(err)
	}
	if before["directories.json"] != nil {
		t.Error("the directories follow from the store's, but are named")
	}
	if before["roots.json"] != nil {
		t.Error("what locks are made from is of no use in a prefix")
	}
	if diff := cmp.Diff(string(o.Lock.Marshal()), string(before["lock.json"])); diff != "" {
		t.Errorf("the lock is not the one in use:\n%s", diff)
	}
	o.Layout.Conf = "/srv/etc"
	moved, err := newRun(t, o).packageSet()
	if err != nil {
		t.Fatal(err)
	}
	if got := string(moved["directories.json"]); !strings.Contains(got, `"conf": "/srv/etc"`) || strings.Contains(got, "state") {
		t.Errorf("directories.json is %s", got)
	}
}

// storeName has to give the names that lock.nix gives, or nothing that is added would be found.
func TestStoreName(t *testing.T) {
	text, err := fs.ReadFile(templates.Packages(), "lock.nix")
	if err != nil {
		t.Fatal(err)
	}
	lists := regexp.MustCompile(`replaceStrings \[ (.*?) \] \[ (.*?) \] \(baseNameOf path\)`).FindStringSubmatch(string(text))
	if lists == nil {
		t.Fatal("lock.nix has no replaceStrings any more")
	}
	quoted := regexp.MustCompile(`"([^"]*)"`)
	from, to := quoted.FindAllStringSubmatch(lists[1], -1), quoted.FindAllStringSubmatch(lists[2], -1)
	if len(from) != len(to) {
		t.Fatalf("%q has not as many as %q", lists[1], lists[2])
	}
	// As builtins.replaceStrings: at each place the first of the list that is there.
	expression := func(file string) string {
		var out strings.Builder
		rest := path.Base(file)
	next:
		for rest != "" {
			for i := range from {
				if strings.HasPrefix(rest, from[i][1]) {
					out.WriteString(to[i][1])
					rest = rest[len(from[i][1]):]
					continue next
				}
			}
			out.WriteByte(rest[0])
			rest = rest[1:]
		}
		return out.String()
	}
	l, err := lock.Parse(templates.Lock())
	if err != nil {
		t.Fatal(err)
	}
	files := []string{"pool/a~b%3ac:d_1%3a2~rc1+b1_amd64.deb", "pool/x/plain_1.0-1_all.deb", "pool/%3%3a~~", "pool/%3A_1"}
	for _, e := range l.Entries {
		files = append(files, e.Path)
	}
	legal := regexp.MustCompile(`^[0-9A-Za-z+._?=-]+$`)
	seen := map[string]string{}
	for _, file := range files {
		got := storeName(file)
		if want := expression(file); got != want {
			t.Errorf("%q is %q here and %q in lock.nix", file, got, want)
		}
		if strings.HasSuffix(file, ".deb") && !legal.MatchString(got) {
			t.Errorf("%q: a store path cannot be called %q", file, got)
		}
		if other := seen[got]; other != "" {
			t.Errorf("%q and %q are both called %q", file, other, got)
		}
		seen[got] = file
	}
}

// A file that was there before is not written over.
func TestWriteFileOfSomebodyElse(t *testing.T) {
	r := opened(t, options(t, scratch(t)))
	path := r.layout.NixConf()
	put(t, path, "mine\n")
	err := r.writeFile(Configure, path, []byte("ours\n"), 0o644)
	if fault.KindOf(err) != fault.Unfit || fault.HintOf(err) == "" {
		t.Errorf("error %v", err)
	}
	if err := r.link(Configure, "/nowhere", path); err == nil {
		t.Error("a link took its place")
	}
	if data, _ := os.ReadFile(path); string(data) != "mine\n" {
		t.Errorf("it is %q now", data)
	}
	// The same bytes, though, are as good as ours.
	if err := r.writeFile(Configure, path, []byte("mine\n"), 0o644); err != nil {
		t.Error(err)
	}
}

func TestWriteFile(t *testing.T) {
	dir := scratch(t)
	r := opened(t, options(t, dir))
	before := len(created(t, r.layout.Journal(), dir))
	path := filepath.Join(r.layout.Root, "etc", "profile.d", "nix.sh")
	for _, text := range []string{"one", "one", "two"} {
		if err := r.writeFile(Configure, path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil || string(data) != text || info.Mode().Perm() != 0o640 {
			t.Errorf("%q, mode %v: %v", data, info.Mode(), err)
		}
	}
	link := filepath.Join(r.layout.Root, "etc", "link")
	for _, target := range []string{"one", "one", "two"} {
		if err := r.link(Configure, target, link); err != nil {
			t.Fatal(err)
		}
		if !linksTo(link, target) {
			t.Errorf("it does not lead to %q", target)
		}
	}
	want := []string{
		"directory opt/etc", "directory opt/etc/profile.d", "file opt/etc/profile.d/nix.sh", "link opt/etc/link",
	}
	if diff := cmp.Diff(want, created(t, r.layout.Journal(), dir)[before:]); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if got := names(t, r.layout.TmpDir()); len(got) > 0 {
		t.Errorf("left behind: %q", got)
	}
}
