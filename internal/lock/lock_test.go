package lock_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/fault"
	"bootstrap/internal/lock"
)

func digest(c string) string { return strings.Repeat(c, 64) }

// sample returns a lock that is out of order on purpose.
func sample() *lock.Lock {
	entry := func(name, version, arch string, roles []lock.Role, serves ...string) lock.Entry {
		return lock.Entry{
			Name: name, Version: version, Architecture: arch, Suite: "trixie",
			Path: fmt.Sprintf("pool/main/%s_%s_%s.deb", name, version, arch),
			Size: 10, SHA256: digest("a"), Roles: roles, For: serves,
		}
	}
	return &lock.Lock{
		Version: 1, Timestamp: "20260912T075541Z",
		Suites: []lock.Suite{{
			Name: "trixie", Codename: "trixie", Date: "20260912T075541Z",
			InReleaseSHA256: digest("c"), SignedBy: strings.Repeat("AB", 20),
		}},
		Entries: []lock.Entry{
			entry("nix-bin", "2.26.3+dfsg-1", "amd64", []lock.Role{lock.Host}, "amd64"),
			entry("meson", "1.7.0-1", "all", []lock.Role{lock.Toolchain}, "arm64", "amd64"),
			entry("libc6", "2.41-12", "amd64", []lock.Role{lock.Toolchain, lock.Host}, "amd64"),
			entry("libc6", "2.41-12", "arm64", []lock.Role{lock.Toolchain}, "arm64"),
			entry("nix", "2.26.3+dfsg-1", "source", []lock.Role{lock.NixSource}, "amd64", "arm64"),
		},
	}
}

const canonical = `{
  "version": 1,
  "timestamp": "20260912T075541Z",
  "suites": [
    {"name":"trixie","codename":"trixie","date":"20260912T075541Z","inrelease_sha256":"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc","signed_by":"ABABABABABABABABABABABABABABABABABABABAB"}
  ],
  "entries": [
    {"name":"libc6","version":"2.41-12","architecture":"amd64","suite":"trixie","path":"pool/main/libc6_2.41-12_amd64.deb","size":10,"sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","roles":["host","toolchain"],"for":["amd64"]},
    {"name":"libc6","version":"2.41-12","architecture":"arm64","suite":"trixie","path":"pool/main/libc6_2.41-12_arm64.deb","size":10,"sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","roles":["toolchain"],"for":["arm64"]},
    {"name":"meson","version":"1.7.0-1","architecture":"all","suite":"trixie","path":"pool/main/meson_1.7.0-1_all.deb","size":10,"sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","roles":["toolchain"],"for":["amd64","arm64"]},
    {"name":"nix-bin","version":"2.26.3+dfsg-1","architecture":"amd64","suite":"trixie","path":"pool/main/nix-bin_2.26.3+dfsg-1_amd64.deb","size":10,"sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","roles":["host"],"for":["amd64"]},
    {"name":"nix","version":"2.26.3+dfsg-1","architecture":"source","suite":"trixie","path":"pool/main/nix_2.26.3+dfsg-1_source.deb","size":10,"sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","roles":["nix-source"],"for":["amd64","arm64"]}
  ]
}
`

func TestMarshalIsCanonical(t *testing.T) {
	l := sample()
	if diff := cmp.Diff(canonical, string(l.Marshal())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(sample(), l); diff != "" {
		t.Errorf("the lock itself was changed: -want +got:\n%s", diff)
	}
}

// A lock written by the first release must stay readable: the text above is never to be adjusted to new code.
func TestParseReadsFormat1(t *testing.T) {
	l, err := lock.Parse([]byte(canonical))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(canonical, string(l.Marshal())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if l.Digest() != sample().Digest() {
		t.Error("digests of the same content differ")
	}
	l.Entries[0].Size++
	if l.Digest() == sample().Digest() {
		t.Error("digests of other content are the same")
	}
}

func TestFor(t *testing.T) {
	names := func(entries []lock.Entry) (names []string) {
		for _, e := range entries {
			names = append(names, e.Name+":"+e.Architecture)
		}
		return names
	}
	for _, tt := range []struct {
		name  string
		arch  string
		roles []lock.Role
		want  []string
	}{
		{"all roles", "amd64", nil, []string{"libc6:amd64", "meson:all", "nix-bin:amd64", "nix:source"}},
		{"one role", "arm64", []lock.Role{lock.Toolchain}, []string{"libc6:arm64", "meson:all"}},
		{"two roles", "amd64", []lock.Role{lock.Host, lock.NixSource}, []string{"libc6:amd64", "nix-bin:amd64", "nix:source"}},
		{"role without entries", "amd64", []lock.Role{lock.CACert}, nil},
		{"architecture without entries", "riscv64", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, names(sample().For(tt.arch, tt.roles...))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestParseRefusesText(t *testing.T) {
	for _, tt := range []struct {
		name, in string
	}{
		{"nothing", ""},
		{"not JSON", "deb http://example.org trixie main"},
		{"another type", "[]"},
		{"no version", `{"timestamp":""}`},
		{"version 0", strings.Replace(canonical, `"version": 1`, `"version": 0`, 1)},
		{"newer version", strings.Replace(canonical, `"version": 1`, `"version": 3, "shiny": true`, 1)},
		{"unknown field", strings.Replace(canonical, `"timestamp"`, `"comment": "x", "timestamp"`, 1)},
		{"cut off", canonical[:len(canonical)/2]},
		{"text behind", canonical + "{}"},
		{"size that is text", strings.Replace(canonical, `"size":10`, `"size":"10"`, 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := lock.Parse([]byte(tt.in))
			checkFault(t, err, fault.Usage)
		})
	}
}

func TestParseRefusesContent(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(*lock.Lock)
	}{
		{"no entries", func(l *lock.Lock) { l.Entries = nil }},
		{"no suites", func(l *lock.Lock) { l.Suites = nil }},
		{"timestamp with dashes", func(l *lock.Lock) { l.Timestamp = "2026-09-12" }},
		{"suite twice", func(l *lock.Lock) { l.Suites = append(l.Suites, l.Suites[0]) }},
		{"suite that is a path", func(l *lock.Lock) { l.Suites[0].Codename = "../sid" }},
		{"suite without date", func(l *lock.Lock) { l.Suites[0].Date = "" }},
		{"suite without digest", func(l *lock.Lock) { l.Suites[0].InReleaseSHA256 = "" }},
		{"suite by a short key id", func(l *lock.Lock) { l.Suites[0].SignedBy = "ABABABAB" }},
		{"entry of another suite", func(l *lock.Lock) { l.Entries[0].Suite = "sid" }},
		{"name that is a path", func(l *lock.Lock) { l.Entries[0].Name = "../x" }},
		{"name with a line end", func(l *lock.Lock) { l.Entries[0].Name = "x\n" }},
		{"no version", func(l *lock.Lock) { l.Entries[0].Version = "" }},
		{"absolute path", func(l *lock.Lock) { l.Entries[0].Path = "/etc/passwd" }},
		{"path upwards", func(l *lock.Lock) { l.Entries[0].Path = "pool/../../x" }},
		{"path that is not clean", func(l *lock.Lock) { l.Entries[0].Path = "pool//x" }},
		{"path that is a URL", func(l *lock.Lock) { l.Entries[0].Path = "http://example.org/x" }},
		{"path with a query", func(l *lock.Lock) { l.Entries[0].Path = "pool/x?archive=tar" }},
		{"path with a space", func(l *lock.Lock) { l.Entries[0].Path = "pool/x y" }},
		{"path twice", func(l *lock.Lock) { l.Entries[0].Path = l.Entries[1].Path }},
		{"empty file", func(l *lock.Lock) { l.Entries[0].Size = 0 }},
		{"endless file", func(l *lock.Lock) { l.Entries[0].Size = 1 << 40 }},
		{"short digest", func(l *lock.Lock) { l.Entries[0].SHA256 = "aa" }},
		{"digest in upper case", func(l *lock.Lock) { l.Entries[0].SHA256 = digest("A") }},
		{"no roles", func(l *lock.Lock) { l.Entries[0].Roles = nil }},
		{"unknown role", func(l *lock.Lock) { l.Entries[0].Roles = []lock.Role{"root"} }},
		{"role twice", func(l *lock.Lock) { l.Entries[0].Roles = []lock.Role{lock.Host, lock.Host} }},
		{"for nobody", func(l *lock.Lock) { l.Entries[0].For = nil }},
		{"for the source", func(l *lock.Lock) { l.Entries[1].For = []string{"source"} }},
		{"for a foreign architecture", func(l *lock.Lock) { l.Entries[0].For = []string{"arm64"} }},
		{"two versions in one role", func(l *lock.Lock) {
			e := l.Entries[2]
			e.Path, e.Version, e.Roles = "pool/other.deb", "2.40", []lock.Role{lock.Host}
			l.Entries = append(l.Entries, e)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := sample()
			tt.damage(l)
			_, err := lock.Parse(l.Marshal())
			checkFault(t, err, fault.Verify)
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(canonical))
	f.Add([]byte(`{"version":1,"entries":[{"for":[]}]}`))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := lock.Parse(data)
		if err != nil {
			if fault.HintOf(err) == "" {
				t.Errorf("no hint: %v", err)
			}
			return
		}
		text := l.Marshal()
		again, err := lock.Parse(text)
		if err != nil {
			t.Fatalf("its own form is refused: %v", err)
		}
		if !bytes.Equal(text, again.Marshal()) {
			t.Error("the canonical form is not stable")
		}
	})
}

func checkFault(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if got := fault.KindOf(err); got != kind {
		t.Errorf("kind %d, want %d: %v", got, kind, err)
	}
	if fault.HintOf(err) == "" {
		t.Errorf("no hint: %v", err)
	}
}
