package fetch_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/event"
	"bootstrap/internal/fetch"
)

// leave puts a partial download into the cache, as a killed run does.
func (w *world) leave(t *testing.T, digest string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(w.part(digest)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.part(digest), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestResume(t *testing.T) {
	data := content(100_000)
	wrong := bytes.Repeat([]byte{1}, len(data))
	plain := func(w http.ResponseWriter, _ *http.Request) { w.Write(data) }
	partial := func(contentRange string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") == "" {
				plain(w, r)
				return
			}
			w.Header().Set("Content-Range", contentRange)
			w.WriteHeader(http.StatusPartialContent)
			w.Write(body)
		}
	}
	rest := data[60_000:]
	for _, row := range []struct {
		name   string
		part   []byte
		server http.HandlerFunc
		want   []string // the Range of each request
	}{
		{"the rest is asked for", data[:60_000], good(data), []string{"bytes=60000-"}},
		{"total not told", data[:60_000], partial("bytes 60000-99999/*", rest), []string{"bytes=60000-"}},
		{"200 to a range starts over", data[:60_000], plain, []string{"bytes=60000-"}},
		{"200 to a range drops what was wrong", wrong[:60_000], plain, []string{"bytes=60000-"}},
		{"other start", data[:60_000], partial("bytes 0-39999/100000", rest), []string{"bytes=60000-", ""}},
		{"other total", data[:60_000], partial("bytes 60000-99999/100001", rest), []string{"bytes=60000-", ""}},
		{"end beyond the file", data[:60_000], partial("bytes 60000-100000/*", rest), []string{"bytes=60000-", ""}},
		{"no Content-Range", data[:60_000], partial("", rest), []string{"bytes=60000-", ""}},
		{"416", data[:60_000], func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return
			}
			plain(w, r)
		}, []string{"bytes=60000-", ""}},
		{"less than asked for", data[:60_000], func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") == "bytes=60000-" {
				partial("bytes 60000-69999/100000", data[60_000:70_000])(w, r)
				return
			}
			good(data)(w, r)
		}, []string{"bytes=60000-", "bytes=70000-"}},
		{"wrong part", wrong[:60_000], good(data), []string{"bytes=60000-", ""}},
		{"complete part", data, good(data), nil},
		{"complete and wrong part", wrong, good(data), []string{""}},
		{"part too long", append(bytes.Clone(data), 0), good(data), []string{""}},
		{"empty part", nil, good(data), []string{""}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var mu sync.Mutex
			var ranges []string
			url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				ranges = append(ranges, r.Header.Get("Range"))
				mu.Unlock()
				row.server(w, r)
			})
			w := newWorld(t)
			file := fileOf(data, url)
			w.leave(t, file.SHA256, row.part)
			w.want(t, data)(w.Fetch(t.Context(), []fetch.File{file}))
			if diff := cmp.Diff(row.want, ranges); diff != "" {
				t.Errorf("ranges (-want +got):\n%s", diff)
			}
			events := w.events.of(event.Progress)
			if e := events[len(events)-1]; e.Done != e.Total {
				t.Errorf("the last event says %d of %d", e.Done, e.Total)
			}
			if got := w.tree(t); len(got) != 1 {
				t.Errorf("cache holds %q", got)
			}
		})
	}
}

func TestHalfAFileThenResumeElsewhere(t *testing.T) {
	data := content(100_000)
	cut, n := serve(t, reset(data, 50_000))
	var ranges []string
	fine, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		ranges = append(ranges, r.Header.Get("Range"))
		good(data)(w, r)
	})
	w := newWorld(t, func(o *fetch.Options) { o.Retries = -1 })
	file := fileOf(data, cut, fine)
	w.leave(t, file.SHA256, data[:10])
	w.want(t, data)(w.Fetch(t.Context(), []fetch.File{file}))
	if n.Load() != 1 || len(ranges) != 1 || ranges[0] == "" {
		t.Errorf("%d requests to the first, ranges %q to the second", n.Load(), ranges)
	}
}

func TestHeadwayRenewsTheAttempts(t *testing.T) {
	// A proxy that cuts every connection after 100 kB still delivers in the end.
	data := content(1_000_000)
	url, n := serve(t, func(w http.ResponseWriter, r *http.Request) {
		from := 0
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
		if from > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
			w.Header().Set("Content-Length", fmt.Sprint(len(data)-from))
			w.WriteHeader(http.StatusPartialContent)
		} else {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		}
		w.Write(data[from:min(from+100_000, len(data))])
		if from+100_000 < len(data) {
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	w := newWorld(t)
	w.want(t, data)(w.Fetch(t.Context(), []fetch.File{fileOf(data, url)}))
	if n.Load() < 10 {
		t.Errorf("%d requests", n.Load())
	}
}

func TestWrongPartIsThrownAwayForGood(t *testing.T) {
	data := content(100_000)
	wrong := bytes.Repeat([]byte{1}, len(data))
	url, n := serve(t, good(wrong))
	w := newWorld(t)
	file := fileOf(data, url)
	w.leave(t, file.SHA256, wrong[:10_000])
	_, err := w.Fetch(t.Context(), []fetch.File{file})
	var de *fetch.DigestError
	if !errors.As(err, &de) || de.Host == "" || n.Load() != 2 {
		t.Errorf("Fetch: %v after %d requests", err, n.Load())
	}
	if got := w.tree(t); len(got) != 0 {
		t.Errorf("cache holds %q", got)
	}
	if !slices.ContainsFunc(w.events.of(event.Warn), func(e event.Event) bool { return e.Text != "" }) {
		t.Error("no warning")
	}
}

func TestSymlinkAsPartIsNotFollowed(t *testing.T) {
	data := content(1000)
	url, _ := serve(t, good(data))
	file := fileOf(data, url)
	w := newWorld(t)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.leave(t, file.SHA256, nil)
	os.Remove(w.part(file.SHA256))
	if err := os.Symlink(victim, w.part(file.SHA256)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Fetch(t.Context(), []fetch.File{file}); err == nil {
		t.Error("Fetch wrote through a symlink")
	}
	if got, _ := os.ReadFile(victim); string(got) != "precious" {
		t.Errorf("the file behind the link holds %d other bytes", len(got))
	}
}
