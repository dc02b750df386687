package deb

import (
	"errors"
	"io"
)

// stream counts and bounds what is read of a decompressed tarball,
// and keeps the error that ended it, which tar and archiver may hide.
type stream struct {
	r     io.Reader
	n     int64 // bytes read
	limit int64
	stop  func() error // not nil once reading must end
	err   error        // the first error, io.EOF included
}

// Read reads from the tarball.
// It fails with a [*LimitError] once more than the limit was read.
func (s *stream) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.err = s.stop(); s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	switch {
	case s.n > s.limit:
		s.err = &LimitError{Max: s.limit}
		return 0, s.err
	case errors.Is(err, io.EOF):
		s.err = io.EOF
	case err != nil && !isHost(err):
		s.err = &FormatError{Reason: "data tarball", Err: err}
	case err != nil:
		s.err = err
	}
	return n, s.err
}

// drain reads what follows the end marker, padding of zeros.
// Reaching the end makes the decompressor check its trailer.
func (s *stream) drain() error {
	buf := make([]byte, 16<<10)
	for {
		n, err := s.Read(buf)
		for _, b := range buf[:n] {
			if b != 0 {
				return &FormatError{Reason: "data tarball: it goes on after its end marker"}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
