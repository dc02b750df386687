package transplant

import (
	"bytes"
	"io"
	"io/fs"
	"strings"
	"testing"

	"bootstrap/internal/bundletest"
	"bootstrap/internal/drv"
	"bootstrap/internal/nixbundle"

	"zombiezen.com/go/nix/nar"
)

// FuzzRecipe: whatever an archive of a .drv file has, what is read of it is in it, and names follow from
// it or nothing does.
func FuzzRecipe(f *testing.F) {
	const base = "00000000000000000000000000000000-nix.drv"
	archive := func(name, text string) []byte {
		var b bytes.Buffer
		w := nar.NewWriter(&b)
		if name != "" {
			if err := w.WriteHeader(&nar.Header{Mode: fs.ModeDir | 0o755}); err != nil {
				f.Fatal(err)
			}
		}
		if err := w.WriteHeader(&nar.Header{Path: name, Size: int64(len(text)), Mode: 0o644}); err != nil {
			f.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			f.Fatal(err)
		}
		if err := w.Close(); err != nil {
			f.Fatal(err)
		}
		return b.Bytes()
	}
	whole := archive("", `Derive([("out","/opt/store/00000000000000000000000000000001-nix","","")],[],[],"x86_64-linux","/bin/sh",[],[("out","/opt/store/00000000000000000000000000000001-nix")])`)
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(archive("bin", "x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newRecipe()
		r.put(base, data)
		text, err := r.Derivation(base)
		if err == nil && !bytes.Contains(data, text) {
			t.Errorf("%q is not in it", text)
		}
		if inner, err := r.file(base, "bin"); err == nil && !bytes.Contains(data, inner) {
			t.Errorf("%q is not in it", inner)
		}
		moved, err := drv.Transport(drv.Options{From: "/opt/store", To: "/srv/store", Store: r}, "/opt/store/"+base)
		if err != nil {
			return
		}
		for from, to := range moved.Bases {
			if _, name, _ := strings.Cut(from, "-"); !strings.HasSuffix(to, "-"+name) {
				t.Errorf("%q becomes %q", from, to)
			}
		}
	})
}

// FuzzVerify: what is not the bundle that its head names is refused.
func FuzzVerify(f *testing.F) {
	dir := f.TempDir()
	w := bundletest.New(f, dir+"/store", "/opt", "#!/bin/sh\n", nil)
	file := dir + "/nix.bundle"
	w.Write(file, bundletest.Key(f, "k"))
	o, err := (&nixbundle.Source{Location: file, Shown: file, Key: bundletest.Key(f, "k").Public()}).Open(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	defer o.Close()
	body, err := io.ReadAll(o.Body())
	if err != nil {
		f.Fatal(err)
	}
	head := o.Head
	f.Add(body)
	f.Add(body[:len(body)/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Verify(head, bytes.NewReader(data))
		if err != nil {
			return
		}
		if len(c.Paths) != head.Paths {
			t.Errorf("%d paths, the head says %d", len(c.Paths), head.Paths)
		}
		for _, p := range c.Paths {
			if !strings.HasPrefix(p.Path, head.Store+"/") {
				t.Errorf("%q is in no store", p.Path)
			}
		}
	})
}
