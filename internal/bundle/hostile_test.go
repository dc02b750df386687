package bundle_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bootstrap/internal/bundle"
	"bootstrap/internal/closure"
	"bootstrap/internal/fault"
	"bootstrap/internal/storetest"

	"github.com/klauspost/compress/zstd"
)

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

// FuzzReader reads whatever comes, to its end or to the first thing that is wrong.
func FuzzReader(f *testing.F) {
	// A small one: the engine takes a minute to make a large one smaller.
	dir, base := f.TempDir(), storetest.Digest("a")+"-lib"
	small := storetest.Path(f, dir, store, base, storetest.Tree{"bin": "+x text", "link": "-> bin"})
	f.Add(unpacked(f, export(f, storetest.Closure(dir, store, []closure.Path{small}, 0))))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := bundle.NewPlainReader(bytes.NewReader(data))
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
