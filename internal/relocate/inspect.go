package relocate

import (
	"archive/tar"
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// Limits of what is unpacked to be looked at.
const (
	maxNested   = 6
	maxUnpacked = 8 << 30
	maxWindow   = 8 << 20 // of the outermost stream; xz -6 has it
	maxInner    = 1 << 20 // of those in it
)

// inspector looks through what a file has in it, and replaces nothing.
type inspector struct {
	m      *Map
	hits   int
	where  string // the first
	budget int64
	c      *content
}

// errDone ends an inspection early: one hit is enough.
var errDone = errors.New("found")

// inspect reads all of r, and says what is in it that would have to be replaced.
func inspect(m *Map, r io.Reader, detail string) (hits int, where string, err error) {
	s := &inspector{m: m, budget: maxUnpacked}
	b := bufio.NewReaderSize(r, 64<<10)
	switch head, _ := b.Peek(2); {
	case string(head) == "#!":
		err = s.script(b)
	case detail == "zlib":
		// Two bytes make no format: what cannot be unpacked is something else.
		if z, e := zlib.NewReader(b); e == nil {
			if err = s.stream(z, "zlib", 1); err != nil && !errors.Is(err, errDone) {
				err = nil
			}
		}
	default:
		err = s.stream(b, "", 0)
	}
	if errors.Is(err, errDone) {
		err = nil
	}
	_, _ = io.Copy(io.Discard, r) // whoever writes is not to be kept waiting
	return s.hits, s.where, err
}

// stream looks at what r begins with, and unpacks it.
func (s *inspector) stream(r io.Reader, name string, depth int) error {
	if depth > maxNested {
		return errors.New("nested too deeply")
	}
	b, ok := r.(*bufio.Reader)
	if !ok {
		b = bufio.NewReaderSize(&limited{r, &s.budget}, 64<<10)
	}
	window := maxWindow
	if depth > 0 {
		window = maxInner
	}
	head, _ := b.Peek(peek)
	switch {
	case hasPrefix(head, "\x1f\x8b\x08"):
		z, err := gzip.NewReader(b)
		return s.unpack(z, err, name+" gzip", depth)
	case isBzip2(head):
		return s.unpack(bzip2.NewReader(b), nil, name+" bzip2", depth)
	case hasPrefix(head, "\xfd7zXZ\x00"):
		z, err := xz.NewReader(b, uint32(window))
		return s.unpack(z, err, name+" xz", depth)
	case hasPrefix(head, "\x28\xb5\x2f\xfd"):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(uint64(window)))
		if err == nil {
			defer z.Close()
		}
		return s.unpack(z, err, name+" zstd", depth)
	case hasPrefix(head, "PK\x03\x04"), hasPrefix(head, "PK\x05\x06"):
		return s.zip(b, name, depth)
	case hasPrefix(head, "070701"), hasPrefix(head, "070702"):
		return s.cpio(b, name, depth)
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return s.tar(b, name, depth)
	}
	for _, magic := range compressed {
		if hasPrefix(head, magic) {
			return fmt.Errorf("%s: %q is not known", name, magic)
		}
	}
	return s.plain(b, name)
}

func (s *inspector) unpack(z io.Reader, err error, name string, depth int) error {
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := s.stream(z, name, depth+1); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// plain looks for what would be replaced, in the same way as it would be replaced.
func (s *inspector) plain(r io.Reader, name string) error {
	if s.c == nil {
		s.c = &content{m: s.m, out: io.Discard, texts: true, tally: newTally(s.m)}
	}
	s.c.reset(name)
	s.c.note = func(f Finding) { s.found(f.Verdict != Left, name+" "+f.Detail) }
	if _, err := io.Copy(s.c, r); err != nil {
		return err
	}
	if err := s.c.Close(); err != nil {
		return err
	}
	return s.done()
}

// label looks at a member's name.
func (s *inspector) label(text, name string) error {
	s.m.each([]byte(text), func(h hit) {
		s.found(h.kind != hitWord && h.kind != hitForeign, name+" "+text)
	})
	return s.done()
}

func (s *inspector) found(hit bool, where string) {
	if !hit {
		return
	}
	if s.hits == 0 {
		s.where = strings.TrimSpace(where)
	}
	s.hits++
}

func (s *inspector) done() error {
	if s.hits > 0 {
		return errDone
	}
	return nil
}

func (s *inspector) tar(r io.Reader, name string, depth int) error {
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			// What follows the end is looked at as well.
			return s.plain(r, name)
		}
		if err != nil {
			return err
		}
		if err := s.label(h.Name+"\x00"+h.Linkname, name+" header"); err != nil {
			return err
		}
		if err := s.stream(t, name+" "+h.Name, depth+1); err != nil {
			return err
		}
	}
}

// cpio reads the format "newc" (cpio(5)): a header of 110 hexadecimal digits, a name, a content, all filled up to
// four bytes. Several archives may follow each other, compressed or not.
func (s *inspector) cpio(r *bufio.Reader, name string, depth int) error {
	for {
		head, err := r.Peek(110)
		if err != nil || !hasPrefix(head, "07070") {
			break
		}
		size, err1 := strconv.ParseUint(string(head[54:62]), 16, 32)
		nameSize, err2 := strconv.ParseUint(string(head[94:102]), 16, 32)
		if err := errors.Join(err1, err2); err != nil || nameSize > 4096 {
			return fmt.Errorf("%s: a damaged header of cpio", name)
		}
		full := make([]byte, (110+nameSize+3)&^3)
		if _, err := io.ReadFull(r, full); err != nil {
			return err
		}
		member := strings.TrimRight(string(full[110:110+nameSize]), "\x00")
		if err := s.label(member, name); err != nil {
			return err
		}
		body := io.LimitReader(r, int64(size))
		if err := s.stream(body, name+" "+member, depth+1); err != nil {
			return err
		}
		if _, err := r.Discard(int(-size & 3)); err != nil {
			return err
		}
	}
	for { // zeros up to the next archive
		b, err := r.Peek(1)
		if err != nil {
			return nil
		}
		if b[0] != 0 {
			return s.stream(r, name, depth+1)
		}
		if _, err := r.Discard(1); err != nil {
			return err
		}
	}
}

// script looks for a zip file behind a first line.
func (s *inspector) script(r *bufio.Reader) error {
	for {
		_, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil
		}
		if head, _ := r.Peek(4); string(head) == "PK\x03\x04" {
			return s.zip(r, "zip behind a first line", 0)
		}
	}
}

// limited ends a stream that unpacks to more than anybody means to have.
type limited struct {
	r      io.Reader
	budget *int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if *l.budget -= int64(n); *l.budget < 0 {
		return n, errors.New("more than can be looked through")
	}
	return n, err
}
