package substitute

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// idle is how long a connection may say nothing, and how long a client may take nothing.
	idle = 2 * time.Minute
	// maxRequest is how large a request may be: a path and what curl says of itself.
	maxRequest = 64 << 10
)

// Server answers requests on a listener, until Close. It speaks HTTP/1.1 without bodies of requests, which is what Nix
// asks with; the one of net/http would do too, and makes the program larger by half a megabyte.
type Server struct {
	listener net.Listener
	handler  http.Handler
	now      func() time.Time

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]bool
	ended  sync.WaitGroup
}

// Serve begins to answer. The listener is closed by [Server.Close].
func Serve(l net.Listener, h http.Handler, now func() time.Time) *Server {
	s := &Server{listener: l, handler: h, now: now, conns: map[net.Conn]bool{}}
	s.ended.Add(1)
	go s.accept()
	return s
}

// Close ends all connections, and waits until nothing is answered any more.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	err := s.listener.Close()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.ended.Wait()
	return err
}

func (s *Server) accept() {
	defer s.ended.Done()
	for {
		c, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // too many open files, perhaps: that passes
			time.Sleep(50 * time.Millisecond)
			continue
		}
		s.mu.Lock()
		if s.closed {
			c.Close()
		} else {
			s.conns[c] = true
			s.ended.Add(1)
			go s.converse(c)
		}
		s.mu.Unlock()
	}
}

// converse answers one request after the other.
func (s *Server) converse(c net.Conn) {
	defer s.ended.Done()
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		c.Close()
	}()
	limit := &io.LimitedReader{R: c}
	in := bufio.NewReader(limit)
	for {
		limit.N = maxRequest
		if c.SetReadDeadline(s.now().Add(idle)) != nil {
			return
		}
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		r := &reply{c: c, now: s.now, header: http.Header{}, left: -1, head: req.Method == http.MethodHead}
		r.last = req.Close || req.ContentLength != 0 // what would follow is not read
		s.handler.ServeHTTP(r, req)
		if err := r.finish(); err != nil || r.last {
			return
		}
	}
}

// reply is an answer. Without a length it is held until it is complete.
type reply struct {
	c      net.Conn
	now    func() time.Time
	header http.Header
	code   int
	held   bytes.Buffer
	left   int64 // of what was announced; -1 before that
	head   bool  // only the headers are wanted
	last   bool  // the connection ends with it
}

func (r *reply) Header() http.Header { return r.header }

func (r *reply) WriteHeader(code int) {
	if r.code == 0 {
		r.code = code
	}
}

func (r *reply) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	if r.left < 0 && r.header.Get("Content-Length") == "" {
		return r.held.Write(p)
	}
	if err := r.announce(); err != nil {
		return 0, err
	}
	if int64(len(p)) > r.left {
		return 0, http.ErrContentLength
	}
	r.left -= int64(len(p))
	if r.head {
		return len(p), nil
	}
	if err := r.c.SetWriteDeadline(r.now().Add(idle)); err != nil {
		return 0, err
	}
	return r.c.Write(p)
}

// announce sends what comes before the body, once.
func (r *reply) announce() (err error) {
	if r.left >= 0 {
		return nil
	}
	if r.left, err = strconv.ParseInt(r.header.Get("Content-Length"), 10, 64); err != nil {
		return err
	}
	if r.last {
		r.header.Set("Connection", "close")
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", r.code, http.StatusText(r.code))
	if err := r.header.Write(&b); err != nil {
		return err
	}
	b.WriteString("\r\n")
	if err := r.c.SetWriteDeadline(r.now().Add(idle)); err != nil {
		return err
	}
	_, err = r.c.Write(b.Bytes())
	return err
}

// finish sends what was held. A body that is shorter than was announced is an error, and ends the connection.
func (r *reply) finish() error {
	r.WriteHeader(http.StatusOK)
	if r.left < 0 && r.header.Get("Content-Length") == "" {
		r.header.Set("Content-Length", strconv.Itoa(r.held.Len()))
		if _, err := r.Write(r.held.Bytes()); err != nil {
			return err
		}
	}
	if err := r.announce(); err != nil {
		return err
	}
	if r.left > 0 && !r.head {
		return io.ErrUnexpectedEOF
	}
	return nil
}
