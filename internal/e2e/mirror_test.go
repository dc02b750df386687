//go:build e2e

package e2e_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"bootstrap/internal/debtest"
	"bootstrap/internal/lock"
)

// seedMirror serves the files of the seed from the cache, as a mirror of Debian does.
type seedMirror struct {
	files   map[string]string           // on this machine, by their paths on the mirror
	faults  map[string]http.HandlerFunc // what is answered instead
	archive http.Handler                // has everything else; nil for nothing

	mu    sync.Mutex
	asked []string
}

// newSeedMirror returns a mirror that has everything.
func (w *world) newSeedMirror(t *testing.T) *seedMirror {
	t.Helper()
	m := &seedMirror{files: map[string]string{}, faults: map[string]http.HandlerFunc{}}
	for _, e := range seedEntries(t) {
		m.files[e.Path] = w.cached(e.SHA256)
	}
	return m
}

// without makes the mirror not have some files.
func (m *seedMirror) without(gone []lock.Entry) *seedMirror {
	for _, e := range gone {
		m.faults[e.Path] = http.NotFound
	}
	return m
}

// broken makes the mirror answer for some files in another way.
func (m *seedMirror) broken(entries []lock.Entry, how http.HandlerFunc) *seedMirror {
	for _, e := range entries {
		m.faults[e.Path] = how
	}
	return m
}

// serve returns the mirror's address; it answers until the test ends.
func (m *seedMirror) serve(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	return server.URL
}

// ServeHTTP answers as the files and faults say.
func (m *seedMirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	m.mu.Lock()
	m.asked = append(m.asked, path)
	m.mu.Unlock()
	switch file := m.files[path]; {
	case m.faults[path] != nil:
		m.faults[path](w, r)
	case file != "":
		http.ServeFile(w, r, file)
	case m.archive != nil:
		m.archive.ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

// wasAsked reports whether anybody wanted the file of an entry.
func (m *seedMirror) wasAsked(e lock.Entry) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.asked, e.Path)
}

func serverError(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "out of order", http.StatusInternalServerError)
}

// half announces all of a file and ends the connection in the middle.
func (m *seedMirror) half(w http.ResponseWriter, r *http.Request) {
	data, err := os.ReadFile(m.files[strings.TrimPrefix(r.URL.Path, "/")])
	if err == nil {
		r.Header.Del("Range")
		http.ServeContent(&cutWriter{ResponseWriter: w, left: len(data) / 2}, r, "", fileTime, bytes.NewReader(data))
	}
	panic(http.ErrAbortHandler)
}

// wrong sends as many bytes as it should, one of them another.
func (m *seedMirror) wrong(w http.ResponseWriter, r *http.Request) {
	data, err := os.ReadFile(m.files[strings.TrimPrefix(r.URL.Path, "/")])
	if err != nil {
		serverError(w, r)
		return
	}
	data[len(data)/2] ^= 1
	http.ServeContent(w, r, "", fileTime, bytes.NewReader(data))
}

// endless sends zeros for as long as anybody listens.
func endless(w http.ResponseWriter, _ *http.Request) {
	block := make([]byte, 1<<16)
	for {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

var fileTime = debtest.Date

// cutWriter passes on so many bytes of a reply, and no more.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (c *cutWriter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p[:min(len(p), c.left)])
	c.left -= n
	if err == nil && c.left == 0 {
		c.ResponseWriter.(http.Flusher).Flush()
		err = io.ErrShortWrite
	}
	return n, err
}

// cacheWithout returns a cache that has all of the seed but some entries.
func (w *world) cacheWithout(t *testing.T, gone []lock.Entry) string {
	t.Helper()
	dir, err := os.MkdirTemp(w.dir, "cache-")
	if err != nil {
		t.Fatal(err)
	}
	w.mkdir(t, dir)
	for _, e := range seedEntries(t) {
		if slices.ContainsFunc(gone, func(g lock.Entry) bool { return g.SHA256 == e.SHA256 }) {
			continue
		}
		name := filepath.Join(dir, "sha256", e.SHA256[:2], e.SHA256)
		w.mkdir(t, filepath.Dir(filepath.Dir(name)))
		w.mkdir(t, filepath.Dir(name))
		if err := os.Link(w.cached(e.SHA256), name); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
