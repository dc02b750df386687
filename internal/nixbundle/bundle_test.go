package nixbundle_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"bootstrap/internal/bundletest"
	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/nixbundle"

	"github.com/klauspost/compress/zstd"
	"zombiezen.com/go/nix"
)

const root = "/srv/made/here"

// long is some time ago.
var long = time.Unix(1e9, 0)

// write writes a bundle, and returns its file and its bytes.
func write(t *testing.T, keys ...*nixbundle.SecretKey) (file string, data []byte) {
	t.Helper()
	dir := t.TempDir()
	w := bundletest.New(t, filepath.Join(dir, "store"), root, "#!/bin/sh\n", nil)
	file = filepath.Join(dir, "nix.bundle")
	w.Write(file, keys...)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return file, data
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// readAll reads all archives of a bundle that was opened.
func readAll(o *nixbundle.Opened) (paths int, err error) {
	r, err := nixbundle.NewReader(o.Body(), o.Head)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	for {
		a, err := r.Next()
		if errors.Is(err, io.EOF) {
			return paths, nil
		}
		if err != nil {
			return paths, err
		}
		if _, err := io.Copy(io.Discard, a); err != nil {
			return paths, err
		}
		paths++
	}
}

func TestSameBytes(t *testing.T) {
	t.Parallel()
	_, first := write(t)
	_, again := write(t)
	if !bytes.Equal(first, again) {
		t.Error("the same twice has other bytes")
	}
}

// TestIsACache: for whoever knows tar and zstd it is a binary cache, and nothing else.
func TestIsACache(t *testing.T) {
	t.Parallel()
	_, data := write(t, bundletest.Key(t, "k"))
	z, err := zstd.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(text)
	}
	if want := "StoreDir: " + root + "/store\n"; files["nix-cache-info"] != want {
		t.Errorf("nix-cache-info is %q, not %q", files["nix-cache-info"], want)
	}
	infos := 0
	for name, text := range files {
		if filepath.Ext(name) != ".narinfo" {
			continue
		}
		infos++
		var info nix.NARInfo
		if err := info.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		archive, ok := files[info.URL]
		if !ok || info.NARHash.RawBase16() != digest([]byte(archive)) || info.NARSize != int64(len(archive)) {
			t.Errorf("%s does not say what %s is", name, info.URL)
		}
		key, err := nix.ParsePublicKey(bundletest.Key(t, "k").Public().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := nix.VerifyNARInfo([]*nix.PublicKey{key}, &info, info.Sig[0]); err != nil {
			t.Error(err)
		}
	}
	if infos != 8 || len(files) != 1+2*infos {
		t.Errorf("%d narinfos, %d files", infos, len(files))
	}
}

func TestKnownBy(t *testing.T) {
	t.Parallel()
	good, other := bundletest.Key(t, "maker"), bundletest.Key(t, "other")
	// The same name with another key.
	forged, err := nixbundle.ParseSecretKey(strings.Replace(bundletest.KeyText("other"), "other:", "maker:", 1))
	if err != nil {
		t.Fatal(err)
	}
	signed, data := write(t, other, good)
	unsigned, _ := write(t)
	forgery, _ := write(t, forged)
	for _, row := range []struct {
		name   string
		source nixbundle.Source
		want   fault.Kind
		text   string
	}{
		{"key", nixbundle.Source{Location: signed, Key: good.Public()}, 0, ""},
		{"another key of it", nixbundle.Source{Location: signed, Key: other.Public()}, 0, ""},
		{"digest", nixbundle.Source{Location: signed, SHA256: digest(data)}, 0, ""},
		{"both", nixbundle.Source{Location: signed, SHA256: digest(data), Key: good.Public()}, 0, ""},
		{"no signature", nixbundle.Source{Location: unsigned, Key: good.Public()}, fault.Verify, "it has no signature"},
		{"a forgery", nixbundle.Source{Location: forgery, Key: good.Public()}, fault.Verify, "none of its signatures is by that key"},
		{"another digest", nixbundle.Source{Location: signed, SHA256: digest(nil)}, fault.Verify, "its sha256 is"},
		{"the key but another digest", nixbundle.Source{Location: signed, SHA256: digest(nil), Key: good.Public()}, fault.Verify, "its sha256 is"},
		{"nothing", nixbundle.Source{Location: signed}, fault.General, "neither a key nor a digest"},
		{"no file", nixbundle.Source{Location: signed + ".none", Key: good.Public()}, fault.Usage, "no such file"},
	} {
		row.source.Shown = row.source.Location
		o, err := row.source.Open(context.Background())
		if row.text != "" {
			if err == nil || fault.KindOf(err) != row.want || !strings.Contains(err.Error(), row.text) {
				t.Errorf("%s: %v", row.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		if n, err := readAll(o); err != nil || n != o.Head.Paths {
			t.Errorf("%s: %d paths, %v", row.name, n, err)
		}
		o.Close()
	}
}

// TestEveryByteCounts: whichever byte is changed or missing, a signed bundle is not opened, and an
// unsigned one is not either with the digest of what it was.
func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	key := bundletest.Key(t, "maker")
	file, data := write(t, key)
	open := func(bad []byte) error {
		if err := os.WriteFile(file, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		o, err := (&nixbundle.Source{Location: file, Shown: file, Key: key.Public()}).Open(context.Background())
		if err == nil {
			o.Close()
		}
		return err
	}
	if err := open(data); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(data); at += 1 + at/40 {
		bad := bytes.Clone(data)
		bad[at] ^= 1
		if err := open(bad); fault.KindOf(err) != fault.Verify {
			t.Errorf("byte %d changed: %v", at, err)
		}
		if err := open(data[:at]); fault.KindOf(err) != fault.Verify {
			t.Errorf("cut at %d: %v", at, err)
		}
	}
	if err := open(append(bytes.Clone(data), 0)); fault.KindOf(err) != fault.Verify {
		t.Errorf("something follows: %v", err)
	}
}

// TestChangedMeanwhile: what is read the second time must be what was checked.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	key := bundletest.Key(t, "maker")
	file, data := write(t, key)
	o, err := (&nixbundle.Source{Location: file, Shown: file, Key: key.Public()}).Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{data[len(data)-1] ^ 1}, int64(len(data)-1)); err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, o.Body())
	var format *nixbundle.FormatError
	if !errors.As(err, &format) {
		t.Errorf("it was read: %v", err)
	}
}

// TestOverHTTP: by key and by digest, with a server that knows about ranges and one that does not,
// and one that breaks off.
func TestOverHTTP(t *testing.T) {
	t.Parallel()
	key := bundletest.Key(t, "maker")
	_, data := write(t, key)
	evil := bytes.Clone(data)
	evil[len(evil)-1] ^= 1
	broken := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/ranges", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", long, bytes.NewReader(data))
	})
	mux.HandleFunc("/plain", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) })
	mux.HandleFunc("/evil", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", long, bytes.NewReader(evil))
	})
	mux.HandleFunc("/breaks", func(w http.ResponseWriter, r *http.Request) {
		if broken++; broken == 2 { // after the head
			w.Header().Set("Content-Length", "100000000")
			_, _ = w.Write(data[:len(data)/2])
			return
		}
		http.ServeContent(w, r, "", long, bytes.NewReader(data))
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, row := range []struct {
		path string
		key  *nixbundle.PublicKey
		sum  string
		ok   bool
	}{
		{"/ranges", key.Public(), "", true},
		{"/plain", key.Public(), "", true},
		{"/ranges", nil, digest(data), true},
		{"/plain", nil, digest(data), true},
		{"/evil", key.Public(), "", false},
		{"/evil", nil, digest(data), false},
		{"/ranges", bundletest.Key(t, "other").Public(), "", false},
		{"/none", key.Public(), "", false},
	} {
		s := nixbundle.Source{
			Location: server.URL + row.path, Shown: "the bundle", Key: row.key, SHA256: row.sum,
			CacheDir: t.TempDir(), Transport: http.DefaultTransport, Sink: event.Discard(),
		}
		o, err := s.Open(context.Background())
		if (err == nil) != row.ok {
			t.Errorf("%s: %v", row.path, err)
		}
		if err != nil {
			continue
		}
		if n, err := readAll(o); err != nil || n == 0 {
			t.Errorf("%s: %d paths, %v", row.path, n, err)
		}
		o.Close()
		// By its digest it is found in the cache, without asking anybody.
		if row.sum != "" {
			s.Transport = nobody{t}
			if a, err := s.Announce(context.Background()); err != nil || a.Head.Store != root+"/store" {
				t.Errorf("%s: again: %v", row.path, err)
			}
		}
	}
}

// nobody is reached by no request.
type nobody struct{ t *testing.T }

func (n nobody) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("%s was asked for", r.URL)
	return nil, errors.New("nobody is there")
}

// TestResumes: a transfer that broke off behind the head goes on where it was.
func TestResumes(t *testing.T) {
	t.Parallel()
	key := bundletest.Key(t, "maker")
	_, data := write(t, key)
	var ranges []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ranges = append(ranges, r.Header.Get("Range"))
		if len(ranges) == 2 {
			var to int
			for _, c := range strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-") {
				to = to*10 + int(c-'0')
			}
			w.Header().Set("Content-Range", "bytes "+r.Header.Get("Range")[6:]+strconv.Itoa(len(data)-1)+"/"+strconv.Itoa(len(data)))
			w.Header().Set("Content-Length", strconv.Itoa(len(data)-to))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(data[to : to+1000])
			return // and the connection breaks
		}
		http.ServeContent(w, r, "", long, bytes.NewReader(data))
	}))
	defer server.Close()
	s := nixbundle.Source{
		Location: server.URL + "/nix.bundle", Shown: "the bundle", Key: key.Public(),
		CacheDir: t.TempDir(), Transport: http.DefaultTransport, Sink: event.Discard(),
	}
	o, err := s.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if n, err := readAll(o); err != nil || n == 0 {
		t.Errorf("%d paths, %v", n, err)
	}
	if len(ranges) != 3 || ranges[1] == ranges[2] {
		t.Errorf("asked for %q", ranges)
	}
}
