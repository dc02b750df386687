package nar_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bootstrap/internal/nar"
)

func open(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// TestSum holds a digest that Nix 2.26.3 has computed of the same tree.
func TestSum(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "tree/bin/x"), "hi\n", 0o755)
	if err := os.Symlink("bin/x", filepath.Join(dir, "tree/l")); err != nil {
		t.Fatal(err)
	}
	got, size, err := nar.Sum(open(t, dir), "tree")
	if err != nil {
		t.Fatal(err)
	}
	const want = "0c5739e63f181b1f3ffd9331c6d0abf7236678ae63ccba21e23de3500b7a0bd4"
	if got.Hex() != want || size != 680 {
		t.Errorf("%s of %d bytes, not %s of 680", got.Hex(), size, want)
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "12345678", 0o644)
	var b bytes.Buffer
	if err := nar.Write(&b, open(t, dir), "file"); err != nil {
		t.Fatal(err)
	}
	text := func(s string) string {
		return string([]byte{byte(len(s)), 0, 0, 0, 0, 0, 0, 0}) + s + strings.Repeat("\x00", (8-len(s)%8)%8)
	}
	want := text("nix-archive-1") + text("(") + text("type") + text("regular") + text("contents") + text("12345678") + text(")")
	if b.String() != want {
		t.Errorf("%q\nnot %q", b.String(), want)
	}
}

func TestSumWithout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "x/.git/config"), "1", 0o644)
	write(t, filepath.Join(dir, "x/sub/.git"), "2", 0o644)
	write(t, filepath.Join(dir, "y/sub/.git"), "2", 0o644)
	root := open(t, dir)
	got, _, err := nar.SumWithout(root, "x", "x/.git")
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := nar.Sum(root, "y")
	if err != nil {
		t.Fatal(err)
	}
	if whole, _, err := nar.Sum(root, "x"); err != nil || got != want || got == whole {
		t.Errorf("without it %s, never had it %s, with it %s, %v", got, want, whole, err)
	}
	if top, _, err := nar.SumWithout(open(t, filepath.Join(dir, "x")), ".", ".git"); err != nil || top != want {
		t.Errorf("from its own top %s, not %s, %v", top, want, err)
	}
}

func TestSumDependsOnWhatNixSees(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "tree/x")
	write(t, path, "text", 0o644)
	root := open(t, dir)
	sum := func() nar.Digest {
		d, _, err := nar.Sum(root, "tree")
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	first := sum()
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if sum() != first {
		t.Error("the right to write changes the digest")
	}
	if err := os.Chmod(path, 0o744); err != nil {
		t.Fatal(err)
	}
	if sum() == first {
		t.Error("the right to execute does not change the digest")
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "tree/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := nar.Sum(root, "tree"); err == nil || !strings.Contains(err.Error(), "neither a file nor") {
		t.Errorf("a pipe: %v", err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	const hex = "4969ecdb06f5fa5dbfe878401aed29269d80f39151339b4a142b423d800461bd"
	for _, text := range []string{hex, "sha256:" + hex, "sha256-SWns2wb1+l2/6HhAGu0pJp2A85FRM5tKFCtCPYAEYb0="} {
		d, err := nar.Parse(text)
		if err != nil || d.Hex() != hex || d.String() != "sha256-SWns2wb1+l2/6HhAGu0pJp2A85FRM5tKFCtCPYAEYb0=" {
			t.Errorf("%s: %s, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "sha256-", hex[1:], "sha512:" + hex, "sha256-SWns2wb1+l2/6HhAGu0pJp2A85FRM5tKFCtCPYAEYb0", hex + "00"} {
		if _, err := nar.Parse(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

// TestRead has an archive read while it is made, by somebody who reads it, who breaks off, and who stops too soon.
func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), strings.Repeat("text", 1<<16), 0o644)
	root := open(t, dir)
	var want, got bytes.Buffer
	if err := nar.Write(&want, root, "file"); err != nil {
		t.Fatal(err)
	}
	all := func(r io.Reader) error { _, err := got.ReadFrom(r); return err }
	if err := nar.Read(root, "file", all); err != nil || !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("%d bytes, not %d: %v", got.Len(), want.Len(), err)
	}
	enough := errors.New("enough")
	if err := nar.Read(root, "file", func(io.Reader) error { return enough }); err != enough {
		t.Errorf("one who breaks off: %v", err)
	}
	if err := nar.Read(root, "file", func(io.Reader) error { return nil }); err == nil {
		t.Error("one who stops too soon is told nothing")
	}
	if err := nar.Read(root, "none", all); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
}
