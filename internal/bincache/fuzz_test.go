package bincache_test

import (
	"bytes"
	"io"
	"net/http"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"bootstrap/internal/bincache"

	"github.com/google/go-cmp/cmp"
	"zombiezen.com/go/nix"
)

// answers is a server that has a text for each name, and one for all others.
type answers struct {
	named map[string]string
	other []byte
}

func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	text := a.other
	if named, ok := a.named[path.Base(req.URL.Path)]; ok {
		text = []byte(named)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(text)), Request: req,
	}, nil
}

// answering opens a cache that answers everything but the question who it is by one text.
func answering(t *testing.T, key *bincache.Key, text []byte) *bincache.Cache {
	o := options("http://cache.test", key)
	o.Transport = answers{map[string]string{"nix-cache-info": "StoreDir: " + store + "\n"}, text}
	return open(t, o)
}

// FuzzCacheInfo: who says anything else than the store directory is no cache of it.
func FuzzCacheInfo(f *testing.F) {
	f.Add([]byte("StoreDir: " + store + "\nWantMassQuery: 1\nPriority: 30\n"))
	f.Add([]byte("StoreDir: /nix/store\n"))
	f.Add([]byte("StoreDir:\nStoreDir: " + store + "\r\n"))
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, text []byte) {
		o := options("http://cache.test", nil)
		o.Transport = answers{other: text}
		if c, err := bincache.Open(t.Context(), o); err == nil && (c.New || !strings.Contains(string(text), store)) {
			t.Errorf("%q is taken for a cache", text)
		}
	})
}

// FuzzInfo: a narinfo names nothing outside of the cache, and what it says counts only as it was signed.
func FuzzInfo(f *testing.F) {
	key, secret, err := nix.GenerateKey("cache.test-1", nil)
	if err != nil {
		f.Fatal(err)
	}
	hash := nix.NewHash(nix.SHA256, make([]byte, 32))
	info := &nix.NARInfo{
		StorePath: hello, URL: "nar/x.nar.zst", Compression: nix.Zstandard, FileHash: hash, FileSize: 7,
		NARHash: hash, NARSize: 120, References: []nix.StorePath{libc},
	}
	sig, err := nix.SignNARInfo(secret, info)
	if err != nil {
		f.Fatal(err)
	}
	info.AddSignatures(sig)
	good, err := info.MarshalText()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(bytes.Replace(good, []byte("nar/x"), []byte("nar/../../x"), 1))
	f.Add(bytes.Replace(good, []byte("NarSize: 120"), []byte("NarSize: 121"), 1))
	f.Add(bytes.Replace(good, []byte("References: "), []byte("References: x "), 1))
	f.Add(append(bytes.Clone(good), good...))
	f.Fuzz(func(t *testing.T, text []byte) {
		if o, err := answering(t, nil, text).Object(t.Context(), hello); err == nil {
			inside, err := filepath.Rel("nar", o.FileName)
			if err != nil || !filepath.IsLocal(inside) || len(o.File().SHA256) != 64 || o.File().Size <= 0 || o.Path != hello {
				t.Errorf("%q: %+v", text, o)
			}
		}
		if o, err := answering(t, key, text).Object(t.Context(), hello); err == nil {
			if diff := cmp.Diff([]string{libc}, o.References); diff != "" || o.NarSize != 120 {
				t.Errorf("%q: %d bytes, references -signed +got\n%s", text, o.NarSize, diff)
			}
		}
	})
}

// FuzzRecord: whatever a record says, it is of what was asked for, and names store paths alone.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"version":1,"store":"` + store + `","stage":"native","key":"k","outputs":{"nix":"` + hello + `"}}`))
	f.Add([]byte(`{"version":1,"store":"` + store + `","stage":"native","key":"k","outputs":{"nix":"` + store + `/../x"}}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := answering(t, nil, text).Record(t.Context(), "native", "k")
		if err != nil {
			return
		}
		for name, out := range r.Outputs {
			if filepath.Dir(out) != store || filepath.Clean(out) != out || r.Stage != "native" || r.Key != "k" {
				t.Errorf("%q: %s is %q", text, name, out)
			}
		}
	})
}
