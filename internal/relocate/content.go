package relocate

import (
	"bytes"
	"cmp"
	"io"
	"path"
)

const (
	bufSize = 128 << 10
	// ahead is how far a decision looks ahead, and behind how far it looks back: a path has at most 311 bytes,
	// four times that in UTF-32, and its pieces in machine code are near each other.
	ahead  = 2048
	behind = 1024
)

// content rewrites one stream of bytes. What it does at a place depends on what is around it,
// and not on how the stream is cut into writes.
type content struct {
	m     *Map
	out   io.Writer
	file  string
	keep  bool // a bare store directory stays
	note  func(Finding)
	tally *tally
	code  *code // for machine code; may be nil
	names names // of sections, to be found; may be nil
	texts bool  // look for base64 as well

	places places // what of buf has to be looked at
	dirty  []span // what was changed since
	drift  drift  // of what was repaired

	size    int    // of buf; bufSize if it is 0
	buf     []byte // from behind what is being looked at, to what came last
	base    int64  // where in the stream buf begins
	plain   int64  // up to here texts are rewritten
	widened int64  // up to here letters with zeros in between are rewritten
	pieces  int64  // up to here pieces are repaired
	taken   int64  // hash parts before this were taken
	wide    int64  // the same for letters with zeros in between
	encoded int64  // up to here base64 was looked at
	letters []byte
	decoded []byte
	changed bool
	hits    int // what was found and has to be replaced
}

// Write takes the next bytes.
func (c *content) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		k := copy(c.room(), p)
		p = p[k:]
		if err := c.took(k); err != nil {
			return n - len(p), err
		}
	}
	return n, nil
}

// room is where the next bytes may be read to, and [content.took] says how many they were.
func (c *content) room() []byte {
	if cap(c.buf) == 0 {
		if c.size == 0 {
			c.size = bufSize
		}
		c.buf = make([]byte, 0, c.size)
	}
	return c.buf[len(c.buf):cap(c.buf)]
}

func (c *content) took(n int) error {
	c.buf = c.buf[:len(c.buf)+n]
	if len(c.buf) == cap(c.buf) {
		return c.advance(false)
	}
	return nil
}

// Close handles the rest. The buffer can be used for another stream.
func (c *content) Close() error {
	if err := c.advance(true); err != nil {
		return err
	}
	if c.code != nil {
		c.code.finish(c)
	}
	return nil
}

// reset prepares for another stream.
func (c *content) reset(file string) {
	*c = content{
		m: c.m, out: c.out, file: file, keep: c.keep, note: c.note, tally: c.tally, texts: c.texts, size: c.size,
		buf: c.buf[:0], letters: c.letters, decoded: c.decoded, places: c.places, dirty: c.dirty, drift: drift{seed: c.drift.seed},
	}
}

// skip goes on at another place of the stream, as if it had ended before.
func (c *content) skip(to int64) error {
	if err := c.advance(true); err != nil {
		return err
	}
	c.buf = c.buf[:0]
	c.base, c.plain, c.widened, c.pieces = to, to, to, to
	return nil
}

// short rewrites a text that is there as a whole.
func (c *content) short(text []byte, file string) {
	c.reset(file)
	buf := c.buf
	c.buf = text
	c.places.texts(c.m.kinds, text, c.texts)
	c.rewrite(0, len(text))
	c.rewriteWide(0, len(text))
	c.buf = buf
}

// advance rewrites as far as it can look ahead, and hands on what nobody will look back at.
func (c *content) advance(last bool) error {
	end := c.base + int64(len(c.buf))
	// Each step is done further ahead than the next one looks.
	texts, wide, pieces, done := end-ahead, end-ahead-overlap, end-2*ahead, end-2*ahead-behind
	if last {
		texts, wide, pieces, done = end, end, end, end
	}
	c.places.texts(c.m.kinds, c.buf, c.texts)
	c.dirty = c.dirty[:0]
	if texts > c.plain {
		c.rewrite(int(c.plain-c.base), int(texts-c.base))
		c.plain = texts
	}
	if wide > c.widened {
		c.rewriteWide(int(c.widened-c.base), int(wide-c.base))
		c.widened = wide
	}
	if c.code != nil && pieces > c.pieces {
		for _, s := range c.dirty {
			c.places.again(c.m.kinds, c.buf, s.from, s.to)
		}
		c.places.pieces(c.m.kinds, c.buf)
		c.code.repair(c, int(c.pieces-c.base), int(pieces-c.base))
	}
	c.pieces = max(c.pieces, pieces)
	if n := done - c.base; n > 0 {
		if _, err := c.out.Write(c.buf[:n]); err != nil {
			return err
		}
		c.buf = c.buf[:copy(c.buf, c.buf[n:])]
		c.base += n
	}
	return nil
}

// rewrite replaces what begins in [from, to) of the buffer.
func (c *content) rewrite(from, to int) {
	c.m.scanPlaces(c.buf, &c.places, from, int(c.taken-c.base), to, func(h hit) {
		if h.kind == hitHash {
			c.taken = c.base + int64(h.at+h.n)
		}
		c.take(h, h.at, Plain, func(to string) {
			copy(c.buf[h.at:], to)
			c.dirty = append(c.dirty, span{h.at, h.at + h.n})
		})
		if h.kind == hitHash {
			c.spelling(h.at)
			if c.code != nil {
				c.code.inRow(c, h)
			}
		}
	})
	if c.names != nil {
		c.findNames(from, to)
	}
	if !c.texts {
		return
	}
	for _, s := range c.places.base64 {
		c.findBase64(max(s.from, from), min(s.to, to))
	}
}

// findNames looks for names of sections.
func (c *content) findNames(from, to int) {
	if c.m.leads == nil {
		for at := from; at < to; at++ {
			i := bytes.IndexByte(c.buf[at:to], sectionPair[0])
			if i < 0 {
				return
			}
			at += i
			c.names.look(c.base+int64(at), c.buf[at:])
		}
		return
	}
	for _, at := range between(c.places.pairs, from, to) {
		if c.buf[at] == sectionPair[0] {
			c.names.look(c.base+int64(at), c.buf[at:])
		}
	}
}

// rewriteWide does the same for letters with zeros in between.
func (c *content) rewriteWide(from, to int) {
	at := from
	// A text that begins before to has eight bytes that show it before to and eight more.
	for _, p := range between(c.places.wide, from, to+8) {
		if p < at {
			continue
		}
		run, ok := wideRunAt(c.buf, from, p)
		if !ok || run.at >= to {
			continue
		}
		if at = max(run.end(), p+8); run.n < minDir {
			continue
		}
		c.letters = run.narrow(c.letters[:0], c.buf)
		n := 0 // letters that begin before to
		for n < run.n && run.at+n*run.stride < to {
			n++
		}
		hashes := int(c.wide-c.base-int64(run.at)+int64(run.stride)-1) / run.stride
		c.m.scan(c.letters, 0, hashes, n, func(h hit) {
			place := run.at + h.at*run.stride
			if h.kind == hitHash {
				c.wide = c.base + int64(place+h.n*run.stride)
			}
			c.take(h, place, Wide, func(to string) {
				run.put(c.buf, h.at, to)
				copy(c.letters[h.at:], to)
				c.dirty = append(c.dirty, span{place, place + h.n*run.stride})
			})
		})
	}
}

// take decides on a hit, counts it, and has it replaced.
func (c *content) take(h hit, at int, how Hazard, put func(to string)) {
	f := Finding{Rewritten, how, c.file, c.base + int64(at), ""}
	switch h.kind {
	case hitHash:
		f.Detail = c.m.paths[h.path].from
		c.tally.hashes[h.path]++
	case hitBare:
		if c.keep {
			f.Verdict, f.Hazard = Left, Bare
			h.to = ""
		}
	case hitForeign:
		f.Verdict, f.Hazard = Left, Foreign
	case hitWord:
		f.Verdict, f.Hazard = Left, LongerWord
		if c.code != nil { // where texts may follow each other without an end, as Go and Rust have them
			f.Verdict = Refused
		}
	case hitSpelled:
		f.Hazard = Escaped
		if h.to == "" {
			f.Verdict, f.Detail = Refused, "the target has another length when it is escaped"
		}
	}
	if f.Verdict != Left {
		c.hits++
	}
	if h.to != "" {
		put(h.to)
		c.changed = true
	}
	if h.kind != hitHash && h.kind != hitSpelled {
		c.tally.dir(h.to != "")
	}
	c.note(f)
}

// spelling refuses a hash part with a directory in front of it that is the mapped one in a spelling nobody knows.
func (c *content) spelling(at int) {
	tail := c.buf[max(0, at-behind/4):at]
	for _, d := range c.m.dirs[:1] {
		if hasSuffix(tail, d.to+"/") || hasSuffix(tail, d.from+"/") {
			return
		}
		for _, s := range d.spelled {
			text := cmp.Or(s.to, s.from)
			for sep := 1; sep <= 3; sep++ { // what stands for the separator in front of the hash part
				if len(tail) >= sep && hasSuffix(tail[:len(tail)-sep], text) {
					return
				}
			}
		}
		if mangled(tail, d.from) {
			c.note(Finding{Refused, Mangled, c.file, c.base + int64(at), string(tail[max(0, len(tail)-3*len(d.from)):])})
		}
	}
}

func hasSuffix(b []byte, s string) bool { return len(b) >= len(s) && string(b[len(b)-len(s):]) == s }

// in says whether a file is in a list of patterns, as [path.Match] has them; a pattern without a slash is for the
// last element.
func in(patterns []string, file string) bool {
	for _, p := range patterns {
		if ok, err := path.Match(p, file); ok && err == nil {
			return true
		}
		if ok, err := path.Match(p, path.Base(file)); ok && err == nil {
			return true
		}
	}
	return false
}
