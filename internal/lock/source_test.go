package lock_test

import (
	"strings"
	"testing"

	"bootstrap/internal/fault"
	"bootstrap/internal/lock"
)

// chosen is a source of Nix from elsewhere.
func chosen() lock.Entry {
	return lock.Entry{
		Name: "nix", Version: "2.99.0", Path: "nix_2.99.0.tar.gz", URL: "https://example.org/2.99.0.tar.gz",
		Size: 10, SHA256: strings.Repeat("b", 64),
	}
}

func TestWithSource(t *testing.T) {
	l, err := lock.Parse([]byte(canonical))
	if err != nil {
		t.Fatal(err)
	}
	before := l.Digest()
	made, err := l.WithSource(chosen())
	if err != nil {
		t.Fatal(err)
	}
	if l.Digest() != before {
		t.Error("the lock itself was changed")
	}
	for _, arch := range []string{"amd64", "arm64"} {
		got := made.For(arch, lock.NixSource)
		if len(got) != 1 || got[0].Path != "nix_2.99.0.tar.gz" || got[0].SHA256 != strings.Repeat("b", 64) {
			t.Errorf("%s: the source is %v", arch, got)
		}
	}
	if got, want := len(made.Entries), len(l.Entries); got != want {
		t.Errorf("%d entries, want %d", got, want)
	}
	text := made.Marshal()
	if !strings.Contains(string(text), `"version": 2,`) || strings.Contains(string(l.Marshal()), `"version": 2,`) {
		t.Errorf("the version of the format is not that of what is in it:\n%s", text)
	}
	again, err := lock.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if again.Digest() != made.Digest() || again.Digest() == before {
		t.Error("it is another lock once it was read")
	}
	if changes := lock.Diff(l, made); len(changes) != 2 {
		t.Errorf("differences: %v, want one that is gone and one that is new", changes)
	}
	moved := chosen()
	moved.URL = "https://example.com/nix.tar.gz"
	other, err := l.WithSource(moved)
	if err != nil {
		t.Fatal(err)
	}
	if len(lock.Diff(made, other)) == 0 {
		t.Error("another address is no difference")
	}
}

func TestWithSourceRefuses(t *testing.T) {
	l, err := lock.Parse([]byte(canonical))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*lock.Entry){
		"a login":          func(e *lock.Entry) { e.URL = "https://me:secret@example.org/x" },
		"no host":          func(e *lock.Entry) { e.URL = "https:///x" },
		"another scheme":   func(e *lock.Entry) { e.URL = "ftp://example.org/x" },
		"a relative file":  func(e *lock.Entry) { e.URL = "file:x" },
		"a file that goes": func(e *lock.Entry) { e.URL = "file:///a/../x" },
		"another host":     func(e *lock.Entry) { e.URL = "file://host/x" },
		"a suite":          func(e *lock.Entry) { e.Suite = "trixie" },
		"a path":           func(e *lock.Entry) { e.Path = "../nix.tar.gz" },
		"no digest":        func(e *lock.Entry) { e.SHA256 = "" },
		"no size":          func(e *lock.Entry) { e.Size = 0 },
		"a bad version":    func(e *lock.Entry) { e.Version = "x y" },
	} {
		t.Run(name, func(t *testing.T) {
			e := chosen()
			change(&e)
			_, err := l.WithSource(e)
			if fault.KindOf(err) != fault.Verify {
				t.Fatalf("got %v, want a refusal", err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells a password: %v", err)
			}
		})
	}
	// Nothing but a source of Nix may come from elsewhere.
	text := strings.Replace(canonical, `"path":"pool/main/meson_1.7.0-1_all.deb"`, `"path":"meson.deb","url":"https://example.org/meson.deb"`, 1)
	text = strings.Replace(text, `"suite":"trixie","path":"meson.deb"`, `"suite":"","path":"meson.deb"`, 1)
	if _, err := lock.Parse([]byte(text)); fault.KindOf(err) != fault.Verify || !strings.Contains(err.Error(), "only a source of Nix") {
		t.Errorf("a package from elsewhere: got %v", err)
	}
}

func TestFile(t *testing.T) {
	for address, want := range map[string]string{
		"file:///srv/nix%20x.tar.gz": "/srv/nix x.tar.gz", "https://example.org/x": "", "": "",
	} {
		if got := (lock.Entry{URL: address}).File(); got != want {
			t.Errorf("%q: got %q, want %q", address, got, want)
		}
	}
}
