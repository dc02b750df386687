package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/fetch"
)

func TestWrongBytes(t *testing.T) {
	data := content(1000)
	wrong := bytes.Repeat([]byte{9}, 1000)
	bad, n := serve(t, good(wrong))
	fine, _ := serve(t, good(data))
	host := strings.Split(bad, "/")[2]

	w := newWorld(t)
	w.want(t, data)(w.Fetch(t.Context(), []fetch.File{fileOf(data, bad, fine)}))
	if n.Load() != 1 || !w.events.warned(host, "wrong sha256", "next address") {
		t.Errorf("%d requests, warnings %v", n.Load(), w.events.of(event.Warn))
	}

	w = newWorld(t)
	notFound, _ := serve(t, status(404))
	broken, _ := serve(t, status(500))
	_, err := w.Fetch(t.Context(), []fetch.File{fileOf(data, bad, notFound, broken)})
	var de *fetch.DigestError
	if !errors.As(err, &de) || de.Host != host || de.Got != digestOf(wrong) || de.File.SHA256 != digestOf(data) {
		t.Fatalf("Fetch: %v", err)
	}
	if fault.KindOf(err) != fault.Verify || fault.HintOf(err) == "" {
		t.Errorf("kind %d, hint %q", fault.KindOf(err), fault.HintOf(err))
	}
	if n.Load() != 2 {
		t.Errorf("the wrong server was asked again: %d", n.Load())
	}
	if got := w.tree(t); len(got) != 0 {
		t.Errorf("cache holds %q", got)
	}
}

func TestWrongSize(t *testing.T) {
	data := content(100_000)
	long := append(bytes.Clone(data), 1, 2, 3)
	var sent atomic.Int64
	for _, row := range []struct {
		name   string
		server http.HandlerFunc
		got    int64
	}{
		{"announced too long", good(long), int64(len(long))},
		{"announced too short", good(data[:99]), 99},
		{"announced empty", good(nil), 0},
		{"chunked too long", func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			w.Write(long)
		}, int64(len(data)) + 1},
		{"endless", func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			for r.Context().Err() == nil {
				n, err := w.Write(data)
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		}, int64(len(data)) + 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			url, n := serve(t, row.server)
			w := newWorld(t)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err := w.Fetch(ctx, []fetch.File{fileOf(data, url)})
			var se *fetch.SizeError
			if !errors.As(err, &se) || se.Got != row.got || se.Host != strings.Split(url, "/")[2] {
				t.Fatalf("Fetch: %v", err)
			}
			if fault.KindOf(err) != fault.Verify || n.Load() != 1 {
				t.Errorf("kind %d after %d requests", fault.KindOf(err), n.Load())
			}
			if got := w.tree(t); len(got) != 0 {
				t.Errorf("cache holds %q", got)
			}
			if strings.Contains(err.Error(), ".invalid") {
				t.Errorf("the made-up address shows: %v", err)
			}
			fine, _ := serve(t, good(data))
			w.want(t, data)(w.Fetch(t.Context(), []fetch.File{fileOf(data, url, fine)}))
		})
	}
	if sent.Load() > 64<<20 {
		t.Errorf("took %d bytes of an endless body", sent.Load())
	}
}

func TestLoginPageInsteadOfTheFile(t *testing.T) {
	page := []byte("<html>please log in</html>")
	html := func(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/html; charset=utf-8") }
	for name, row := range map[string]struct {
		data   []byte
		server http.HandlerFunc
	}{
		"other size":     {content(1000), func(w http.ResponseWriter, _ *http.Request) { html(w); w.Write(page) }},
		"chunked":        {content(1000), func(w http.ResponseWriter, _ *http.Request) { html(w); w.(http.Flusher).Flush(); w.Write(page) }},
		"same size":      {content(len(page)), func(w http.ResponseWriter, _ *http.Request) { html(w); w.Write(page) }},
		"redirect to it": {content(1000), nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := row.server
			if h == nil {
				portal, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { html(w); fmt.Fprintf(w, "%s", page) })
				h = http.RedirectHandler(portal, http.StatusFound).ServeHTTP
			}
			url, n := serve(t, h)
			w := newWorld(t)
			_, err := w.Fetch(t.Context(), []fetch.File{fileOf(row.data, url)})
			if fault.KindOf(err) != fault.Verify || !strings.Contains(err.Error(), "web page") || n.Load() != 1 {
				t.Errorf("Fetch: %v after %d requests", err, n.Load())
			}
		})
	}
}

func TestCompressionInTransitIsLeftAlone(t *testing.T) {
	data := content(1000)
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("Accept-Encoding is %q", got)
		}
		w.Header().Set("Content-Encoding", "gzip") // as some servers say of every .gz
		w.Write(data)
	})
	w := newWorld(t, func(o *fetch.Options) { o.Transport = http.DefaultTransport })
	w.want(t, data)(w.Fetch(t.Context(), []fetch.File{fileOf(data, url)}))
}
