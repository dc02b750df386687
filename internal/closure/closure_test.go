package closure_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bootstrap/internal/closure"
	"bootstrap/internal/fault"
	"bootstrap/internal/storetest"

	"github.com/google/go-cmp/cmp"
)

const store = "/p/store"

func open(t *testing.T, c *closure.Closure) *os.Root {
	t.Helper()
	root, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func TestVerify(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := storetest.Sample(t, dir, store)
	root := open(t, c)
	var read int64
	if err := c.Verify(context.Background(), root, func(n int64) { read += n }); err != nil {
		t.Fatal(err)
	}
	if read != c.Bytes() {
		t.Errorf("%d bytes were read, not %d", read, c.Bytes())
	}
	path := filepath.Join(dir, c.Paths[1].Base(), "bin/app")
	if err := os.WriteFile(path, []byte("progrbm"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := c.Verify(context.Background(), root, func(int64) {})
	if fault.KindOf(err) != fault.Verify || !strings.Contains(err.Error(), c.Paths[1].Path) {
		t.Errorf("what is spoilt: %v", err)
	}
}

func TestRegistration(t *testing.T) {
	t.Parallel()
	c := storetest.Sample(t, t.TempDir(), store)
	c.Paths[1].Deriver = store + "/" + storetest.Digest("d") + "-app.drv"
	text := closure.Registration(c.Paths)
	paths, err := closure.ParseRegistration(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c.Paths, paths); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	// Cut anywhere it is not a whole one, but for the ends of paths that need no other.
	for cut := range len(text) {
		paths, err := closure.ParseRegistration(text[:cut])
		if err == nil && !(len(paths) == 1 && cut == len(closure.Registration(c.Paths[:1]))) {
			t.Errorf("cut at %d of %d: %d paths and no error", cut, len(text), len(paths))
		}
	}
}

func TestParseRegistrationRefuses(t *testing.T) {
	t.Parallel()
	base := storetest.Digest("a") + "-lib"
	hash := strings.Repeat("0", 64)
	entry := func(path, hash, size, deriver string, references ...string) string {
		return strings.Join(append([]string{path, hash, size, deriver, string(rune('0' + len(references)))}, references...), "\n") + "\n"
	}
	good := entry(store+"/"+base, hash, "10", "")
	if _, err := closure.ParseRegistration([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing":                     "",
		"relative":                    entry("p/store/"+base, hash, "10", ""),
		"not clean":                   entry("/p/../store/"+base, hash, "10", ""),
		"in the root":                 entry("/"+base, hash, "10", ""),
		"no digest":                   entry(store+"/lib", hash, "10", ""),
		"a letter Nix does not use":   entry(store+"/"+strings.Repeat("e", 32)+"-lib", hash, "10", ""),
		"no name":                     entry(store+"/"+storetest.Digest("a")+"-", hash, "10", ""),
		"a long name":                 entry(store+"/"+storetest.Digest("a")+"-"+strings.Repeat("x", 212), hash, "10", ""),
		"a name with a blank":         entry(store+"/"+base+" b", hash, "10", ""),
		"a short hash":                entry(store+"/"+base, hash[1:], "10", ""),
		"a hash in capitals":          entry(store+"/"+base, strings.Repeat("A", 64), "10", ""),
		"a hash with its type":        entry(store+"/"+base, "sha256:"+hash, "10", ""),
		"a negative size":             entry(store+"/"+base, hash, "-1", ""),
		"a size with zeros":           entry(store+"/"+base, hash, "010", ""),
		"a huge size":                 entry(store+"/"+base, hash, "99999999999999999999", ""),
		"a deriver elsewhere":         entry(store+"/"+base, hash, "10", "/q/store/"+base+".drv"),
		"a reference that is missing": entry(store+"/"+base, hash, "10", "", store+"/"+storetest.Digest("b")+"-x"),
		"twice":                       good + good,
		"two stores":                  entry("/o/store/"+base, hash, "10", "") + good,
		"not in order":                good + entry(store+"/"+storetest.Digest("0")+"-lib", hash, "10", ""),
		"a reference twice":           entry(store+"/"+base, hash, "10", "", store+"/"+base, store+"/"+base),
		"no end":                      strings.TrimSuffix(good, "\n"),
		"a line too many":             good + "\n",
	} {
		if _, err := closure.ParseRegistration([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzParseRegistration(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte(store + "/" + storetest.Digest("a") + "-lib\n" + strings.Repeat("0", 64) + "\n10\n\n0\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		paths, err := closure.ParseRegistration(text)
		if err != nil {
			return
		}
		if again := closure.Registration(paths); string(again) != string(text) {
			t.Errorf("%q is read as if it were %q", text, again)
		}
	})
}

func TestUnion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := storetest.Sample(t, dir, store)
	more := storetest.Path(t, dir, store, storetest.Digest("d")+"-more", storetest.Tree{
		"bin/app": "+x another", "bin/more": "+x more", "share/doc/more": "text", "share/man": "-> ../man", "man/more.1": "manual",
	})
	c = storetest.Closure(dir, store, append(c.Paths, more), 1, 3)
	root := open(t, c)
	app, other := c.Paths[1].Path, c.Paths[3].Path
	for _, row := range []struct {
		name     string
		packages []string
		whole    bool
		want     map[string]string
	}{
		{"bin", []string{app}, false, map[string]string{"bin": app + "/bin"}},
		{"sbin", []string{app, other}, true, map[string]string{}},
		{"etc", []string{app}, true, map[string]string{"etc": "", "etc/app.conf": app + "/etc/app.conf"}},
		{"bin", []string{app, other}, false, map[string]string{
			"bin": "", "bin/app": app + "/bin/app", "bin/lib": app + "/bin/lib", "bin/more": other + "/bin/more",
		}},
		{"share", []string{other, c.Paths[0].Path}, false, map[string]string{
			"share": "", "share/doc": other + "/share/doc", "share/man": "",
			"share/man/more.1": other + "/man/more.1", "share/man/x.1": c.Paths[0].Path + "/share/man/x.1",
		}},
	} {
		merged, err := closure.Union(root, store, row.name, row.packages, row.whole)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		got := map[string]string{}
		for _, m := range merged {
			got[m.Name] = m.Target
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s of %v (-want +got):\n%s", row.name, row.packages, diff)
		}
	}
}

func TestResolveStaysInTheStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	base := storetest.Digest("a") + "-links"
	c := storetest.Closure(dir, store, []closure.Path{storetest.Path(t, dir, store, base, storetest.Tree{
		"in": "-> " + store + "/" + base + "/file", "file": "text", "up": "-> ../../../etc/passwd", "out": "-> /etc/passwd", "loop": "-> loop",
	})}, 0)
	root := open(t, c)
	if n, err := c.Resolve(root, base+"/in"); err != nil || n.Name != base+"/file" {
		t.Errorf("a link within the store: %v, %v", n, err)
	}
	for _, name := range []string{"up", "out", "loop"} {
		if n, err := c.Resolve(root, base+"/"+name); err == nil {
			t.Errorf("%s leads to %v", name, n)
		}
	}
}

func TestStorePath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := filepath.Join(dir, "store")
	base := storetest.Digest("a") + "-lib"
	storetest.Path(t, files, files, base, storetest.Tree{"bin/x": "text"})
	result := filepath.Join(dir, "result")
	if err := os.Symlink(filepath.Join(files, base), result); err != nil {
		t.Fatal(err)
	}
	o := closure.Options{Store: files, Files: files}
	for _, path := range []string{filepath.Join(files, base), filepath.Join(files, base, "bin/x"), result, result + "/bin/x"} {
		if got, err := o.StorePath(path); err != nil || got != filepath.Join(files, base) {
			t.Errorf("%s: %s, %v", path, got, err)
		}
	}
	for _, path := range []string{dir, "/etc/passwd", filepath.Join(files, ".links"), filepath.Join(dir, "none")} {
		if got, err := o.StorePath(path); fault.KindOf(err) != fault.Usage {
			t.Errorf("%s: %s, %v", path, got, err)
		}
	}
}
