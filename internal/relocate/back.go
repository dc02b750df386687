package relocate

import (
	"io"
	"slices"
)

// wayBack takes what a file of machine code became back to what it was. For texts it is enough to count what is in the
// result; pieces of paths in code are found by what they look like, and what looks like one may have been there before.
type wayBack struct {
	seam
	c     *content
	spots []int64 // where pieces are perhaps
	fed   int64   // up to here c has the stream, as far as it needs it
	err   error
}

const (
	// around is how far from a piece others may be that matter to it, with room to spare.
	around = 4 * near
	// context is more than a path has bytes, in addition.
	context = 2 * around
	// backSize is the buffer of the way back, which is given little at a time.
	backSize = 32 << 10
)

func newWayBack(m *Map, seed drift) *wayBack {
	inverse := m.Inverse()
	b := &wayBack{c: &content{m: inverse, out: io.Discard, size: backSize, tally: newTally(m), note: func(Finding) {}, drift: seed}}
	b.seam = seam{behind: context, ahead: context, look: b.look}
	return b
}

// start begins with a file, whose way there is another content's.
func (b *wayBack) start(there *content, keep bool) {
	b.begin()
	b.fed, b.err, b.spots = 0, nil, b.spots[:0]
	b.c.keep = keep
	b.c.reset(there.file)
	b.c.code = newCode(&b.c.m.chunks)
	there.code.back = b
	b.c.code.archive, b.c.code.machine, b.c.code.guest = there.code.archive, there.code.machine, true
}

// expect notes where a piece of a target may be among places of a buffer that is repaired already, or is known to be.
func (b *wayBack) expect(p *places, buf []byte, base int64, from, to int, known []constant) {
	t, m, first := &b.c.m.chunks, b.c.m, len(b.spots)
	next := from
	for _, start := range p.runs {
		if start >= to+window {
			break
		}
		t.strongIn(buf, start, next, to, func(at int, p piece) int {
			// A whole hash part is a text.
			hash := at - int(p.offset) + t.end - hashLen
			if hash >= 0 && hasPrefix(buf[hash:], m.paths[p.path].from[:hashLen]) && !t.twice[load64(buf[at:])] {
				next = max(at+1, hash+hashLen)
				return next
			}
			b.spots = append(b.spots, base+int64(at))
			next = at + window
			return next
		})
	}
	for _, at := range between(p.movabs, from, min(to, len(buf)-window+1)) {
		if len(t.weakAt(buf[at:])) > 0 {
			b.spots = append(b.spots, base+int64(at))
		}
	}
	for i := len(known) - 1; i >= 0 && known[i].at >= base+int64(from); i-- {
		if known[i].at < base+int64(to) {
			b.spots = append(b.spots, known[i].at)
		}
	}
	slices.Sort(b.spots[first:])
}

// look takes what may have a piece of a target in it, and what is around it, back.
func (b *wayBack) look(buf []byte, base int64, _, to int) {
	n := 0
	for ; n < len(b.spots) && b.spots[n] < base+int64(to); n++ {
		b.feed(buf, base, int(b.spots[n]-base))
	}
	b.spots = slices.Delete(b.spots, 0, n)
}

// feed gives what is around a place to the content that takes it back.
func (b *wayBack) feed(buf []byte, base int64, at int) {
	from, to := base+int64(max(0, at-around)), base+int64(min(len(buf), at+around))
	if to <= b.fed || b.err != nil {
		return
	}
	if from > b.fed {
		b.err = b.c.skip(from)
	} else {
		from = b.fed
	}
	if b.err == nil {
		_, b.err = b.c.Write(buf[from-base : to-base])
	}
	b.fed = to
}

// judge refuses a file that is another one after there and back.
func (b *wayBack) judge(e *engine, there *content) error {
	b.end()
	if b.err != nil {
		return b.err
	}
	if err := b.c.Close(); err != nil {
		return err
	}
	if there.drift.sum+b.c.drift.sum != 0 {
		e.note(Finding{Refused, Invariant, there.file, -1, "there and back gives another file"})
	}
	return nil
}
