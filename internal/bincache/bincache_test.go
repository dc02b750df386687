package bincache_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bootstrap/internal/bincache"
	"bootstrap/internal/fault"

	"github.com/google/go-cmp/cmp"
	"zombiezen.com/go/nix"
)

const (
	store = "/opt/store"
	hello = store + "/0123456789abcdfghijklmnpqrsvwxyz-hello"
	libc  = store + "/zyxwvsrqpnmlkjihgfdcba9876543210-libc"
)

// fixture is a cache of two store paths in a directory, one of which refers to the other and to itself.
func fixture(t testing.TB) (dir string, key *bincache.Key, secret *nix.PrivateKey) {
	t.Helper()
	dir = t.TempDir()
	key, secret, err := nix.GenerateKey("cache.test-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "nix-cache-info", "StoreDir: "+store+"\nWantMassQuery: 1\n")
	put(t, dir, infoName(hello), string(signed(t, secret, hello, hello, libc)))
	put(t, dir, infoName(libc), string(signed(t, secret, libc)))
	return dir, key, secret
}

func infoName(path string) string { return filepath.Base(path)[:32] + ".narinfo" }

func signed(t testing.TB, secret *nix.PrivateKey, path string, references ...string) []byte {
	t.Helper()
	hash := nix.NewHash(nix.SHA256, make([]byte, 32))
	info := &nix.NARInfo{
		StorePath: nix.StorePath(path), URL: "nar/x.nar.zst", Compression: nix.Zstandard,
		FileHash: hash, FileSize: 7, NARHash: hash, NARSize: 120,
	}
	for _, r := range references {
		info.References = append(info.References, nix.StorePath(r))
	}
	sig, err := nix.SignNARInfo(secret, info)
	if err != nil {
		t.Fatal(err)
	}
	info.AddSignatures(sig)
	text, err := info.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func put(t testing.TB, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func options(url string, key *bincache.Key) bincache.Options {
	return bincache.Options{
		URL: url, Store: store, Key: key, Transport: http.DefaultTransport,
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
}

func open(t testing.TB, o bincache.Options) *bincache.Cache {
	t.Helper()
	c, err := bincache.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func nothing(string) bool { return false }

func TestClosure(t *testing.T) {
	dir, key, _ := fixture(t)
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	for _, url := range []string{"file://" + dir, server.URL + "/"} {
		c := open(t, options(url, key))
		all, err := c.Closure(t.Context(), []string{hello}, nothing)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range all {
			got = append(got, o.Path)
			if f := o.File(); f.Size != 7 || f.SHA256 != strings.Repeat("0", 64) || f.URLs[0] != strings.TrimRight(url, "/")+"/nar/x.nar.zst" {
				t.Errorf("file %+v", f)
			}
		}
		if diff := cmp.Diff([]string{hello, libc}, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", url, diff)
		}
		all, err = c.Closure(t.Context(), []string{hello}, func(p string) bool { return p == libc })
		if err != nil || len(all) != 1 {
			t.Errorf("with a path that is there: %v, %v", all, err)
		}
	}
}

// TestRefuses: what is wrong with a cache is known by its kind, and said with a hint.
func TestRefuses(t *testing.T) {
	_, other, _ := nix.GenerateKey("cache.test-1", nil)
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, dir string, secret *nix.PrivateKey)
		kind  fault.Kind
		words string
	}{
		{"another store directory", func(t *testing.T, dir string, _ *nix.PrivateKey) {
			put(t, dir, "nix-cache-info", "StoreDir: /nix/store\n")
		}, fault.Unfit, `it is of the store directory "/nix/store", and this prefix has "/opt/store"`},
		{"a web page", func(t *testing.T, dir string, _ *nix.PrivateKey) {
			put(t, dir, "nix-cache-info", "<html>: no\n")
		}, fault.Unfit, "no binary cache"},
		{"an endless answer", func(t *testing.T, dir string, _ *nix.PrivateKey) {
			put(t, dir, infoName(libc), strings.Repeat("x", 2<<20))
		}, fault.Verify, "more than"},
		{"no narinfo", func(t *testing.T, dir string, _ *nix.PrivateKey) {
			put(t, dir, infoName(libc), "StorePath: nonsense\n")
		}, fault.Verify, "cannot be used"},
		{"that of another path", func(t *testing.T, dir string, secret *nix.PrivateKey) {
			put(t, dir, infoName(libc), string(signed(t, secret, hello)))
		}, fault.Verify, "it is of"},
		{"another key of that name", func(t *testing.T, dir string, _ *nix.PrivateKey) {
			put(t, dir, infoName(libc), string(signed(t, other, libc)))
		}, fault.Verify, "is not one of the key"},
		{"another size", func(t *testing.T, dir string, secret *nix.PrivateKey) {
			put(t, dir, infoName(libc), strings.Replace(string(signed(t, secret, libc)), "NarSize: 120", "NarSize: 121", 1))
		}, fault.Verify, "is not one of the key"},
		{"another reference", func(t *testing.T, dir string, secret *nix.PrivateKey) {
			text := strings.Replace(string(signed(t, secret, libc, libc)), "References: "+filepath.Base(libc), "References: "+filepath.Base(hello), 1)
			put(t, dir, infoName(libc), text)
		}, fault.Verify, "is not one of the key"},
		{"no signature", func(t *testing.T, dir string, secret *nix.PrivateKey) {
			text, _, _ := strings.Cut(string(signed(t, secret, libc)), "Sig:")
			put(t, dir, infoName(libc), text)
		}, fault.Verify, "it is not signed at all"},
		{"a way out of the directory", func(t *testing.T, dir string, secret *nix.PrivateKey) {
			put(t, dir, infoName(libc), strings.Replace(string(signed(t, secret, libc)), "URL: nar/", "URL: ../nar/", 1))
		}, fault.Verify, "its contents are at"},
		{"over the narinfo itself", func(t *testing.T, dir string, secret *nix.PrivateKey) {
			put(t, dir, infoName(libc), strings.Replace(string(signed(t, secret, libc)), "URL: nar/x.nar.zst", "URL: "+infoName(libc), 1))
		}, fault.Verify, "its contents are at"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, key, secret := fixture(t)
			tt.spoil(t, dir, secret)
			c, err := bincache.Open(t.Context(), options("file://"+dir, key))
			if err == nil {
				_, err = c.Closure(t.Context(), []string{hello}, nothing)
			}
			if err == nil || fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.words) || fault.HintOf(err) == "" {
				t.Errorf("kind %d, hint %q: %v", fault.KindOf(err), fault.HintOf(err), err)
			}
		})
	}
}

// TestKeysOfOneName: a key that was made anew by the name of an older one counts beside it.
func TestKeysOfOneName(t *testing.T) {
	dir, key, secret := fixture(t)
	_, older, err := nix.GenerateKey(key.Name(), nil)
	if err != nil {
		t.Fatal(err)
	}
	line := func(by *nix.PrivateKey) string {
		_, sig, _ := strings.Cut(string(signed(t, by, libc)), "Sig:")
		return "Sig:" + sig
	}
	text, _, _ := strings.Cut(string(signed(t, secret, libc)), "Sig:")
	for _, signatures := range []string{line(older) + line(secret), line(secret) + line(older)} {
		put(t, dir, infoName(libc), text+signatures)
		if _, err := open(t, options("file://"+dir, key)).Object(t.Context(), libc); err != nil {
			t.Errorf("%s: %v", signatures, err)
		}
	}
}

func TestMissing(t *testing.T) {
	dir, key, _ := fixture(t)
	c := open(t, options("file://"+dir, key))
	if err := os.Remove(filepath.Join(dir, infoName(libc))); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Closure(t.Context(), []string{hello}, nothing); !errors.Is(err, bincache.ErrMissing) || !strings.Contains(err.Error(), libc) {
		t.Errorf("error %v", err)
	}
	if _, err := c.Record(t.Context(), "native", "k"); !errors.Is(err, bincache.ErrMissing) {
		t.Errorf("error %v", err)
	}
	none := open(t, options("file://"+t.TempDir(), key))
	if !none.New || none.Existing() == nil {
		t.Error("an empty directory is taken for a cache")
	}
}

func TestRecords(t *testing.T) {
	for _, kind := range []string{"file", "http"} {
		t.Run(kind, func(t *testing.T) {
			dir, key, _ := fixture(t)
			url := "file://" + dir
			if kind == "http" {
				files := http.FileServer(http.Dir(dir))
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					name, password, _ := r.BasicAuth()
					switch {
					case r.Method != http.MethodPut:
						files.ServeHTTP(w, r)
					case name != "me" || password != "word":
						http.Error(w, "no", http.StatusUnauthorized)
					default:
						data := make([]byte, r.ContentLength)
						_, _ = r.Body.Read(data)
						put(t, dir, r.URL.Path, string(data))
						w.WriteHeader(http.StatusCreated)
					}
				}))
				defer server.Close()
				url = server.URL
			}
			o := options(url, key)
			outputs := map[string]string{"nix": hello}
			if kind == "http" {
				if err := open(t, o).PutRecord(t.Context(), "native", "k", outputs); err == nil || !strings.Contains(err.Error(), "wants a login") {
					t.Errorf("without a login: %v", err)
				}
				o.Netrc = filepath.Join(t.TempDir(), "netrc")
				put(t, filepath.Dir(o.Netrc), "netrc", "machine elsewhere login x password y\nmachine 127.0.0.1\n login me\n password word\ndefault login z password z\n")
			}
			c := open(t, o)
			if err := c.PutRecord(t.Context(), "native", "k", outputs); err != nil {
				t.Fatal(err)
			}
			r, err := c.Record(t.Context(), "native", "k")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&bincache.Record{Version: 1, Store: store, Stage: "native", Key: "k", Outputs: outputs}, r); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			for _, bad := range []string{
				"{", `{"version":2}`, `{"version":1,"store":"/nix/store","stage":"native","key":"k"}`,
				`{"version":1,"store":"/opt/store","stage":"native","key":"other"}`,
				`{"version":1,"store":"/opt/store","stage":"native","key":"k","outputs":{"nix":"/opt/store/../x"}}`,
				`{"version":1,"store":"/opt/store","stage":"native","key":"k","outputs":{"nix":"/etc/passwd"}}`,
			} {
				put(t, dir, "bootstrap/native-k.json", bad)
				if _, err := c.Record(t.Context(), "native", "k"); fault.KindOf(err) != fault.Verify {
					t.Errorf("%s: %v", bad, err)
				}
			}
		})
	}
}

// TestTriesAgain: what may pass is tried again, and what will not is not.
func TestTriesAgain(t *testing.T) {
	dir, key, _ := fixture(t)
	asked, down := 0, 2
	files := http.FileServer(http.Dir(dir))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked <= down {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	open(t, options(server.URL, key))
	if asked != 3 {
		t.Errorf("asked %d times", asked)
	}
	asked, down = 0, 100
	if _, err := bincache.Open(t.Context(), options(server.URL, key)); err == nil || !strings.Contains(err.Error(), "503") || asked != 4 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}

// TestRedirects: a server cannot have a file of this machine read, or the login given to another.
func TestRedirects(t *testing.T) {
	dir, key, _ := fixture(t)
	var got string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		http.FileServer(http.Dir(dir)).ServeHTTP(w, r)
	}))
	defer other.Close()
	to := "file://" + dir
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, to+r.URL.Path, http.StatusFound)
	}))
	defer server.Close()
	o := options(server.URL, key)
	o.Netrc = filepath.Join(t.TempDir(), "netrc")
	put(t, filepath.Dir(o.Netrc), "netrc", "machine 127.0.0.1 login me password word\n")
	if _, err := bincache.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), `redirect to scheme "file"`) {
		t.Errorf("error %v", err)
	}
	to = other.URL
	if c := open(t, o); c.New || got != "" {
		t.Errorf("the other server was given %q", got)
	}
}

func TestParseURL(t *testing.T) {
	for text, want := range map[string]string{
		"https://h/p": "https://h/p", "http://h:8080/p/": "http://h:8080/p", "https://h": "https://h", "file:///a/b/": "file:///a/b",
		"file:///a/../b": "file:///b",
		"":               "", "/a/b": "", "file:a": "", "file://host/a": "", "ftp://h/p": "", "https://": "", "ssh://h": "",
		"https://u:p@h/p": "", "https://h/p?x=y": "", "https://h/#x": "", "http://%zz": "",
	} {
		u, err := bincache.ParseURL(text)
		switch {
		case want == "" && (fault.KindOf(err) != fault.Usage || fault.HintOf(err) == ""):
			t.Errorf("%q: %v, %v", text, u, err)
		case want != "" && (err != nil || u.String() != want):
			t.Errorf("%q: %v, %v", text, u, err)
		case err != nil && strings.Contains(err.Error(), "u:p"):
			t.Errorf("%q: %v has the login", text, err)
		}
	}
}

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	key, err := bincache.NewKey("a-1", file)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info, err)
	}
	if public, err := bincache.ReadSecret(file); err != nil || public.String() != key.String() {
		t.Errorf("%v, %v", public, err)
	}
	for _, text := range []string{key.String(), " " + key.String() + "\n", file + ".pub"} {
		if got, err := bincache.ParseKey(text); err != nil || got.String() != key.String() {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	secret, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "a:b", "a-1:AAAA", file, string(secret), filepath.Join(dir, "none")} {
		if _, err := bincache.ParseKey(text); fault.KindOf(err) != fault.Usage || strings.Contains(err.Error(), strings.TrimSpace(string(secret))) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := bincache.NewKey("a-1", file); fault.KindOf(err) != fault.Usage {
		t.Errorf("made again: %v", err)
	}
	if again, err := os.ReadFile(file); err != nil || string(again) != string(secret) {
		t.Error("it was overwritten")
	}
	for _, name := range []string{"", "a b", "a:b", "-a", "ä", "a\nb"} {
		if _, err := bincache.NewKey(name, filepath.Join(dir, "other")); fault.KindOf(err) != fault.Usage {
			t.Errorf("name %q: %v", name, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); left != nil {
		t.Errorf("left: %q", left)
	}
}
