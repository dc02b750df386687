package archive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/archive"
	"bootstrap/internal/control"
	"bootstrap/internal/debtest"
	"bootstrap/internal/fault"
)

const (
	inRelease = "dists/trixie/InRelease"
	packages  = "dists/trixie/main/binary-amd64/Packages.xz"
)

// fixture is an archive with one suite, and a clock an hour after its date.
func fixture(t *testing.T) *debtest.Archive {
	t.Helper()
	a := debtest.NewArchive(t)
	s := a.Suite("trixie")
	s.Codename = "trixie"
	s.Add(
		debtest.Package{Name: "libc6", Version: "2.41-12"},
		debtest.Package{Name: "libc6", Version: "2.41-12", Arch: "arm64"},
		debtest.Package{Name: "meson", Version: "1.7.0-1", Arch: "all"},
	)
	s.AddSource(debtest.Source{Name: "hello", Version: "2.10-5", Files: map[string][]byte{"hello_2.10.orig.tar.gz": []byte("hello")}})
	return a
}

func options(a *debtest.Archive, mirror string) *archive.Options {
	return &archive.Options{
		Mirror: mirror, Suite: "trixie", Keyring: a.Keyring(),
		Now:   func() time.Time { return debtest.Date.Add(time.Hour) },
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
}

func TestPackages(t *testing.T) {
	a := fixture(t)
	o := options(a, a.Serve())
	opened, err := archive.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for arch, want := range map[string][]string{
		"amd64": {"libc6 amd64", "meson all"},
		"arm64": {"libc6 arm64", "meson all"},
	} {
		all, err := opened.Packages(t.Context(), arch)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range all {
			got = append(got, p.Name+" "+p.Architecture)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", arch, diff)
		}
	}
	if _, err := opened.Packages(t.Context(), "vax"); fault.HintOf(err) == "" {
		t.Errorf("architecture the suite does not have: %v, want an error with a hint", err)
	}
}

func TestSources(t *testing.T) {
	a := fixture(t)
	opened, err := archive.Open(t.Context(), options(a, a.Serve()))
	if err != nil {
		t.Fatal(err)
	}
	sources, err := opened.Sources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got control.File
	for _, f := range sources[0].Files {
		if f.Name == "hello_2.10.orig.tar.gz" {
			got = f
		}
	}
	if want := a.SHA256(sources[0].Directory + "/hello_2.10.orig.tar.gz"); got.SHA256 != want || got.Size != 5 {
		t.Errorf("got %+v, want 5 bytes with digest %s", got, want)
	}
}

func TestRelease(t *testing.T) {
	a := fixture(t)
	opened, err := archive.Open(t.Context(), options(a, a.Serve()+"/"))
	if err != nil {
		t.Fatal(err)
	}
	got := opened.Release()
	if !got.Date.Equal(debtest.Date) || got.Suite != "trixie" || got.InReleaseSHA256 != a.SHA256(inRelease) || len(got.SignedBy) != 40 {
		t.Errorf("got %+v", got)
	}
}

func TestOpenHoldsTheClockAgainstTheIndex(t *testing.T) {
	for _, tt := range []struct {
		name    string
		after   time.Duration // now, after the index's date
		forever bool
		allow   bool
		hint    string // "" is success
	}{
		{"fresh", time.Hour, false, false, ""},
		{"our clock a little behind", -23 * time.Hour, false, false, ""},
		{"from the future", -25 * time.Hour, false, false, "clock"},
		{"last minute", 7*24*time.Hour - time.Minute, false, false, ""},
		{"expired", 7*24*time.Hour + time.Minute, false, false, "--allow-expired-index"},
		{"expired and accepted", 365 * 24 * time.Hour, false, true, ""},
		{"never expires", 365 * 24 * time.Hour, true, false, ""},
		{"from the future, and expired ones are accepted", -25 * time.Hour, false, true, "clock"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := fixture(t)
			a.Suite("trixie").Forever = tt.forever
			o := options(a, a.Serve())
			o.Now = func() time.Time { return debtest.Date.Add(tt.after) }
			o.AllowExpired = tt.allow
			_, err := archive.Open(t.Context(), o)
			if tt.hint == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			checkVerify(t, err, "", tt.hint)
		})
	}
}

func TestOpenRefusesAnotherSuite(t *testing.T) {
	a := fixture(t)
	a.Suite("sid").Codename = "sid"
	url := a.Serve()
	a.Tamper(inRelease, a.File("dists/sid/InRelease"))
	_, err := archive.Open(t.Context(), options(a, url))
	checkVerify(t, err, `"sid"`, "--mirror")
}

func TestIndexIsCheckedAgainstItsDigest(t *testing.T) {
	both := func(change func([]byte) []byte) func(*debtest.Archive) {
		return func(a *debtest.Archive) {
			data := change(bytes.Clone(a.File(packages)))
			a.Tamper(packages, data)
			a.Tamper(byHash(a), data)
		}
	}
	for _, tt := range []struct {
		name   string
		damage func(a *debtest.Archive)
		ok     bool
	}{
		{"intact", func(*debtest.Archive) {}, true},
		{"by digest only", func(a *debtest.Archive) { a.Fail(packages, 404) }, true},
		{"by name only", func(a *debtest.Archive) { a.Fail(byHash(a), 404) }, true},
		{"damaged by digest, intact by name", func(a *debtest.Archive) { a.Tamper(byHash(a), []byte("x")) }, true},
		{"the name is newer already", func(a *debtest.Archive) { a.Tamper(packages, []byte("newer")) }, true},
		{"one bit", both(func(data []byte) []byte { data[len(data)/2] ^= 1; return data }), false},
		{"half", both(func(data []byte) []byte { return data[:len(data)/2] }), false},
		{"more", both(func(data []byte) []byte { return append(data, 'x') }), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := fixture(t)
			url := a.Serve()
			a.Tamper(byHash(a), a.File(packages))
			resign(t, a, func(s string) string { return strings.Replace(s, "Date:", "Acquire-By-Hash: yes\nDate:", 1) })
			tt.damage(a)
			opened, err := archive.Open(t.Context(), options(a, url))
			if err != nil {
				t.Fatal(err)
			}
			_, err = opened.Packages(t.Context(), "amd64")
			if tt.ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			checkVerify(t, err, "", "--mirror")
		})
	}
}

// Where the index of an architecture leaves out the packages for all, they are in one of their own.
func TestPackagesForAllMayHaveAnIndexOfTheirOwn(t *testing.T) {
	for _, tt := range []struct {
		name, field string
		want        []string
	}{
		{"split", "", []string{"libc6", "meson", "extra"}},
		{"not split", "No-Support-for-Architecture-all: Packages\n", []string{"libc6", "meson"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := fixture(t)
			s := a.Suite("other")
			s.Add(debtest.Package{Name: "extra", Version: "1", Arch: "all"}, debtest.Package{Name: "meson", Version: "1.7.0-1", Arch: "all"})
			url := a.Serve()
			own := a.File("dists/other/main/binary-amd64/Packages.xz")
			a.Tamper("dists/trixie/main/binary-all/Packages.xz", own)
			resign(t, a, func(s string) string {
				s = strings.Replace(s, "Date:", tt.field+"Date:", 1)
				return s + fmt.Sprintf(" %x %d main/binary-all/Packages.xz\n", sha256.Sum256(own), len(own))
			})
			opened, err := archive.Open(t.Context(), options(a, url))
			if err != nil {
				t.Fatal(err)
			}
			all, err := opened.Packages(t.Context(), "amd64")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range all {
				got = append(got, p.Name)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// byHash returns the path of the index of packages by its digest.
func byHash(a *debtest.Archive) string {
	return "dists/trixie/main/binary-amd64/by-hash/SHA256/" + a.SHA256(packages)
}

// resign changes the text of the suite's InRelease and signs it anew.
func resign(t *testing.T, a *debtest.Archive, change func(string) string) {
	t.Helper()
	_, text, _ := strings.Cut(string(a.File(inRelease)), "\n\n")
	text, _, _ = strings.Cut(text, "-----BEGIN PGP SIGNATURE-----")
	signed, err := debtest.ClearSign(change(strings.TrimRight(text, "\n")+"\n"), debtest.Date, a.Key)
	if err != nil {
		t.Fatal(err)
	}
	a.Tamper(inRelease, signed)
}

func TestAnswersOfAMirror(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		kind   fault.Kind
		want   string
	}{
		{"not found", http.NotFound, fault.General, "404"},
		{"broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, fault.General, "500"},
		{"a login page", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("<html>log in</html>"))
		}, fault.Verify, "not a clear-signed file"},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			for chunk := make([]byte, 1<<20); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, fault.Verify, "more than"},
		{"half", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("-----BEGIN"))
		}, fault.General, "unexpected EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(tt.answer)
			defer server.Close()
			_, err := archive.Open(t.Context(), options(fixture(t), server.URL))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if fault.KindOf(err) != tt.kind || fault.HintOf(err) == "" {
				t.Errorf("kind %d, hint %q: %v", fault.KindOf(err), fault.HintOf(err), err)
			}
		})
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	a := fixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := archive.Open(ctx, options(a, a.Serve())); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("got %v", err)
	}
}

func TestDebianKeys(t *testing.T) {
	keys, err := archive.DebianKeys()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"04B54C3CDCA79751B16BC6B5225629DF75B188BD",
		"05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0",
		"1F89983E0081FDE018F3CC9673A4F27B8DD47936",
		"41587F7DB8C774BCCF131416762F67A0B2C39DE4",
		"4D64FEC119C2029067D6E791F8D2585B8783D481",
		"5E04A1E3223A19A20706E20F9904613D4CCE68C6",
		"A4285295FC7B1A81600062A9605C66F00D6C9793",
		"AC530D520F2F3269F5E98313A48449044AAD5C5D",
		"B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8",
	}
	if diff := cmp.Diff(want, fingerprints(keys)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestUnknownToDebian(t *testing.T) {
	a := fixture(t)
	o := options(a, a.Serve())
	o.Keyring = nil
	_, err := archive.Open(t.Context(), o)
	checkVerify(t, err, keyID(a.Key), "--mirror")
}

func keyID(e *openpgp.Entity) string { return strings.ToUpper(e.PrimaryKey.KeyIdString()) }

func checkVerify(t *testing.T, err error, text, hint string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if fault.KindOf(err) != fault.Verify {
		t.Errorf("kind %d, want %d: %v", fault.KindOf(err), fault.Verify, err)
	}
	if !strings.Contains(err.Error(), text) {
		t.Errorf("%q does not say %q", err, text)
	}
	if !strings.Contains(fault.HintOf(err), hint) {
		t.Errorf("hint %q does not say %q", fault.HintOf(err), hint)
	}
}
