package run

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync"
)

const (
	tailLines   = 20
	tailColumns = 400      // bytes kept of each line of the tail
	maxLine     = 16 << 20 // longer lines are handed on in pieces of this size
)

// output is where a child's two streams go. Each has a goroutine of its own in os/exec.
type output struct {
	stdout, stderr *stream
	tail           *tail

	mu     sync.Mutex
	log    *os.File // nil if there is none
	logErr error    // the first failure to write it
}

func newOutput(c *Cmd) (*output, error) {
	o := &output{tail: &tail{}}
	if c.LogFile != "" {
		f, err := os.OpenFile(c.LogFile, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		o.log = f
	}
	o.stderr = &stream{out: o, line: func(line string) {
		if text, keep := textOf(c, line); keep {
			o.tail.add(text)
		}
		if c.OnLine != nil {
			c.OnLine(line)
		}
	}}
	o.stdout = &stream{out: o, copy: c.Stdout}
	if c.Stdout == nil {
		o.stdout.line = o.tail.add
	}
	return o, nil
}

func textOf(c *Cmd, line string) (string, bool) {
	if c.Text == nil {
		return line, true
	}
	return c.Text(line)
}

func (o *output) writeLog(p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.log == nil || o.logErr != nil {
		return
	}
	// A log that cannot be written must not end a child that is well.
	_, o.logErr = o.log.Write(p)
}

// close hands on what has no line end and returns the first failure to write the log.
func (o *output) close() error {
	o.stdout.flush()
	o.stderr.flush()
	if o.log == nil {
		return nil
	}
	if err := o.log.Close(); o.logErr == nil {
		o.logErr = err
	}
	return o.logErr
}

// stream is one of the child's streams.
type stream struct {
	out     *output
	copy    io.Writer         // gets everything; may be nil
	line    func(line string) // gets each line; may be nil
	pending []byte            // a line whose end has not come yet
}

// Write never fails because of the log; it fails if the caller's writer does.
func (s *stream) Write(p []byte) (int, error) {
	s.out.writeLog(p)
	if s.line != nil {
		s.split(p)
	}
	if s.copy != nil {
		return s.copy.Write(p)
	}
	return len(p), nil
}

func (s *stream) split(p []byte) {
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		s.pending = append(s.pending, p[:i]...)
		s.emit()
		p = p[i+1:]
	}
	s.pending = append(s.pending, p...)
	if len(s.pending) >= maxLine {
		s.emit()
	}
}

func (s *stream) emit() {
	line := strings.TrimSuffix(string(s.pending), "\r")
	s.pending = s.pending[:0]
	s.line(line)
}

func (s *stream) flush() {
	if s.line != nil && len(s.pending) > 0 {
		s.emit()
	}
}

// tail keeps the last lines of both streams.
type tail struct {
	mu  sync.Mutex
	buf []string
}

func (t *tail) add(line string) {
	if strings.TrimSpace(line) == "" {
		return
	}
	if len(line) > tailColumns {
		line = strings.ToValidUTF8(line[:tailColumns], "") + "…"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.buf) == tailLines {
		t.buf = append(t.buf[:0], t.buf[1:]...)
	}
	t.buf = append(t.buf, line)
}

func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf
}
