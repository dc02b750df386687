package control_test

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/control"
)

const digestA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

const packageText = `Package: nix-bin
Source: nix (2.26.3+dfsg-1)
Version: 2.26.3+dfsg-1+b2
Architecture: amd64
Essential: yes
Multi-Arch: foreign
Pre-Depends: libc6
Depends: bash-static,
 xz-utils | xz
Provides: nix (= 2.26.3), nix-daemon
Description: package manager
 More of it:
 .
  Depends: nothing
Filename: pool/main/n/nix/nix-bin.deb
Size: 3563492
SHA256: ` + digestA + "\n"

func TestPackages(t *testing.T) {
	want := []control.Package{{
		Name: "nix-bin", Version: "2.26.3+dfsg-1+b2", Architecture: "amd64", Source: "nix",
		Filename: "pool/main/n/nix/nix-bin.deb", Size: 3563492, SHA256: digestA,
		Essential: true, MultiArch: "foreign",
		PreDepends: []control.Dependency{{{Name: "libc6"}}},
		Depends:    []control.Dependency{{{Name: "bash-static"}}, {{Name: "xz-utils"}, {Name: "xz"}}},
		Provides:   []control.Relation{{Name: "nix", Op: "=", Version: "2.26.3"}, {Name: "nix-daemon"}},
	}}
	var got []control.Package
	for p, err := range control.Packages(strings.NewReader("\n\n" + packageText + "\n\n")) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPackagesRefuses(t *testing.T) {
	for _, tt := range []struct{ name, old, new string }{
		{"no name", "Package: nix-bin\n", ""},
		{"name that is a path", "Package: nix-bin", "Package: ../nix"},
		{"no version", "Version: 2.26.3+dfsg-1+b2", "Version:"},
		{"no digest", "SHA256: " + digestA, ""},
		{"short digest", digestA, "aaaa"},
		{"negative size", "Size: 3", "Size: -3"},
		{"size beyond 64 bits", "Size: 3563492", "Size: 99999999999999999999"},
		{"no file name", "Filename", "Filenome"},
		{"bad dependency", "bash-static,", "bash-static (2),"},
		{"provided range", "(= 2.26.3)", "(>= 2.26.3)"},
		{"provided alternative", "nix-daemon", "x | y"},
		{"field twice", "Essential: yes", "Architecture: all"},
		{"no field", "Essential: yes", "Essential"},
		{"begins with a continuation", "Package: nix-bin", " x\nPackage: nix-bin"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := strings.Replace(packageText, tt.old, tt.new, 1)
			if in == packageText {
				t.Fatal("the case changes nothing")
			}
			if err := lastError(in); err == nil {
				t.Errorf("no error for\n%s", in)
			}
		})
	}
}

func TestPackagesEndsWithTheReadersError(t *testing.T) {
	cause := errors.New("cable cut")
	var got error
	for _, err := range control.Packages(iotest.ErrReader(cause)) {
		got = err
	}
	if !errors.Is(got, cause) {
		t.Errorf("got %v, want %v", got, cause)
	}
}

func TestParagraphsLimitsLines(t *testing.T) {
	if err := lastError("X: " + strings.Repeat("x", 5<<20)); err == nil {
		t.Error("a line of 5 MB was accepted")
	}
}

func TestSources(t *testing.T) {
	const in = `Package: hello
Version: 2.10-5
Directory: pool/main/h/hello
Files:
 899cb9c89e975276f580c445a11db016 1736 hello_2.10-5.dsc
Checksums-Sha256:
 ` + digestA + ` 725946 hello_2.10.orig.tar.gz

Package: empty
Version: 1
Directory: pool/main/e/empty
`
	want := []control.Source{
		{
			Name: "hello", Version: "2.10-5", Directory: "pool/main/h/hello",
			Files: []control.File{{Name: "hello_2.10.orig.tar.gz", Size: 725946, SHA256: digestA}},
		},
		{Name: "empty", Version: "1", Directory: "pool/main/e/empty"},
	}
	var got []control.Source
	for s, err := range control.Sources(strings.NewReader(in)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, bad := range []string{digestA + " 5", "zz 5 x", digestA + " five x"} {
		for _, err := range control.Sources(strings.NewReader("Package: a\nVersion: 1\nChecksums-Sha256:\n " + bad)) {
			if err == nil {
				t.Errorf("no error for %q", bad)
			}
		}
	}
}

func TestParagraphs(t *testing.T) {
	const in = "# apt's own sources\r\nTypes: deb deb-src\r\nURIs: http://a/\n  http://b/\n# note\nSigned-By:\n -----BEGIN\n .\n abc\n \nSuites: trixie\n"
	var got [][]control.Field
	for p, err := range control.Paragraphs(strings.NewReader(in)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p.Fields())
		if v := p.Get("types"); v != p.Get("Types") {
			t.Errorf("field names are told apart by case: %q", v)
		}
	}
	want := [][]control.Field{
		{{Name: "Types", Value: "deb deb-src"}, {Name: "URIs", Value: "http://a/\nhttp://b/"}, {Name: "Signed-By", Value: "\n-----BEGIN\n.\nabc"}},
		{{Name: "Suites", Value: "trixie"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func FuzzPackages(f *testing.F) {
	f.Add(packageText)
	f.Add("Package: a\n\n\n\nVersion")
	f.Add("#\n :\n-a: b")
	f.Fuzz(func(t *testing.T, in string) {
		failed := false
		for p, err := range control.Packages(strings.NewReader(in)) {
			if failed {
				t.Fatal("it goes on after an error")
			}
			if failed = err != nil; failed {
				continue
			}
			if p.Name == "" || p.Version == "" || p.Filename == "" || len(p.SHA256) != 64 || p.Size < 0 {
				t.Errorf("half a package came through: %+v", p)
			}
		}
	})
}

func lastError(in string) (last error) {
	for _, err := range control.Packages(strings.NewReader(in)) {
		last = err
	}
	return last
}
