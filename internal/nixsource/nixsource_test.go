package nixsource_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ulikunitz/xz"

	"bootstrap/internal/fault"
	"bootstrap/internal/nixsource"
)

func reg(name, text string) tar.Header {
	return tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg, Linkname: text}
}

// pack returns a tarball; the text of a regular file is in Linkname.
func pack(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		text := ""
		if h.Typeflag == tar.TypeReg {
			text, h.Linkname = h.Linkname, ""
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func write(t testing.TB, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func compress(t testing.TB, make func(io.Writer) (io.WriteCloser, error), data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := make(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadArchive(t *testing.T) {
	entries := []tar.Header{
		{Name: "nix-2.28.5/", Typeflag: tar.TypeDir, Mode: 0o755},
		reg("nix-2.28.5/.version", "2.28.5\n"), reg("nix-2.28.5/src/a.cc", "a\n"), reg("nix-2.28.5/src/b.cc", "b\n"),
		reg("nix-2.28.5/doc/src/a.cc", "another\n"),
		{Name: "nix-2.28.5/link", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
	}
	plain := pack(t, entries...)
	flat := pack(t, reg("./.version", "2.28.5"), reg("./src/a.cc", "a\n"))
	for name, data := range map[string][]byte{
		"plain": plain,
		"flat":  flat,
		"gzip":  compress(t, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }, plain),
		"xz":    compress(t, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }, plain),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := nixsource.Read(t.Context(), write(t, data), []string{"src/a.cc", "src/none.cc"})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string][]byte{"src/a.cc": []byte("a\n")}, got.Files); diff != "" || got.Version.String() != "2.28.5" {
				t.Errorf("version %s (-want +got)\n%s", got.Version, diff)
			}
		})
	}
}

func TestReadArchiveRefuses(t *testing.T) {
	good := pack(t, reg("nix/.version", "2.28.5"), reg("nix/a", strings.Repeat("a", 5000)))
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"empty":            {nil, "there is no .version in it"},
		"not a tarball":    {bytes.Repeat([]byte("all work and no play "), 100), "not a tarball"},
		"cut":              {good[:2000], "unexpected EOF"},
		"cut xz":           {compress(t, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }, good)[:100], "unexpected EOF"},
		"no version":       {pack(t, reg("nix/a", "a")), "there is no .version in it"},
		"bad version":      {pack(t, reg("nix/.version", "soon")), `"soon" is no version`},
		"two sources":      {pack(t, reg("x/.version", "2.1"), reg("y/.version", "2.2")), "more than one source"},
		"a file twice":     {pack(t, reg("nix/.version", "2.1"), reg("nix/a", "a"), reg("nix/./a", "b")), "there twice"},
		"a link":           {pack(t, reg("nix/.version", "2.1"), tar.Header{Name: "nix/a", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}), "is not a file"},
		"too large a file": {pack(t, reg("nix/.version", "2.1"), reg("nix/a", strings.Repeat("a", 9<<20))), "has more than"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := nixsource.Read(t.Context(), write(t, tt.data), []string{"a"})
			if err == nil || !strings.Contains(err.Error(), tt.want) || fault.KindOf(err) != fault.Usage || fault.HintOf(err) == "" {
				t.Errorf("got %v, %v; want a usage error with %q", got, err, tt.want)
			}
		})
	}
}

func TestReadDirectory(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "outside")
	for file, text := range map[string]string{
		filepath.Join(dir, ".version"): "2.31.2\n", filepath.Join(dir, "a"): "a\n", outside: "secret",
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"link": outside, "up": filepath.Dir(outside)} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := nixsource.Read(t.Context(), dir, []string{"a", "none"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]byte{"a": []byte("a\n")}, got.Files); diff != "" || got.Version.String() != "2.31.2" {
		t.Errorf("version %s (-want +got)\n%s", got.Version, diff)
	}
	for _, name := range []string{"link", "up/outside", "pipe"} {
		if got, err := nixsource.Read(t.Context(), dir, []string{name}); fault.KindOf(err) != fault.Usage {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	if _, err := nixsource.Read(t.Context(), filepath.Join(dir, "none"), nil); fault.KindOf(err) != fault.Usage {
		t.Errorf("no directory: %v", err)
	}
}

func TestReadEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := nixsource.Read(ctx, write(t, pack(t, reg("nix/.version", "2.1"))), nil)
	if err == nil || fault.KindOf(err) == fault.Usage {
		t.Errorf("got %v", err)
	}
}
