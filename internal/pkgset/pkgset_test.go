package pkgset_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/fault"
	"bootstrap/internal/pkgset"
)

func TestParse(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "set/default.nix"), "{ }")
	put(t, filepath.Join(dir, "set.tar"), "")
	absolute := func(path string) (string, error) {
		if filepath.IsAbs(path) {
			return path, nil
		}
		return filepath.Join(dir, path), nil
	}
	rev := strings.Repeat("0123456789", 4)
	sum := strings.Repeat("a", 64)
	tests := map[string]struct {
		text, sha256 string
		want         pkgset.Ref
		settled      bool
		refused      string
	}{
		"the one that comes with the program": {text: "embedded", want: pkgset.Ref{Kind: pkgset.Own, Text: "embedded"}},
		"a directory":                         {text: "nixpkgs=set", want: pkgset.Ref{Kind: pkgset.Directory, Text: "nixpkgs=" + dir + "/set", At: dir + "/set"}},
		"a tarball":                           {text: "nixpkgs=set.tar", want: pkgset.Ref{Kind: pkgset.Archive, Text: "nixpkgs=" + dir + "/set.tar", At: dir + "/set.tar"}},
		"a tarball by its digest": {
			text: "nixpkgs=" + dir + "/set.tar", sha256: sum,
			want: pkgset.Ref{Kind: pkgset.Archive, Text: "nixpkgs=" + dir + "/set.tar", At: dir + "/set.tar", SHA256: sum},
		},
		"an address": {
			text: "nixpkgs=https://example.org/n.tar.xz", sha256: sum, settled: true,
			want: pkgset.Ref{Kind: pkgset.Download, Text: "nixpkgs=https://example.org/n.tar.xz", At: "https://example.org/n.tar.xz", SHA256: sum},
		},
		"a commit": {
			text: "nixpkgs=github:NixOS/nixpkgs@" + rev, settled: true,
			want: pkgset.Ref{Kind: pkgset.Flake, Text: "nixpkgs=github:NixOS/nixpkgs@" + rev, At: "github:NixOS/nixpkgs/" + rev},
		},
		"a commit as Nix writes it": {
			text: "nixpkgs=github:NixOS/nixpkgs/" + rev, settled: true,
			want: pkgset.Ref{Kind: pkgset.Flake, Text: "nixpkgs=github:NixOS/nixpkgs/" + rev, At: "github:NixOS/nixpkgs/" + rev},
		},
		"a branch": {
			text: "nixpkgs=github:NixOS/nixpkgs@nixos-25.05",
			want: pkgset.Ref{Kind: pkgset.Flake, Text: "nixpkgs=github:NixOS/nixpkgs@nixos-25.05", At: "github:NixOS/nixpkgs/nixos-25.05"},
		},
		"a tarball that Nix fetches": {
			text: "nixpkgs=tarball+https://example.org/n.tar.gz?narHash=sha256-x", settled: true,
			want: pkgset.Ref{Kind: pkgset.Flake, Text: "nixpkgs=tarball+https://example.org/n.tar.gz?narHash=sha256-x", At: "tarball+https://example.org/n.tar.gz?narHash=sha256-x"},
		},
		"another name":                    {text: "guix=set", refused: "names no package set"},
		"no name":                         {text: "nixpkgs=", refused: "names no package set"},
		"nothing there":                   {text: "nixpkgs=gone", refused: "no such file"},
		"a device":                        {text: "nixpkgs=/dev/null", refused: "neither a directory nor a file"},
		"an address without a digest":     {text: "nixpkgs=https://example.org/n.tar.xz", refused: "no digest"},
		"a login":                         {text: "nixpkgs=https://me:secret@example.org/n.tar.xz", sha256: sum, refused: "login"},
		"a digest of a directory":         {text: "nixpkgs=set", sha256: sum, refused: "this is a directory"},
		"a digest of a flake":             {text: "nixpkgs=github:a/b", sha256: sum, refused: "is for a tarball"},
		"a digest of the embedded one":    {text: "embedded", sha256: sum, refused: "names no package set"},
		"what takes git":                  {text: "nixpkgs=git+https://example.org/x", refused: "clone it yourself"},
		"another scheme":                  {text: "nixpkgs=ftp:x", refused: "no kind of flake reference"},
		"a revision that leads elsewhere": {text: "nixpkgs=github:a/b@c?dir=x", refused: "no revision or branch"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := pkgset.Parse(tt.text, tt.sha256, absolute)
			if tt.refused != "" {
				if fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), tt.refused) || fault.HintOf(err) == "" || strings.Contains(err.Error(), "secret") {
					t.Fatalf("got %+v, %v", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if pkgset.Settled(got.Text) != tt.settled {
				t.Errorf("settled: not %v", tt.settled)
			}
		})
	}
}

// The store path is what Nix 2.26.3 gives an archive of these files: `nix flake prefetch path:…` with
// that store directory.
func TestLook(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "default.nix"), "{ }\n")
	plain, err := pkgset.Look(dir)
	if err != nil {
		t.Fatal(err)
	}
	rev := strings.Repeat("ab", 20)
	put(t, filepath.Join(dir, ".git/HEAD"), rev+"\n")
	cloned, err := pkgset.Look(dir)
	if err != nil {
		t.Fatal(err)
	}
	if plain.NARHash != cloned.NARHash || plain.Rev != "" || cloned.Rev != rev {
		t.Errorf("a checkout: %+v, the same files: %+v", cloned, plain)
	}
	path, err := plain.Store("/opt/store")
	const want = "/opt/store/z5whqnla444ax32a6jj8lkq3f0zn12dk-source"
	if err != nil || path != want {
		t.Errorf("path %q, not %q, %v", path, want, err)
	}
	if other, err := plain.Store("/nix/store"); err != nil || other[len("/nix/store"):] == want[len("/opt/store"):] {
		t.Errorf("at another store directory: %q, %v", other, err)
	}
	put(t, filepath.Join(dir, ".git-revision"), "not a commit")
	changed, err := pkgset.Look(dir)
	if err != nil || changed.NARHash == plain.NARHash {
		t.Errorf("another file: %+v, %v", changed, err)
	}
	if _, err := pkgset.Look(t.TempDir()); fault.KindOf(err) != fault.Usage {
		t.Errorf("an empty directory: %v", err)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// pack writes a tarball with these entries. The name of the user is a place for the text of a file.
func pack(t *testing.T, compress bool, entries ...tar.Header) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		text := []byte(h.Uname)
		h.Uname = ""
		if h.Typeflag == 0 {
			h.Typeflag, h.Size = tar.TypeReg, int64(len(text))
		}
		if h.Mode == 0 && h.Typeflag != tar.TypeXGlobalHeader {
			h.Mode = 0o640
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "set.tar")
	data := b.Bytes()
	if compress {
		var z bytes.Buffer
		g := gzip.NewWriter(&z)
		_, _ = g.Write(data)
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
		data = z.Bytes()
	}
	put(t, file, string(data))
	return file
}

func TestUnpack(t *testing.T) {
	entries := []tar.Header{
		{Name: "pax_global_header", Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "x"}},
		{Name: "nixpkgs-1/", Typeflag: tar.TypeDir, Mode: 0o700},
		{Name: "nixpkgs-1/default.nix", Uname: "{ }"},
		{Name: "./nixpkgs-1/sub/run", Uname: "#!", Mode: 0o700},
		{Name: "nixpkgs-1/link", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
	}
	var hashes []string
	for _, compress := range []bool{false, true} {
		dir := t.TempDir()
		got, err := pkgset.Unpack(t.Context(), pack(t, compress, entries...), dir)
		if err != nil || got != filepath.Join(dir, "nixpkgs-1") {
			t.Fatalf("%q, %v", got, err)
		}
		if target, err := os.Readlink(filepath.Join(got, "link")); err != nil || target != "/etc/passwd" {
			t.Errorf("link: %q, %v", target, err)
		}
		if info, err := os.Stat(filepath.Join(got, "sub/run")); err != nil || info.Mode().Perm()&0o100 == 0 {
			t.Errorf("a program: %v, %v", info, err)
		}
		pin, err := pkgset.Look(got)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, pin.NARHash)
	}
	if hashes[0] != hashes[1] {
		t.Error("how it is compressed makes a difference")
	}
}

func TestUnpackRefuses(t *testing.T) {
	set := tar.Header{Name: "n/default.nix", Uname: "{ }"}
	tests := map[string][]tar.Header{
		"out of the archive":       {set, {Name: "../x", Uname: "x"}},
		"an absolute name":         {set, {Name: "/tmp/x", Uname: "x"}},
		"through a link":           {set, {Name: "n/l", Typeflag: tar.TypeSymlink, Linkname: ".."}, {Name: "n/l/../../x", Uname: "x"}},
		"below a link out of it":   {set, {Name: "n/l", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}, {Name: "n/l/x", Uname: "x"}},
		"a file twice":             {set, set},
		"a hard link":              {set, {Name: "n/h", Typeflag: tar.TypeLink, Linkname: "n/default.nix"}},
		"a device":                 {set, {Name: "n/d", Typeflag: tar.TypeChar}},
		"two directories":          {set, {Name: "m/default.nix", Uname: "{ }"}},
		"no directory":             {{Name: "default.nix", Uname: "{ }"}},
		"nothing":                  {},
		"a directory for its file": {{Name: "n/default.nix/", Typeflag: tar.TypeDir}},
	}
	for name, entries := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "in")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if got, err := pkgset.Unpack(t.Context(), pack(t, false, entries...), dir); err == nil {
				t.Errorf("it is unpacked to %q", got)
			}
			if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 1 {
				t.Errorf("beside it: %v, %v", left, err)
			}
		})
	}
	cut := pack(t, true, set)
	data, err := os.ReadFile(cut)
	if err != nil {
		t.Fatal(err)
	}
	put(t, cut, string(data[:len(data)/2]))
	if _, err := pkgset.Unpack(t.Context(), cut, t.TempDir()); err == nil {
		t.Error("one that was cut off is unpacked")
	}
}
