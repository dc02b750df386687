package main

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// front is what the installer takes for its mirror: a proxy of the real one, that can fail in the
// ways networks do, for one file.
type front struct {
	seed *seed
	addr string

	mu     sync.Mutex
	server *http.Server
	way    conduct
	served int // requests for the file since the way was chosen
}

// conduct is how the front answers for the file; n counts its requests from 1.
// If it returns false, the mirror's answer is passed on.
type conduct func(f *front, w http.ResponseWriter, r *http.Request, n int) bool

func newFront(t *testing.T, s *seed) *front {
	f := &front{seed: s, addr: "127.0.0.1:0"}
	must(t, f.listen())
	t.Cleanup(f.close)
	return f
}

func (f *front) url() string { return "http://" + f.addr }

// listen answers at the address, which stays the same once there is one.
func (f *front) listen() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.server != nil {
		return nil
	}
	var l net.Listener
	var err error
	// Whoever has just closed the port may still be on it.
	for range 100 {
		if l, err = net.Listen("tcp", f.addr); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	f.addr = l.Addr().String()
	server := &http.Server{Handler: f, ReadHeaderTimeout: time.Minute}
	f.server = server
	go func() { _ = server.Serve(l) }()
	return nil
}

// close has the address refuse everybody.
func (f *front) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.server != nil {
		_ = f.server.Close()
	}
	f.server = nil
}

// behave changes how it answers for the file; nil is as it should be.
func (f *front) behave(way conduct) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.way, f.served = way, 0
}

// requests returns how often the file was asked for since the last change.
func (f *front) requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.served
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.TrimPrefix(r.URL.Path, "/") == f.seed.moving || strings.HasPrefix(r.URL.Path, "/loop") {
		f.mu.Lock()
		f.served++
		n, way := f.served, f.way
		f.mu.Unlock()
		if way != nil && way(f, w, r, n) {
			return
		}
	}
	f.seed.ServeHTTP(w, r)
}

// file returns the bytes that it should send.
func (f *front) file() []byte { return f.seed.archive.File(f.seed.moving) }

// reset sends the first bytes of the file and then an RST.
func (f *front) reset(w http.ResponseWriter, bytes int) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	head := "HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(f.file())) + "\r\n\r\n"
	_, _ = conn.Write(append([]byte(head), f.file()[:bytes]...))
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
