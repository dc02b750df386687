package debtest_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/go-cmp/cmp"
	"github.com/ulikunitz/xz"

	"bootstrap/internal/debtest"
)

// hello is an archive with one package and one source.
func hello(t *testing.T) *debtest.Archive {
	t.Helper()
	a := debtest.NewArchive(t)
	s := a.Suite("trixie")
	s.Add(debtest.Package{
		Name: "libhello1", Version: "1:2.10-3", Entries: []debtest.Entry{debtest.Exe("./usr/bin/hello", "hi")},
		Fields: map[string]string{"Source": "hello (2.10)", "Depends": "libc6 (>= 2.38)"},
	})
	s.Add(debtest.Package{Name: "data", Version: "1", Arch: "all"}, debtest.Package{Name: "arm", Version: "1", Arch: "arm64"})
	s.AddSource(debtest.Source{Name: "hello", Version: "2.10-3", Files: map[string][]byte{"hello_2.10.orig.tar.gz": []byte("tar")}})
	return a
}

func get(t *testing.T, url string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func verify(inRelease []byte, keys openpgp.EntityList, now time.Time) (string, error) {
	block, _ := clearsign.Decode(inRelease)
	if block == nil {
		return "", fmt.Errorf("not clear-signed")
	}
	_, err := block.VerifySignature(keys, &packet.Config{Time: func() time.Time { return now }})
	return string(block.Plaintext), err
}

func unxz(t *testing.T, data string) string {
	t.Helper()
	r, err := xz.NewReader(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func TestArchiveIsSignedAndItsDigestsHold(t *testing.T) {
	a := hello(t)
	url := a.Serve()
	_, inRelease := get(t, url+"/dists/trixie/InRelease")
	text, err := verify([]byte(inRelease), a.Keyring(), debtest.Date)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"Suite: trixie\n", "Codename: trixie\n", "Date: Sat, 12 Sep 2026 07:55:41 UTC\n", "Valid-Until: Sat, 19 Sep 2026 07:55:41 UTC\n",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("InRelease lacks %q:\n%s", line, text)
		}
	}
	for _, index := range []string{"main/binary-amd64/Packages.xz", "main/binary-arm64/Packages", "main/source/Sources.xz"} {
		_, data := get(t, url+"/dists/trixie/"+index)
		line := fmt.Sprintf(" %s %8d %s\n", a.SHA256("dists/trixie/"+index), len(data), index)
		if !strings.Contains(text, line) {
			t.Errorf("InRelease lacks %q:\n%s", line, text)
		}
	}
}

func TestArchiveIndexesPackages(t *testing.T) {
	a := hello(t)
	url := a.Serve()
	path := "pool/main/h/hello/libhello1_2.10-3_amd64.deb"
	_, deb := get(t, url+"/"+path)
	_, amd64 := get(t, url+"/dists/trixie/main/binary-amd64/Packages.xz")
	want := fmt.Sprintf(`Package: libhello1
Version: 1:2.10-3
Architecture: amd64
Maintainer: Nobody <nobody@example.org>
Description: test package libhello1
Depends: libc6 (>= 2.38)
Source: hello (2.10)
Filename: %s
Size: %d
SHA256: %s

`, path, len(deb), a.SHA256(path))
	got := unxz(t, amd64)
	if first, _, _ := strings.Cut(got, "Package: data"); first != want {
		t.Errorf("first paragraph (-want +got):\n%s", cmp.Diff(want, first))
	}
	if !strings.Contains(got, "Package: data\n") || strings.Contains(got, "Package: arm\n") {
		t.Errorf("the index of amd64 has the wrong packages:\n%s", got)
	}
	_, sources := get(t, url+"/dists/trixie/main/source/Sources.xz")
	want = `Package: hello
Format: 3.0 (quilt)
Version: 2.10-3
Directory: pool/main/h/hello
Checksums-Sha256:
 ` + a.SHA256("pool/main/h/hello/hello_2.10.orig.tar.gz") + ` 3 hello_2.10.orig.tar.gz
Files:
 db5570bf61464b46e2bde31ed61a7dc6 3 hello_2.10.orig.tar.gz

`
	if diff := cmp.Diff(want, unxz(t, sources)); diff != "" {
		t.Errorf("Sources (-want +got):\n%s", diff)
	}
}

func TestArchiveKnobs(t *testing.T) {
	a := hello(t)
	url := a.Serve() + "/dists/trixie/InRelease"
	s := a.Suite("trixie")
	release := func() (string, error) {
		a.Publish()
		_, body := get(t, url)
		return verify([]byte(body), a.Keyring(), s.Date)
	}
	s.Date, s.Forever, s.Codename = debtest.Date.AddDate(0, 1, 0), true, "testing"
	text, err := release()
	if err != nil || strings.Contains(text, "Valid-Until") || !strings.Contains(text, "Date: Mon, 12 Oct 2026 07:55:41 UTC\n") || !strings.Contains(text, "Codename: testing\n") {
		t.Errorf("got error %v, text:\n%s", err, text)
	}
	s.Forever, s.ValidUntil = false, debtest.Date
	if text, _ := release(); !strings.Contains(text, "Valid-Until: Sat, 12 Sep 2026 07:55:41 UTC\n") {
		t.Errorf("got text:\n%s", text)
	}
	other := debtest.NewKey(t, "Other")
	s.Signers = []*openpgp.Entity{other}
	if _, err := release(); err == nil {
		t.Error("another key's signature verifies")
	}
	s.Signers = []*openpgp.Entity{other, a.Key}
	if _, err := release(); err != nil {
		t.Errorf("signed by two keys: %v", err)
	}
	s.Unsigned = true
	if _, err := release(); err == nil {
		t.Error("an unsigned release verifies")
	}
}

func TestArchiveTampers(t *testing.T) {
	a := hello(t)
	url := a.Serve()
	path := "pool/main/d/data/data_1_all.deb"
	good := string(a.File(path))
	check := func(name string, status int, want string) {
		t.Helper()
		if code, got := get(t, url+"/"+path); code != status || got != want {
			t.Errorf("%s: got %d %q", name, code, got)
		}
	}
	check("untouched", 200, good)
	a.Tamper(path, []byte("bad"))
	check("tampered", 200, "bad")
	a.Fail(path, 503)
	check("failing", 503, "")
	a.Fail(path, 0)
	a.Tamper(path, nil)
	check("restored", 200, good)
	if code, _ := get(t, url+"/pool/none"); code != 404 {
		t.Errorf("a missing file gets %d", code)
	}
	if code, got := get(t, url+"/"+path, "Range", "bytes=8-20"); code != 206 || got != good[8:21] {
		t.Errorf("a range gets %d %q", code, got)
	}
	want := []string{path, path, path, path, "pool/none", path}
	if diff := cmp.Diff(want, a.Requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestArchivePublishesWhenFirstAsked(t *testing.T) {
	a := hello(t)
	if len(a.File("dists/trixie/InRelease")) == 0 {
		t.Error("InRelease is empty")
	}
}

// The reference implementation reads what we write, where it is installed.
func TestDebIsReadByDpkg(t *testing.T) {
	dpkg, err := exec.LookPath("dpkg-deb")
	if err != nil {
		t.Skip("no dpkg-deb here")
	}
	for _, c := range []debtest.Compression{debtest.XZ, debtest.Zstd, debtest.Gzip, debtest.None} {
		path := filepath.Join(t.TempDir(), "x.deb")
		data := debtest.Deb("hello", "1:2", []debtest.Entry{debtest.Dir("./"), debtest.Reg("./a", "x")}, debtest.As(c))
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := exec.CommandContext(t.Context(), dpkg, "--field", path, "Package", "Version").Output()
		if err != nil || string(got) != "Package: hello\nVersion: 1:2\n" {
			t.Errorf("data.tar%s: control is %q, %v", c, got, err)
		}
		plain, err := exec.CommandContext(t.Context(), dpkg, "--fsys-tarfile", path).Output()
		if err != nil {
			t.Errorf("data.tar%s: %v", c, err)
		}
		tr := tar.NewReader(bytes.NewReader(plain))
		var names []string
		for h, err := tr.Next(); err == nil; h, err = tr.Next() {
			names = append(names, h.Name)
		}
		if diff := cmp.Diff([]string{"./", "./a"}, names); diff != "" {
			t.Errorf("data.tar%s (-want +got):\n%s", c, diff)
		}
	}
}
