package relocate

// seam gives a stream to somebody who looks at it in large pieces where they are, with what is before and behind.
type seam struct {
	behind, ahead int
	look          func(b []byte, base int64, from, to int) // what begins in [from, to) of b, which is at base

	buf  []byte // what was not looked at, and what is before it
	from int    // in buf: what was not looked at
	base int64  // of buf
}

// minPiece is how much is put together before it is looked at.
const minPiece = 32 << 10

func (s *seam) Write(p []byte) (int, error) {
	both := s.behind + s.ahead
	if len(p) < max(minPiece, 2*both) {
		s.buf = append(s.buf, p...)
		if len(s.buf) >= 2*minPiece {
			to := len(s.buf) - s.ahead
			s.look(s.buf, s.base, s.from, to)
			s.keep(s.buf, s.base, to)
		}
		return len(p), nil
	}
	// What was left over is looked at together with the beginning of p, the rest of p where it is.
	at := s.base + int64(len(s.buf))
	s.buf = append(s.buf, p[:both]...)
	s.look(s.buf, s.base, s.from, len(s.buf)-s.ahead)
	to := len(p) - s.ahead
	s.look(p, at, s.behind, to)
	s.keep(p, at, to)
	return len(p), nil
}

// keep keeps what begins at to, and what is before it.
func (s *seam) keep(b []byte, base int64, to int) {
	start := max(0, to-s.behind)
	s.buf, s.from, s.base = append(s.buf[:0], b[start:]...), to-start, base+int64(start)
}

// end looks at the rest.
func (s *seam) end() {
	s.look(s.buf, s.base, s.from, len(s.buf))
	s.buf, s.from = s.buf[:0], 0
}

// begin prepares for another stream.
func (s *seam) begin() { s.buf, s.from, s.base = s.buf[:0], 0, 0 }
