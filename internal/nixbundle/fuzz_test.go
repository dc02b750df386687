package nixbundle_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"bootstrap/internal/bundletest"
	"bootstrap/internal/nixbundle"

	"github.com/klauspost/compress/zstd"
)

// FuzzReadHead: what is read as a head, before anything is known of whoever wrote it, stays within its length and can
// be said again.
func FuzzReadHead(f *testing.F) {
	f.Add([]byte("\x5b\x2a\x4d\x18\x02\x00\x00\x00{}"))
	f.Add([]byte("\x5b\x2a\x4d\x18\xff\xff\xff\xff{}\n"))
	head := []byte(`{"bundle":1,"store":"/opt/store","state":"/s","log":"/l","conf":"/c","nix":"/opt/store/x","derivation":"/opt/store/y",` +
		`"paths":1,"bytes":1,"size":1,"sha256":"` + string(bytes.Repeat([]byte("0"), 64)) + "\"}\nSig: a:b\n")
	f.Add(append([]byte{0x5b, 0x2a, 0x4d, 0x18, byte(len(head)), byte(len(head) >> 8), 0, 0}, head...))
	key := bundletest.Key(f, "maker").Public()
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := nixbundle.ReadHead(bytes.NewReader(data))
		if err != nil {
			return
		}
		if a.Length > int64(len(data)) {
			t.Errorf("a head of %d bytes in %d", a.Length, len(data))
		}
		if a.SignedBy(key) {
			t.Error("it is signed")
		}
		if _, err := json.Marshal(a.Head); err != nil {
			t.Error(err)
		}
	})
}

// FuzzReader: whatever the tarball behind a head holds, it is refused as no bundle, or each path in it comes once, is of
// the store, and has the contents that its narinfo says.
func FuzzReader(f *testing.F) {
	dir := f.TempDir()
	head := *bundletest.New(f, filepath.Join(dir, "store"), "/srv/made/here", "#!/bin/sh\n", nil).Write(filepath.Join(dir, "nix.bundle"))
	f.Add(unpacked(f, filepath.Join(dir, "nix.bundle")))
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(64<<10))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, tarball []byte) {
		seen, err := readPaths(bytes.NewReader(z.EncodeAll(tarball, nil)), head)
		var format *nixbundle.FormatError
		if err != nil && !errors.As(err, &format) {
			t.Errorf("the error is not about the format: %v", err)
		}
		if err == nil && len(seen) != head.Paths {
			t.Errorf("%d paths were read, not %d", len(seen), head.Paths)
		}
	})
}

// unpacked returns the tarball in a bundle.
func unpacked(t testing.TB, file string) []byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// readPaths reads what follows a head to its end, and returns which paths came.
func readPaths(body io.Reader, head nixbundle.Head) (map[string]bool, error) {
	r, err := nixbundle.NewReader(body, head)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	seen := map[string]bool{}
	for {
		a, err := r.Next()
		if errors.Is(err, io.EOF) {
			return seen, nil
		}
		if err != nil {
			return seen, err
		}
		sum := sha256.New()
		n, err := io.Copy(sum, a)
		if err != nil {
			return seen, err
		}
		if seen[a.Path.Path] || path.Dir(a.Path.Path) != head.Store || n != a.NarSize || !bytes.Equal(sum.Sum(nil), a.NarHash[:]) {
			return seen, errors.New(a.Path.Path + ": was taken")
		}
		seen[a.Path.Path] = true
	}
}

// FuzzKey: what is taken for a key can be said again, and is the same then. No error repeats a secret one.
func FuzzKey(f *testing.F) {
	secret := bundletest.KeyText("maker")
	f.Add(secret)
	f.Add(bundletest.Key(f, "maker").Public().String())
	f.Add("maker:")
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := nixbundle.ParsePublicKey(text); err == nil {
			again, err := nixbundle.ParsePublicKey(k.String())
			if err != nil || again.String() != k.String() {
				t.Errorf("%q is said as %q, %v", text, k, err)
			}
		}
		if k, err := nixbundle.ParseSecretKey(text); err == nil {
			if _, err := nixbundle.ParsePublicKey(k.Public().String()); err != nil {
				t.Error(err)
			}
		} else if _, value, _ := strings.Cut(text, ":"); len(value) > 40 && strings.Contains(err.Error(), value) {
			t.Errorf("the error says what was to be kept: %v", err)
		}
	})
}
