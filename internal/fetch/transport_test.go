package fetch_test

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bootstrap/internal/fault"
	"bootstrap/internal/fetch"
)

func TestJoinURL(t *testing.T) {
	for _, row := range []struct{ base, path, want string }{
		{"http://example.org/debian", "pool/main/h/hello/hello_2.10-3_amd64.deb", "http://example.org/debian/pool/main/h/hello/hello_2.10-3_amd64.deb"},
		{"http://example.org/debian/", "/pool/x", "http://example.org/debian/pool/x"},
		{"http://example.org", "pool/g++_12~rc1+b1.deb", "http://example.org/pool/g++_12~rc1+b1.deb"},
		{"http://example.org", "x_1%3a2.deb", "http://example.org/x_1%253a2.deb"},
		{"http://example.org", "x_1:2.deb", "http://example.org/x_1:2.deb"},
		{"http://example.org", "a b?c#d/é", "http://example.org/a%20b%3Fc%23d/%C3%A9"},
	} {
		if got := fetch.JoinURL(row.base, row.path); got != row.want {
			t.Errorf("JoinURL(%q, %q) = %q, want %q", row.base, row.path, got, row.want)
		}
	}
}

func TestJoinURLReachesTheFile(t *testing.T) {
	data := content(10)
	var got string
	addr, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.URL.Path
		good(data)(w, r)
	})
	base := strings.TrimSuffix(addr, "/pool/x.deb")
	for _, path := range []string{
		"pool/main/g/gcc-14/libstdc++6_14.2.0-19_amd64.deb",
		"pool/main/x/x_1.0~rc1+dfsg-1+b2_amd64.deb",
		"pool/x_1%3a2.0_amd64.deb",
		"pool/x_1:2.0_amd64.deb",
		"pool/100%/a b;c,d=e&f@g!$'()*",
	} {
		w := newWorld(t)
		w.want(t, data)(w.Fetch(t.Context(), []fetch.File{fileOf(data, fetch.JoinURL(base, path))}))
		if got != "/"+path {
			t.Errorf("the server was asked for %q, want %q", got, "/"+path)
		}
	}
}

func TestTransportTrustsTheCertificateFile(t *testing.T) {
	data := content(10)
	s := httptest.NewUnstartedServer(good(data))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}

	w := newWorld(t)
	_, err := w.Fetch(t.Context(), []fetch.File{fileOf(data, s.URL)})
	if err == nil || !strings.Contains(fault.HintOf(err), "--ca-cert") || len(w.slept) != 0 {
		t.Errorf("unknown authority: %v, hint %q, waits %v", err, fault.HintOf(err), w.slept)
	}

	for _, o := range []fetch.TransportOptions{{CACertFile: file}, {Kept: file}, {CACertFile: file, Kept: file + ".missing"}} {
		tr, err := fetch.NewTransport(o)
		if err != nil {
			t.Fatal(err)
		}
		w = newWorld(t, func(o *fetch.Options) { o.Transport = tr })
		w.want(t, data)(w.Fetch(t.Context(), []fetch.File{fileOf(data, s.URL)}))
	}
}

// TestKeptCertificates: what was kept is of use where it can be read, and else no error.
func TestKeptCertificates(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kept")
	for _, text := range []string{"", "no certificate"} {
		if text != "" {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		tr, err := fetch.NewTransport(fetch.TransportOptions{Kept: file})
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if named := tr.TLSClientConfig.RootCAs != nil; named != (text != "") {
			t.Errorf("%q: authorities of its own: %t", text, named)
		}
	}
}

func TestBadCertificateFile(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{empty, empty + ".missing"} {
		_, err := fetch.NewTransport(fetch.TransportOptions{CACertFile: path})
		if fault.KindOf(err) != fault.Usage || fault.HintOf(err) == "" || !strings.Contains(err.Error(), path) {
			t.Errorf("NewTransport(%q): %v", path, err)
		}
	}
}

func TestProxy(t *testing.T) {
	data := content(10)
	var asked string
	proxy, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.String()
		good(data)(w, r)
	})
	through := func(raw string) *http.Transport {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := fetch.NewTransport(fetch.TransportOptions{Proxy: http.ProxyURL(u)})
		if err != nil {
			t.Fatal(err)
		}
		return tr
	}
	const address = "http://mirror.example.org/pool/x.deb"
	w := newWorld(t, func(o *fetch.Options) { o.Transport = through(proxy) })
	w.want(t, data)(w.Fetch(t.Context(), []fetch.File{fileOf(data, address)}))
	if asked != address {
		t.Errorf("the proxy was asked for %q", asked)
	}

	dead := httptest.NewServer(nil)
	dead.Close()
	w = newWorld(t, func(o *fetch.Options) { o.Transport = through(dead.URL) })
	_, err := w.Fetch(t.Context(), []fetch.File{fileOf(data, address)})
	if err == nil || !strings.Contains(fault.HintOf(err), "HTTPS_PROXY") {
		t.Errorf("dead proxy: %v, hint %q", err, fault.HintOf(err))
	}
}
