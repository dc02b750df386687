package substitute_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"bootstrap/internal/substitute"
)

// serve answers with what a path names: its length announced, or not, or announced wrongly.
func serve(t *testing.T) (address string, s *substitute.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("0123456789"), 50_000)
	s = substitute.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/announced":
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			_, _ = io.Copy(w, bytes.NewReader(body))
		case "/held":
			_, _ = w.Write(body)
		case "/nothing":
		case "/short":
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			_, _ = w.Write(body[:100])
		case "/long":
			w.Header().Set("Content-Length", "10")
			if _, err := w.Write(body[:100]); !errors.Is(err, http.ErrContentLength) {
				t.Errorf("more than was announced: %v", err)
			}
			_, _ = w.Write(body[:10])
		default:
			http.Error(w, "no such thing", http.StatusNotFound)
		}
	}), time.Now)
	return l.Addr().String(), s
}

func TestServer(t *testing.T) {
	t.Parallel()
	address, s := serve(t)
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	for _, method := range []string{"GET", "HEAD"} {
		for _, tt := range []struct {
			path   string
			code   int
			length int64
			cut    bool
		}{{"announced", 200, 500_000, false}, {"held", 200, 500_000, false}, {"nothing", 200, 0, false}, {"else", 404, 14, false}, {"short", 200, 500_000, true}, {"long", 200, 10, false}} {
			req, err := http.NewRequest(method, "http://"+address+"/"+tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			reply, err := client.Do(req)
			if err != nil {
				t.Fatalf("%s %s: %v", method, tt.path, err)
			}
			n, err := io.Copy(io.Discard, reply.Body)
			reply.Body.Close()
			want := tt.length
			if method == "HEAD" {
				want, tt.cut = 0, false
			}
			if reply.StatusCode != tt.code || reply.ContentLength != tt.length || tt.cut == (err == nil) || err == nil && n != want {
				t.Errorf("%s %s: %s, %d of %d bytes, %v", method, tt.path, reply.Status, n, reply.ContentLength, err)
			}
		}
	}
	// What is no request, or has a body, ends the connection.
	for _, text := range []string{"nonsense\r\n\r\n", "GET / HTTP/1.1\r\nx: " + strings.Repeat("x", 1<<20), "POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(c, text) }()
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		var timeout net.Error
		if _, err := io.Copy(io.Discard, bufio.NewReader(c)); errors.As(err, &timeout) && timeout.Timeout() {
			t.Errorf("%.20q: the connection stays open", text)
		}
		c.Close()
	}
	// One that is open ends with the server.
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("it still listens")
	}
}
