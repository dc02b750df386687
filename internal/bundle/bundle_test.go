package bundle_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bootstrap/internal/bundle"
	"bootstrap/internal/closure"
	"bootstrap/internal/fault"
	"bootstrap/internal/nar"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/run"
	"bootstrap/internal/storetest"
	"bootstrap/internal/tree"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

// store is the store directory of all paths; the files lie elsewhere.
const store = "/p/store"

// nix stands in for the prefix's own: it appends what it is told to register to a file, and takes
// for valid what has a line there.
const nix = `#!/bin/sh
PATH=/usr/bin:/bin
case $* in
*--check-validity*)
	for path; do
		case $path in
		/*) grep -qx "$path" "$STATE/registered" 2>/dev/null || echo "$path" ;;
		esac
	done
	;;
*--register-validity*--hash-given*)
	[ ! -e "$STATE/fail" ] || exit 1
	cat >>"$STATE/registered"
	;;
path-info*) cat "$STATE/info" ;;
*) exit 9 ;;
esac
`

// place is a prefix that something is imported into.
type place struct {
	files, state string
	options      bundle.ImportOptions
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir := t.TempDir()
	p := &place{files: filepath.Join(dir, "files"), state: filepath.Join(dir, "state")}
	for _, d := range []string{p.files, p.state} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "nix")
	if err := os.WriteFile(program, []byte(nix), 0o755); err != nil {
		t.Fatal(err)
	}
	p.options = bundle.ImportOptions{
		File: "it.tar.zst", Nix: nixcmd.Nix{Path: program, Env: run.Env{"STATE": p.state}},
		Store: store, Files: p.files, State: p.state,
	}
	t.Cleanup(func() { p.writable(t) })
	return p
}

// writable lets the test's directory be removed.
func (p *place) writable(t *testing.T) {
	err := filepath.WalkDir(p.files, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func (p *place) take(data []byte) (*bundle.Imported, error) {
	o := p.options
	o.From = bytes.NewReader(data)
	return bundle.Import(context.Background(), o)
}

// registered returns what Nix was told.
func (p *place) registered(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(p.state, "registered"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

// names returns what is in the store directory.
func (p *place) names(t *testing.T) []string {
	t.Helper()
	root, err := os.OpenRoot(p.files)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	names, err := tree.Names(root, ".")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// untouched makes sure that nothing has come of a file that was refused.
func (p *place) untouched(t *testing.T, what string) {
	t.Helper()
	if got := p.registered(t); got != "" {
		t.Errorf("%s: something was registered:\n%s", what, got)
	}
	if names := p.names(t); len(names) > 0 {
		t.Errorf("%s: left in the store: %q", what, names)
	}
}

// complete makes sure that all of a closure is there as it was, and registered.
func (p *place) complete(t *testing.T, c *closure.Closure) {
	t.Helper()
	if diff := cmp.Diff(string(closure.Registration(c.Paths)), p.registered(t)); diff != "" {
		t.Errorf("registered (-want +got):\n%s", diff)
	}
	var want []string
	root, err := os.OpenRoot(p.files)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, path := range c.Paths {
		want = append(want, path.Base())
		if digest, _, err := nar.Sum(root, path.Base()); err != nil || digest != path.NarHash {
			t.Errorf("%s: %s, %v", path.Path, digest, err)
		}
		err := tree.Walk(root, path.Base(), func(n tree.Node) error {
			info, err := root.Lstat(n.Name)
			if err == nil && n.Kind != tree.Link && (info.Mode().Perm()&0o222 != 0 || !info.ModTime().Equal(time.Unix(1, 0))) {
				t.Errorf("%s: %s of %s", n.Name, info.Mode(), info.ModTime())
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff(want, p.names(t)); diff != "" {
		t.Errorf("in the store (-want +got):\n%s", diff)
	}
}

// sample returns a closure and its bundle.
func sample(t testing.TB) (*closure.Closure, []byte) {
	t.Helper()
	c := storetest.Sample(t, t.TempDir(), store)
	return c, export(t, c)
}

func export(t testing.TB, c *closure.Closure) []byte {
	t.Helper()
	root, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var b bytes.Buffer
	if err := bundle.Write(context.Background(), &b, bundle.Options{Closure: c, Root: root}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestThereAndBack(t *testing.T) {
	t.Parallel()
	c, data := sample(t)
	p := newPlace(t)
	sum := sha256.Sum256(data)
	p.options.SHA256 = hex.EncodeToString(sum[:])
	made, err := p.take(data)
	if err != nil {
		t.Fatal(err)
	}
	p.complete(t, c)
	if len(made.Paths) != 3 || len(made.Had) != 0 || made.Bytes != c.Bytes() {
		t.Errorf("it came to %+v", made)
	}
}

func TestSameBytes(t *testing.T) {
	t.Parallel()
	_, first := sample(t)
	time.Sleep(10 * time.Millisecond)
	_, second := sample(t)
	if !bytes.Equal(first, second) {
		t.Error("the same closure, made elsewhere and later, has other bytes")
	}
}

// TestAnyTarReadsIt unpacks one with a reader that knows nothing of bundles.
func TestAnyTarReadsIt(t *testing.T) {
	t.Parallel()
	c, data := sample(t)
	z, err := zstd.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	r := tar.NewReader(z)
	var names []string
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || !h.ModTime.Equal(time.Unix(1, 0)) {
			t.Errorf("%s: of %d:%d %q at %s", h.Name, h.Uid, h.Gid, h.Uname, h.ModTime)
		}
	}
	if names[0] != "nix-path-registration" || names[1] != "p/store/"+c.Paths[0].Base()+"/" {
		t.Errorf("it begins with %q", names[:2])
	}
}

// TestTruncated cuts a bundle in many places, and wherever its last bytes end.
func TestTruncated(t *testing.T) {
	t.Parallel()
	_, data := sample(t)
	p := newPlace(t)
	for cut := 0; cut < len(data); cut++ {
		if cut < len(data)-32 && cut%11 != 0 {
			continue
		}
		if _, err := p.take(data[:cut]); fault.KindOf(err) != fault.Verify || fault.HintOf(err) == "" {
			t.Errorf("cut at %d of %d: %v", cut, len(data), err)
		}
		p.untouched(t, "cut")
	}
}

// TestTampered changes bytes of what is compressed, one at a time.
func TestTampered(t *testing.T) {
	t.Parallel()
	_, data := sample(t)
	plain := unpacked(t, data)
	p := newPlace(t)
	sum := sha256.Sum256(data)
	p.options.SHA256 = hex.EncodeToString(sum[:])
	accepted := 0
	tried := 0
	for at := 0; at < len(plain); at += 101 {
		tried++
		changed := bytes.Clone(plain)
		changed[at] ^= 0x20
		_, err := p.take(compressed(t, changed))
		if kind := fault.KindOf(err); err == nil || kind != fault.Verify && kind != fault.Unfit {
			t.Fatalf("byte %d of %d: %v", at, len(plain), err)
		}
		if strings.Contains(err.Error(), "its sha256 is") {
			accepted++ // what a tarball says of owners, or padding
		}
		p.untouched(t, "tampered")
	}
	if accepted > tried*2/3 {
		t.Errorf("%d of %d changes were seen by the digest of the file alone", accepted, tried)
	}
}

func unpacked(t testing.TB, data []byte) []byte {
	t.Helper()
	z, err := zstd.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func compressed(t testing.TB, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestHostile has tarballs whose registration is in order and whose entries are not.
func TestHostile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	base, other := storetest.Digest("a")+"-lib", storetest.Digest("b")+"-lib"
	good := []*tar.Header{dirEntry(base), fileEntry(base+"/bin", "text")}
	c := storetest.Closure(dir, store, []closure.Path{storetest.Path(t, dir, store, base, storetest.Tree{"bin": "text"})}, 0)
	p := newPlace(t)
	if _, err := p.take(handmade(t, c, good...)); err != nil {
		t.Fatalf("the one that is good: %v", err)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	for name, entries := range map[string][]*tar.Header{
		"dot dot":                     {dirEntry(base), fileEntry(base+"/../../../../escaped", "text")},
		"dot dot at once":             {fileEntry("../escaped", "text")},
		"absolute":                    {dirEntry(base), {Typeflag: tar.TypeReg, Name: outside, Size: 4}},
		"absolute store":              {dirEntry(base), {Typeflag: tar.TypeReg, Name: store + "/" + base + "/bin", Size: 4}},
		"another directory":           {dirEntry(base), {Typeflag: tar.TypeReg, Name: "etc/passwd", Size: 4}},
		"the store itself":            {{Typeflag: tar.TypeDir, Name: "p/store/"}, dirEntry(base), fileEntry(base+"/bin", "text")},
		"another path":                {dirEntry(base), fileEntry(base+"/bin", "text"), dirEntry(other)},
		"another path's file":         {dirEntry(base), fileEntry(other+"/bin", "text")},
		"a dot":                       {dirEntry(base), fileEntry(base+"/./bin", "text")},
		"two slashes":                 {dirEntry(base), fileEntry(base+"//bin", "text")},
		"through a link":              {linkEntry(base, filepath.Dir(outside)), fileEntry(base+"/outside", "text")},
		"through a link within":       {dirEntry(base), linkEntry(base+"/a", filepath.Dir(outside)), fileEntry(base+"/a/outside", "text")},
		"a directory that is missing": {dirEntry(base), fileEntry(base+"/a/bin", "text")},
		"twice":                       {dirEntry(base), fileEntry(base+"/bin", "text"), fileEntry(base+"/bin", "text")},
		"a link, then a file":         {dirEntry(base), linkEntry(base+"/bin", outside), fileEntry(base+"/bin", "text")},
		"not in order":                {dirEntry(base), fileEntry(base+"/bin", "te"), fileEntry(base+"/a", "xt")},
		"a hard link":                 {dirEntry(base), {Typeflag: tar.TypeLink, Name: "p/store/" + base + "/bin", Linkname: "/etc/passwd"}},
		"a device":                    {dirEntry(base), {Typeflag: tar.TypeChar, Name: "p/store/" + base + "/bin", Devmajor: 1, Devminor: 3}},
		"a pipe":                      {dirEntry(base), {Typeflag: tar.TypeFifo, Name: "p/store/" + base + "/bin"}},
		"a link to nothing":           {dirEntry(base), linkEntry(base+"/bin", "")},
		"more than is registered":     {dirEntry(base), fileEntry(base+"/bin", strings.Repeat("text", 1000))},
		"other contents":              {dirEntry(base), fileEntry(base+"/bin", "tex!")},
		"another name":                {dirEntry(base), fileEntry(base+"/bit", "text")},
		"a right too many":            {dirEntry(base), {Typeflag: tar.TypeReg, Name: "p/store/" + base + "/bin", Size: 4, Mode: 0o755}},
		"a link in place of a file":   {dirEntry(base), linkEntry(base+"/bin", "text")},
		"a file in place of all":      {fileEntry(base, "text")},
		"nothing":                     {},
		"half":                        {dirEntry(base)},
	} {
		p := newPlace(t)
		_, err := p.take(handmade(t, c, entries...))
		if fault.KindOf(err) != fault.Verify || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
		p.untouched(t, name)
		for _, path := range []string{outside, filepath.Join(p.files, "../escaped"), filepath.Join(p.files, "../../escaped")} {
			if _, err := os.Lstat(path); err == nil {
				t.Errorf("%s: %s was written", name, path)
			}
		}
	}
}

func dirEntry(name string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeDir, Name: "p/store/" + name + "/"}
}

func linkEntry(name, target string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeSymlink, Name: "p/store/" + name, Linkname: target}
}

func fileEntry(name, text string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: "p/store/" + name, Size: int64(len(text)), Mode: 0o444, PAXRecords: map[string]string{"text.text": text}}
}

// handmade returns a bundle with the registration of a closure, and entries of its own. The content
// of a file is in a record that readers pass over, or "text".
func handmade(t testing.TB, c *closure.Closure, entries ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	registration := string(closure.Registration(c.Paths))
	first := fileEntry("", registration)
	first.Name = "nix-path-registration"
	for _, h := range append([]*tar.Header{first}, entries...) {
		copied := *h
		text := copied.PAXRecords["text.text"]
		if h.Typeflag == tar.TypeReg && text == "" {
			text = "text"
		}
		copied.PAXRecords = nil
		if err := w.WriteHeader(&copied); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return compressed(t, b.Bytes())
}

func TestRefusesWhatFollows(t *testing.T) {
	t.Parallel()
	_, data := sample(t)
	plain := unpacked(t, data)
	for name, more := range map[string][]byte{
		"another frame": append(bytes.Clone(data), compressed(t, []byte("more"))...),
		"garbage":       append(bytes.Clone(data), "garbage"...),
		"in the tar":    compressed(t, append(bytes.Clone(plain), "more"...)),
		"endless zeros": compressed(t, append(bytes.Clone(plain), make([]byte, 64<<20)...)),
	} {
		p := newPlace(t)
		if _, err := p.take(more); fault.KindOf(err) != fault.Verify {
			t.Errorf("%s: %v", name, err)
		}
		p.untouched(t, name)
	}
}

func TestAnotherStoreDirectory(t *testing.T) {
	t.Parallel()
	_, data := sample(t)
	p := newPlace(t)
	p.options.Store = "/q/store"
	_, err := p.take(data)
	if fault.KindOf(err) != fault.Unfit || !strings.Contains(err.Error(), `"/p/store"`) || !strings.Contains(err.Error(), `"/q/store"`) {
		t.Errorf("%v", err)
	}
	p.untouched(t, "another store")
}

func TestWrongFile(t *testing.T) {
	t.Parallel()
	_, data := sample(t)
	p := newPlace(t)
	p.options.SHA256 = strings.Repeat("0", 64)
	if _, err := p.take(data); fault.KindOf(err) != fault.Verify || !strings.Contains(err.Error(), "sha256") {
		t.Errorf("%v", err)
	}
	p.untouched(t, "another file")
}

// TestResumes begins where a run that was killed has stopped: in the middle of a path, with all of
// them staged, and with names given but nothing registered.
func TestResumes(t *testing.T) {
	t.Parallel()
	c, data := sample(t)
	for name, leave := range map[string]func(t *testing.T, p *place){
		"half a path": func(t *testing.T, p *place) {
			half := filepath.Join(p.files, ".import-"+c.Paths[1].Base())
			if err := os.MkdirAll(filepath.Join(half, "bin"), 0o555); err != nil {
				t.Fatal(err)
			}
		},
		"interrupted": func(t *testing.T, p *place) {
			ctx, cancel := context.WithCancel(context.Background())
			o := p.options
			o.From, o.Done = bytes.NewReader(data), func(int64) { cancel() }
			if _, err := bundle.Import(ctx, o); !errors.Is(err, context.Canceled) {
				t.Fatalf("interrupted: %v", err)
			}
			if p.registered(t) != "" {
				t.Error("interrupted, and something is registered")
			}
		},
		"not registered": func(t *testing.T, p *place) {
			if err := os.WriteFile(filepath.Join(p.state, "fail"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := p.take(data); err == nil {
				t.Fatal("Nix fails, and the import does not")
			}
			if err := os.Remove(filepath.Join(p.state, "fail")); err != nil {
				t.Fatal(err)
			}
		},
		"a build that failed": func(t *testing.T, p *place) {
			if err := os.WriteFile(filepath.Join(p.files, c.Paths[2].Base()), []byte("rest"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			leave(t, p)
			if _, err := p.take(data); err != nil {
				t.Fatal(err)
			}
			p.complete(t, c)
		})
	}
}

// TestTakesWhatIsStaged makes sure that what an earlier run has made is not made again.
func TestTakesWhatIsStaged(t *testing.T) {
	t.Parallel()
	c, data := sample(t)
	p := newPlace(t)
	ctx, cancel := context.WithCancel(context.Background())
	o := p.options
	seen := 0
	o.From, o.Done = bytes.NewReader(data), func(int64) {
		if seen++; seen == 4 { // in the second path
			cancel()
		}
	}
	if _, err := bundle.Import(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	staged := filepath.Join(p.files, ".import-"+c.Paths[0].Base(), "lib/libx.so")
	before := inode(t, staged)
	if _, err := p.take(data); err != nil {
		t.Fatal(err)
	}
	p.complete(t, c)
	if after := inode(t, filepath.Join(p.files, c.Paths[0].Base(), "lib/libx.so")); after != before {
		t.Error("a path that was complete was made again")
	}
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

func TestWhatIsHereStays(t *testing.T) {
	t.Parallel()
	c, data := sample(t)
	p := newPlace(t)
	text := c.Paths[2]
	if err := os.WriteFile(filepath.Join(p.files, text.Base()), []byte("another"), 0o444); err != nil {
		t.Fatal(err)
	}
	for name, what := range map[string]string{
		"registered": text.Path + "\n",
		"info":       `{"` + text.Path + `":{"narHash":"sha256:` + strings.Repeat("0", 64) + `","narSize":1,"references":[]}}`,
	} {
		if err := os.WriteFile(filepath.Join(p.state, name), []byte(what), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	made, err := p.take(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{text.Path}, made.Other); diff != "" {
		t.Errorf("other contents (-want +got):\n%s", diff)
	}
	if data, err := os.ReadFile(filepath.Join(p.files, text.Base())); err != nil || string(data) != "another" {
		t.Errorf("what was here is now %q, %v", data, err)
	}
	want := text.Path + "\n" + string(closure.Registration(c.Paths[:2]))
	if diff := cmp.Diff(want, p.registered(t)); diff != "" {
		t.Errorf("registered (-want +got):\n%s", diff)
	}
}

// TestBuiltMeanwhile waits for a build of one of the paths, which is valid then: it is not touched.
func TestBuiltMeanwhile(t *testing.T) {
	t.Parallel()
	c, data := sample(t)
	p := newPlace(t)
	text := c.Paths[2]
	at := filepath.Join(p.files, text.Base())
	lock, err := os.OpenFile(at+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	waited := 0
	p.options.Waiting = func(what string) {
		waited++
		// As Nix ends a build.
		err := errors.Join(
			os.WriteFile(at, []byte("built meanwhile"), 0o444),
			os.WriteFile(filepath.Join(p.state, "registered"), []byte(text.Path+"\n"), 0o644),
			os.Remove(lock.Name()),
		)
		_, werr := lock.WriteString("d")
		if err := errors.Join(err, werr, lock.Close()); err != nil {
			t.Error(err)
		}
	}
	made, err := p.take(data)
	if err != nil {
		t.Fatal(err)
	}
	if waited != 1 {
		t.Errorf("it has waited %d times", waited)
	}
	if data, err := os.ReadFile(at); err != nil || string(data) != "built meanwhile" {
		t.Errorf("what was built is now %q, %v", data, err)
	}
	if diff := cmp.Diff([]string{text.Path}, made.Had); diff != "" {
		t.Errorf("here before (-want +got):\n%s", diff)
	}
	want := text.Path + "\n" + string(closure.Registration(c.Paths[:2]))
	if diff := cmp.Diff(want, p.registered(t)); diff != "" {
		t.Errorf("registered (-want +got):\n%s", diff)
	}
	for _, name := range p.names(t) {
		if strings.HasPrefix(name, ".import-") || strings.HasSuffix(name, ".lock") {
			t.Errorf("left in the store: %s", name)
		}
	}
}

// FuzzReader reads whatever comes, to its end or to the first thing that is wrong.
func FuzzReader(f *testing.F) {
	_, data := sample(f)
	f.Add(data, false)
	f.Add(unpacked(f, data), true)
	f.Fuzz(func(t *testing.T, data []byte, plain bool) {
		if plain {
			data = compressed(t, data)
		}
		r, err := bundle.NewReader(bytes.NewReader(data))
		if err != nil {
			return
		}
		defer r.Close()
		for {
			e, err := r.Next()
			if err != nil {
				return
			}
			base := r.Paths[e.Path].Base()
			if e.Name != base && !strings.HasPrefix(e.Name, base+"/") || !filepath.IsLocal(e.Name) {
				t.Fatalf("entry %q of %q", e.Name, base)
			}
			if n, err := io.Copy(io.Discard, r); err == nil && n > r.Paths[e.Path].NarSize {
				t.Fatalf("%q has %d bytes, and its path %d", e.Name, n, r.Paths[e.Path].NarSize)
			}
		}
	})
}
