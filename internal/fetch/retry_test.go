package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/fetch"
)

// inTurn answers the n-th request with the n-th handler, and the rest with the last.
func inTurn(hs ...http.HandlerFunc) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		hs[min(int(n.Add(1)), len(hs))-1](w, r)
	}
}

// reset cuts the connection after the first n bytes of data.
func reset(data []byte, n int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if n > 0 {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			w.Write(data[:n])
			w.(http.Flusher).Flush()
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
}

func TestGone(t *testing.T) {
	data := content(100)
	notFound, n := serve(t, status(404))
	gone, _ := serve(t, status(410))
	fine, _ := serve(t, good(data))

	w := newWorld(t)
	w.want(t, data)(w.Fetch(t.Context(), []fetch.File{fileOf(data, notFound, gone, fine)}))
	if n.Load() != 1 || len(w.slept) != 0 {
		t.Errorf("404 was asked %d times, with waits %v", n.Load(), w.slept)
	}

	// The complete list, sorted, and what is not gone all the same.
	w = newWorld(t)
	files := []fetch.File{fileOf(data, fine)}
	for _, name := range []string{"d", "a", "c", "b"} {
		f := fileOf([]byte(name), notFound, gone)
		f.Name = name
		files = append(files, f)
	}
	got, err := w.Fetch(t.Context(), files)
	var ge *fetch.GoneError
	if !errors.As(err, &ge) {
		t.Fatalf("Fetch: %v", err)
	}
	var names []string
	for _, f := range ge.Files {
		names = append(names, f.Name)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "d"}, names); diff != "" {
		t.Errorf("gone (-want +got):\n%s", diff)
	}
	if want := `fetch "a", "b", "c" and 1 more: gone from every mirror (404)`; err.Error() != want {
		t.Errorf("text %q, want %q", err, want)
	}
	if fault.KindOf(err) != fault.General || fault.HintOf(err) == "" {
		t.Errorf("kind %d, hint %q", fault.KindOf(err), fault.HintOf(err))
	}
	w.want(t, data)(got, nil)
}

func TestGoneIsNotUnreachable(t *testing.T) {
	notFound, _ := serve(t, status(404))
	broken, _ := serve(t, status(500))
	w := newWorld(t)
	_, err := w.Fetch(t.Context(), []fetch.File{fileOf(content(5), notFound, broken)})
	var ge *fetch.GoneError
	if err == nil || errors.As(err, &ge) || !strings.Contains(err.Error(), "500 Internal Server Error") {
		t.Errorf("Fetch: %v", err)
	}
}

func TestRetried(t *testing.T) {
	data := content(2000)
	for name, first := range map[string]http.HandlerFunc{
		"500":                    status(500),
		"502":                    status(502),
		"429":                    status(429),
		"408":                    status(408),
		"reset before the reply": reset(nil, 0),
		"reset in the body":      reset(data, 700),
		"chunked, ended early":   func(w http.ResponseWriter, _ *http.Request) { w.Write(data[:10]); w.(http.Flusher).Flush() },
	} {
		t.Run(name, func(t *testing.T) {
			url, n := serve(t, inTurn(first, good(data)))
			w := newWorld(t)
			w.want(t, data)(w.Fetch(t.Context(), []fetch.File{fileOf(data, url)}))
			if n.Load() != 2 || len(w.slept) != 1 {
				t.Errorf("%d requests, waits %v", n.Load(), w.slept)
			}
			if host := strings.Split(url, "/")[2]; !w.events.warned(host, "pool/x.deb", "attempt 2 of 5") {
				t.Errorf("warnings: %v", w.events.of(event.Warn))
			}
		})
	}
}

func TestBackOffGrowsAndEnds(t *testing.T) {
	url, n := serve(t, status(503))
	w := newWorld(t)
	_, err := w.Fetch(t.Context(), []fetch.File{fileOf(content(5), url)})
	if fault.KindOf(err) != fault.General || !strings.Contains(err.Error(), "503") ||
		!strings.Contains(fault.HintOf(err), "--mirror") || !strings.Contains(fault.HintOf(err), "proxy") {
		t.Errorf("Fetch: %v, hint %q", err, fault.HintOf(err))
	}
	if n.Load() != 5 || len(w.slept) != 4 {
		t.Fatalf("%d requests, waits %v", n.Load(), w.slept)
	}
	for i, d := range w.slept {
		most := 500 * time.Millisecond << i
		if d < most/2 || d > most {
			t.Errorf("wait %d is %v, want %v to %v", i, d, most/2, most)
		}
	}
}

func TestRetryAfterIsHonouredAndBounded(t *testing.T) {
	data := content(5)
	for value, want := range map[string]time.Duration{
		"7":                             7 * time.Second,
		"86400":                         time.Minute,
		"Wed, 21 Oct 2015 07:28:30 GMT": 30 * time.Second,
		"Wed, 21 Oct 2015 07:27:00 GMT": 0,
		"soon":                          0,
		"-5":                            0,
	} {
		t.Run(value, func(t *testing.T) {
			url, _ := serve(t, inTurn(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", "Wed, 21 Oct 2015 07:28:00 GMT")
				w.Header().Set("Retry-After", value)
				w.WriteHeader(503)
			}, good(data)))
			w := newWorld(t)
			w.want(t, data)(w.Fetch(t.Context(), []fetch.File{fileOf(data, url)}))
			if len(w.slept) != 1 || want > 0 && w.slept[0] != want || w.slept[0] > max(want, 500*time.Millisecond) {
				t.Errorf("waits %v, want %v", w.slept, want)
			}
		})
	}
}

func TestNotRetried(t *testing.T) {
	data := content(5)
	fine, _ := serve(t, good(data))
	var self string
	loop, n := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, self, http.StatusFound) })
	self = loop
	plain, _ := serve(t, good(data))
	tls := httptest.NewTLSServer(http.RedirectHandler(plain, http.StatusFound))
	t.Cleanup(tls.Close)
	odd, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "ftp://x/y")
		w.WriteHeader(302)
	})
	forbidden, _ := serve(t, status(403))
	proxy, _ := serve(t, status(407))

	for _, row := range []struct {
		name, url, reason, hint string
	}{
		{"redirect loop", loop, "more than 10 redirects", "--mirror"},
		{"https to http", tls.URL, "redirect from https to http", "--mirror"},
		{"redirect to ftp", odd, `redirect to scheme "ftp"`, "--mirror"},
		{"403", forbidden, "403 Forbidden", "--mirror"},
		{"407", proxy, "407 Proxy Authentication Required", "HTTPS_PROXY"},
	} {
		t.Run(row.name, func(t *testing.T) {
			trusting := func(o *fetch.Options) { o.Transport = tls.Client().Transport }
			w := newWorld(t, trusting)
			_, err := w.Fetch(t.Context(), []fetch.File{fileOf(data, row.url)})
			if err == nil || !strings.Contains(err.Error(), row.reason) || !strings.Contains(fault.HintOf(err), row.hint) {
				t.Errorf("Fetch: %v, hint %q", err, fault.HintOf(err))
			}
			if len(w.slept) != 0 {
				t.Errorf("retried after %v", w.slept)
			}
			w = newWorld(t, trusting)
			w.want(t, data)(w.Fetch(t.Context(), []fetch.File{fileOf(data, row.url, fine)}))
		})
	}
	if n.Load() != 22 {
		t.Errorf("the loop was asked %d times, want 11 in each of two runs", n.Load())
	}
}

func TestRedirectIsFollowed(t *testing.T) {
	data := content(50)
	url, _ := serve(t, good(data))
	from, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, url, http.StatusFound) })
	relative, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/pool/x.deb" {
			w.Header().Set("Location", "other")
			w.WriteHeader(301)
			return
		}
		good(data)(w, r)
	})
	for _, u := range []string{from, relative} {
		w := newWorld(t)
		w.want(t, data)(w.Fetch(t.Context(), []fetch.File{fileOf(data, u)}))
	}
}

func TestStalledTransferIsCut(t *testing.T) {
	data := content(2000)
	quick := func(o *fetch.Options) { o.Stall = 100 * time.Millisecond }
	hang := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, first := range map[string]http.HandlerFunc{
		"before the reply": hang,
		"in the body": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "2000")
			w.Write(data[:500])
			w.(http.Flusher).Flush()
			hang(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			url, n := serve(t, inTurn(first, good(data)))
			w := newWorld(t, quick)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			w.want(t, data)(w.Fetch(ctx, []fetch.File{fileOf(data, url)}))
			if n.Load() != 2 || !w.events.warned("no byte for 100ms", "attempt 2 of 5") {
				t.Errorf("%d requests, warnings %v", n.Load(), w.events.of(event.Warn))
			}
		})
	}
	t.Run("slow but alive", func(t *testing.T) {
		url, n := serve(t, func(w http.ResponseWriter, r *http.Request) {
			for i := range 10 {
				w.Write(data[i*200 : i*200+200])
				w.(http.Flusher).Flush()
				time.Sleep(30 * time.Millisecond)
			}
		})
		w := newWorld(t, func(o *fetch.Options) { o.Stall = 250 * time.Millisecond })
		w.want(t, data)(w.Fetch(t.Context(), []fetch.File{fileOf(data, url)}))
		if n.Load() != 1 {
			t.Errorf("%d requests", n.Load())
		}
	})
}

func TestCancelKeepsThePart(t *testing.T) {
	data := content(100_000)
	url, _ := serve(t, inTurn(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Write(data[:60_000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}, good(data)))
	file := fileOf(data, url)
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	var cancelled time.Time
	go func() {
		for ctx.Err() == nil {
			if fi, err := os.Stat(w.part(file.SHA256)); err == nil && fi.Size() == 60_000 {
				cancelled = time.Now()
				cancel()
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	_, err := w.Fetch(ctx, []fetch.File{file})
	if took := time.Since(cancelled); took > time.Second {
		t.Errorf("it took %v to stop", took)
	}
	if !errors.Is(err, context.Canceled) || fault.KindOf(err) != fault.Interrupted || fault.HintOf(err) == "" {
		t.Errorf("Fetch: %v", err)
	}
	if read, _ := os.ReadFile(w.part(file.SHA256)); !bytes.Equal(read, data[:60_000]) {
		t.Errorf("the part has %d bytes", len(read))
	}
	w.want(t, data)(w.Fetch(t.Context(), []fetch.File{file}))
}

func TestCancelEndsAWait(t *testing.T) {
	url, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(503)
	})
	ctx, cancel := context.WithCancel(t.Context())
	w := newWorld(t, func(o *fetch.Options) {
		o.Sleep = nil // the real one
		o.Sink = event.Func(func(e event.Event) {
			if e.Kind == event.Warn {
				time.AfterFunc(10*time.Millisecond, cancel)
			}
		})
	})
	start := time.Now()
	_, err := w.Fetch(ctx, []fetch.File{fileOf(content(5), url)})
	if !errors.Is(err, context.Canceled) || time.Since(start) > 5*time.Second {
		t.Errorf("Fetch: %v after %v", err, time.Since(start))
	}
}

func TestNobodyListens(t *testing.T) {
	s := httptest.NewServer(nil)
	url := "http://user:secret@" + strings.TrimPrefix(s.URL, "http://") + "/x"
	s.Close()
	w := newWorld(t)
	_, err := w.Fetch(t.Context(), []fetch.File{fileOf(content(5), url)})
	if err == nil || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "user") {
		t.Errorf("Fetch: %v", err)
	}
	for _, e := range w.events.of(event.Warn) {
		if strings.Contains(e.Text, "user") || strings.Contains(e.Text, "secret") {
			t.Errorf("a warning shows the login: %s", e.Text)
		}
	}
	if len(w.slept) != 4 {
		t.Errorf("waits %v", w.slept)
	}
}
