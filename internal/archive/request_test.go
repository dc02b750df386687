package archive_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bootstrap/internal/archive"
	"bootstrap/internal/debtest"
	"bootstrap/internal/fault"
)

// between serves an archive whose first answers are those of first, and returns its options.
func between(t *testing.T, first func(n int64, w http.ResponseWriter, r *http.Request) bool) (*archive.Options, *atomic.Int64) {
	t.Helper()
	a := fixture(t)
	a.Publish()
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !first(n.Add(1), w, r) {
			a.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	o := options(a, server.URL)
	o.Sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	return o, &n
}

func TestOpenAsksAgain(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"429": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"cut": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"cut in the body": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("some"))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		"stalled before the reply": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"stalled in the body": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("some"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, n := between(t, func(n int64, w http.ResponseWriter, r *http.Request) bool {
				if n <= 2 {
					answer(w, r)
				}
				return n <= 2
			})
			o.Stall = 500 * time.Millisecond
			if _, err := archive.Open(t.Context(), o); err != nil || n.Load() != 3 {
				t.Errorf("%v after %d requests", err, n.Load())
			}
		})
	}
}

func TestOpenEndsAsking(t *testing.T) {
	for _, tt := range []struct {
		status int
		want   int64
	}{{http.StatusServiceUnavailable, 4}, {http.StatusNotFound, 1}, {http.StatusForbidden, 1}} {
		o, n := between(t, func(_ int64, w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(tt.status)
			return true
		})
		_, err := archive.Open(t.Context(), o)
		if err == nil || fault.HintOf(err) == "" || n.Load() != tt.want {
			t.Errorf("status %d: %v after %d requests, want %d", tt.status, err, n.Load(), tt.want)
		}
	}
}

// An index that was good once is not good for ever, Valid-Until or not.
func TestOpenRefusesAnOlderIndex(t *testing.T) {
	a := fixture(t)
	o := options(a, a.Serve())
	o.NotBefore = debtest.Date
	if _, err := archive.Open(t.Context(), o); err != nil {
		t.Errorf("of the same date: %v", err)
	}
	o.NotBefore = debtest.Date.Add(time.Second)
	_, err := archive.Open(t.Context(), o)
	if fault.KindOf(err) != fault.Verify || !strings.Contains(err.Error(), "is known") || fault.HintOf(err) == "" {
		t.Errorf("older: %v, hint %q", err, fault.HintOf(err))
	}
	o.AllowExpired = true
	if _, err := archive.Open(t.Context(), o); err != nil {
		t.Errorf("older, with leave: %v", err)
	}
}
