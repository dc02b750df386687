package fetch_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/fetch"
)

// recorder is a sink that keeps everything.
type recorder struct {
	mu     sync.Mutex
	events []event.Event
}

func (r *recorder) Emit(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) of(kind event.Kind) []event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.events), func(e event.Event) bool { return e.Kind != kind })
}

// warned reports whether one warning holds all the words.
func (r *recorder) warned(words ...string) bool {
	return slices.ContainsFunc(r.of(event.Warn), func(e event.Event) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(e.Text, w) })
	})
}

// world is a fetcher with an empty cache, whose sleeps take no time.
type world struct {
	*fetch.Fetcher
	dir    string
	events recorder
	mu     sync.Mutex
	slept  []time.Duration
}

func newWorld(t *testing.T, change ...func(*fetch.Options)) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	o := fetch.Options{
		CacheDir: w.dir,
		Sink:     &w.events,
		Stage:    "fetch",
		Stall:    5 * time.Second,
		Sleep: func(ctx context.Context, d time.Duration) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.slept = append(w.slept, d)
			return ctx.Err()
		},
	}
	for _, f := range change {
		f(&o)
	}
	w.dir = o.CacheDir
	f, err := fetch.New(o)
	if err != nil {
		t.Fatal(err)
	}
	w.Fetcher = f
	return w
}

func (w *world) path(digest string) string { return filepath.Join(w.dir, "sha256", digest[:2], digest) }
func (w *world) part(digest string) string { return filepath.Join(w.dir, "tmp", digest+".part") }

// tree lists the regular files of the cache.
func (w *world) tree(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(w.dir, path)
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// content returns n bytes that are the same each time.
func content(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(i*7 + i>>8)
	}
	return out
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func fileOf(data []byte, urls ...string) fetch.File {
	return fetch.File{SHA256: digestOf(data), Size: int64(len(data)), Name: "pool/x.deb", URLs: urls}
}

// serve starts a server and returns an address on it, and the number of its requests.
func serve(t *testing.T, h http.HandlerFunc) (string, *atomic.Int64) {
	t.Helper()
	n := new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		h(w, r)
	}))
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	return s.URL + "/pool/x.deb", n
}

// good serves data, with ranges.
func good(data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "x.deb", time.Time{}, bytes.NewReader(data))
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// want checks a success: the paths, and the bytes at them.
func (w *world) want(t *testing.T, datas ...[]byte) func(map[string]string, error) {
	t.Helper()
	return func(got map[string]string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("Fetch: %v", err)
		}
		want := map[string]string{}
		for _, data := range datas {
			want[digestOf(data)] = w.path(digestOf(data))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("paths (-want +got):\n%s", diff)
		}
		for _, data := range datas {
			read, err := os.ReadFile(got[digestOf(data)])
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(read, data) {
				t.Fatalf("content differs: %d bytes, want %d", len(read), len(data))
			}
		}
	}
}

func TestFetchManyFilesAndUseTheCacheNextTime(t *testing.T) {
	w := newWorld(t)
	var files []fetch.File
	var datas [][]byte
	all := map[string][]byte{}
	url, requests := serve(t, func(rw http.ResponseWriter, r *http.Request) { good(all[r.URL.Path])(rw, r) })
	base := strings.TrimSuffix(url, "/pool/x.deb")
	for i := range 20 {
		data := content(1000 + i)
		path := fmt.Sprintf("/pool/%d.deb", i)
		all[path] = data
		datas = append(datas, data)
		files = append(files, fileOf(data, base+path))
	}
	files = append(files, files[0])

	n, size := w.Missing(files)
	if n != 20 || size != 20*1000+190 {
		t.Errorf("Missing = %d files, %d bytes", n, size)
	}
	w.want(t, datas...)(w.Fetch(t.Context(), files))
	if n, size = w.Missing(files); n != 0 || size != 0 {
		t.Errorf("Missing after Fetch = %d files, %d bytes", n, size)
	}
	for _, name := range w.tree(t) {
		if strings.HasPrefix(name, "tmp/") {
			t.Errorf("left behind: %s", name)
		}
	}
	if fi, err := os.Stat(filepath.Join(w.dir, "tmp")); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("tmp: %v, %v", fi.Mode(), err)
	}

	again := newWorld(t, func(o *fetch.Options) { o.CacheDir = w.dir })
	again.want(t, datas...)(again.Fetch(t.Context(), files))
	if got := requests.Load(); got != 20 {
		t.Errorf("%d requests, want 20", got)
	}
	last := again.events.of(event.Progress)
	if e := last[len(last)-1]; e.Done != 20190 || e.Total != 20190 || e.Unit != event.Bytes || e.Stage != "fetch" {
		t.Errorf("last progress is %+v", e)
	}
}

func TestNoMoreThanParallelAtATime(t *testing.T) {
	w := newWorld(t, func(o *fetch.Options) { o.Parallel = 3 })
	var now, most atomic.Int64
	url, _ := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(20 * time.Millisecond)
		var i int
		fmt.Sscanf(filepath.Base(r.URL.Path), "%d", &i)
		good(content(100+i))(rw, r)
	})
	var files []fetch.File
	for i := range 12 {
		files = append(files, fileOf(content(100+i), strings.Replace(url, "x.deb", fmt.Sprint(i), 1)))
	}
	if _, err := w.Fetch(t.Context(), files); err != nil {
		t.Fatal(err)
	}
	if got := most.Load(); got != 3 {
		t.Errorf("%d at a time, want 3", got)
	}
}

func TestProgressIsThrottledAndEndsAtTheTotal(t *testing.T) {
	w := newWorld(t)
	data := content(40 * 1024)
	url, _ := serve(t, func(rw http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(data); i += 1024 {
			rw.Write(data[i : i+1024])
			rw.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	})
	w.want(t, data)(w.Fetch(t.Context(), []fetch.File{fileOf(data, url)}))
	events := w.events.of(event.Progress)
	if n := len(events); n < 3 || n > 15 {
		t.Errorf("%d events in about 0.4 s", n)
	}
	for i, e := range events[1:] {
		if e.Done < events[i].Done || e.Total != int64(len(data)) {
			t.Errorf("event %d: %d of %d after %d", i+1, e.Done, e.Total, events[i].Done)
		}
	}
	if e := events[len(events)-1]; e.Done != e.Total {
		t.Errorf("the last event says %d of %d", e.Done, e.Total)
	}
}

func TestAddressesReachTheServerAsTheyAre(t *testing.T) {
	w := newWorld(t)
	data := content(10)
	var got string
	url, _ := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		got = r.RequestURI
		good(data)(rw, r)
	})
	// go-getter would read each of these as an order of its own.
	const path = "/a//b/x.tar.gz?archive=zip&checksum=md5:00&z=1&a=2"
	w.want(t, data)(w.Fetch(t.Context(), []fetch.File{fileOf(data, strings.TrimSuffix(url, "/pool/x.deb")+path)}))
	if got != path {
		t.Errorf("asked for %q, want %q", got, path)
	}
}

func TestUnknownSize(t *testing.T) {
	data := content(5000)
	url, _ := serve(t, good(data))
	file := fetch.File{SHA256: digestOf(data), Name: "nix", URLs: []string{url}}
	w := newWorld(t)
	w.want(t, data)(w.Fetch(t.Context(), []fetch.File{file}))
	w.want(t, data)(w.Fetch(t.Context(), []fetch.File{file}))

	small := newWorld(t, func(o *fetch.Options) { o.MaxBytes = 4999 })
	_, err := small.Fetch(t.Context(), []fetch.File{file})
	var size *fetch.SizeError
	if !errors.As(err, &size) {
		t.Errorf("above MaxBytes: %v", err)
	}
}

func TestBadRequests(t *testing.T) {
	if _, err := fetch.New(fetch.Options{CacheDir: "relative"}); fault.KindOf(err) != fault.Usage {
		t.Errorf("relative cache: %v", err)
	}
	data := content(5)
	digest := digestOf(data)
	for name, files := range map[string][]fetch.File{
		"no digest":         {{Size: 1, URLs: []string{"http://example.org/"}}},
		"upper-case digest": {{SHA256: strings.ToUpper(digest), Size: 1}},
		"path as digest":    {{SHA256: "../" + digest[3:], Size: 1}},
		"negative size":     {{SHA256: digest, Size: -1}},
		"two sizes":         {{SHA256: digest, Size: 1}, {SHA256: digest, Size: 2}},
		"file URL":          {{SHA256: digest, Size: 1, URLs: []string{"file:///etc/passwd"}}},
		"forced getter":     {{SHA256: digest, Size: 1, URLs: []string{"git::http://example.org/x"}}},
		"no host":           {{SHA256: digest, Size: 1, URLs: []string{"http:///x"}}},
		"broken URL":        {{SHA256: digest, Size: 1, URLs: []string{"http://u:secret@[::1/x"}}},
		"nowhere":           {{SHA256: digest, Size: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, err := w.Fetch(t.Context(), files)
			if err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("Fetch: %v", err)
			}
			if got := w.tree(t); len(got) != 0 {
				t.Errorf("cache holds %q", got)
			}
		})
	}
}
