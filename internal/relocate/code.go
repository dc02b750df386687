package relocate

import (
	"bytes"
	"fmt"
	"slices"
)

// near is how far apart the pieces of one text are in machine code. It is less than half of behind.
const near = 256

// run is a stretch of bytes that is part of a path, but not all of it.
type run struct {
	at    int64 // in the stream
	n     int
	piece // where in the path it begins
	// operand says that it is an immediate operand of eight bytes.
	operand bool
}

// coverage has a bit for each byte of a path up to the end of its hash part.
type coverage [2]uint64

// maxDir is the length of the longest directory whose paths have their hash part within a coverage.
const maxDir = 128 - hashLen - 1 - window

func (c *coverage) add(from, to int) {
	for i := max(0, from); i < to && i < 128; i++ {
		c[i/64] |= 1 << (i % 64)
	}
}

func (c coverage) has(i int) bool { return c[i/64]&(1<<(i%64)) != 0 }

func (c coverage) all(n int) bool {
	for i := range n {
		if !c.has(i) {
			return false
		}
	}
	return true
}

// code repairs pieces of paths in one file of machine code.
type code struct {
	t       *chunkTable
	runs    []run // strong ones, some behind and some ahead
	found   int64 // up to here strong ones were looked for
	groups  groups
	consts  map[int32]*coverage // constants, which several texts may share
	starts  map[int32]*coverage // where they begin
	smalls  map[int32]*coverage // where small operands begin perhaps
	faint   map[int32]int64     // constants that are part of a path perhaps, and where
	lasts   map[int32]int64     // operands of four bytes that are the end of a hash part perhaps
	machine *machine
	proofs
	archive bool
	guest   bool // machine is somebody else's
	back    *wayBack
	asked   int64 // up to here back knows what is there
	stale   bool  // something was put since the places were found
}

func newCode(t *chunkTable) *code {
	return &code{
		t: t, groups: groups{open: map[int32]*group{}, closed: map[groupKey]int64{}},
		consts: map[int32]*coverage{}, starts: map[int32]*coverage{}, smalls: map[int32]*coverage{}, faint: map[int32]int64{}, lasts: map[int32]int64{},
		machine: &machine{}, proofs: proofs{rows: map[int32]bool{}, tails: map[int32]*coverage{}},
	}
}

// repair handles what begins in [from, to) of the buffer.
func (k *code) repair(c *content, from, to int) {
	if !k.guest {
		k.machine.look(c, from, to, k.archive)
		if len(k.machine.segments) > 0 {
			k.loaded(c, from, to)
		}
	}
	k.find(c, from, min(len(c.buf), to+2*near))
	for _, r := range k.runs {
		if r.at >= c.base+int64(from) && r.at < c.base+int64(to) {
			k.whole(c, r)
		}
	}
	k.operands(c, from, to)
	k.constants(c, from, to)
	k.cutConstants(c, from, to)
	k.groups.gather(c.base + int64(to))
	if k.back != nil {
		k.ask(c, to)
	}
	k.runs = slices.DeleteFunc(k.runs, func(r run) bool { return r.at < c.base+int64(to)-2*near })
}

// ask tells the way back where it will find something, in what is repaired up to a place.
func (k *code) ask(c *content, to int) {
	if k.stale { // what was put may be of another kind
		c.places.mark(c.m.kinds, c.buf)
		c.places.pieces(c.m.kinds, c.buf)
		k.stale = false
	}
	if to < len(c.buf) {
		to -= window // a piece may go on in what is not repaired yet
	}
	if from := int(k.asked - c.base); from < to {
		k.back.expect(&c.places, c.buf, c.base, from, to, k.guesses)
		k.asked = c.base + int64(to)
	}
}

// find looks for strong windows, and how far their stretch goes.
func (k *code) find(c *content, from, to int) {
	next := max(from, int(k.found-c.base))
	for _, start := range c.places.runs {
		if start >= to+window {
			break
		}
		k.t.strongIn(c.buf, start, next, to, func(i int, p piece) int {
			next = k.strong(c, i, p)
			return next
		})
	}
	k.found = max(k.found, c.base+int64(to))
}

// strong records the stretch that a strong window is part of, and returns where it ends.
func (k *code) strong(c *content, i int, p piece) int {
	if k.t.twice[load64(c.buf[i:])] {
		k.refuse(c, c.base+int64(i), "two paths have the same piece")
		return i + window
	}
	path, target := c.m.paths[p.path].fromFull, c.m.paths[p.path].toFull
	first, last := i, i+window
	for first > 0 && p.offset > 0 && !movabs(c.buf, first) {
		// The directory was replaced already, if it is there as a whole.
		b := c.buf[first-1]
		if b != path[p.offset-1] && (int(p.offset) >= k.t.end-hashLen || b != target[p.offset-1]) {
			break
		}
		first--
		p.offset--
	}
	for n := int(p.offset) + last - first; last < len(c.buf) && n < len(path) && c.buf[last] == path[n]; n++ {
		last++
	}
	r := run{at: c.base + int64(first), n: last - first, piece: p}
	if movabs(c.buf, first) {
		r.n, r.operand = window, true
	}
	k.runs = append(k.runs, r)
	return first + r.n
}

func (k *code) refuse(c *content, at int64, format string, args ...any) {
	c.note(Finding{Refused, Split, c.file, at, fmt.Sprintf(format, args...)})
}

// whole repairs a stretch whose ends are known, or refuses it.
func (k *code) whole(c *content, r run) {
	if r.operand {
		k.put(c, int(r.at-c.base), r.n, r.piece)
		k.groups.add(r.path, r.at, int(r.offset), r.n)
		return
	}
	// A byte beside a constant may go on with the path by chance: where the constant begins and ends is known
	// by its length, by its place, or because the path ends there.
	const chance = 2
	skip := int((k.machine.origin(r.at) - r.at) & 15)
	rest := r.n - skip
	pathEnds := int(r.offset)+r.n == len(c.m.paths[r.path].fromFull)
	switch {
	case r.n%window == 0:
		skip, rest = 0, r.n
	case skip <= chance && pathEnds && rest > 0:
	case skip <= chance && rest >= 16 && rest%16 <= chance:
		rest &^= 15
	default:
		k.refuse(c, r.at, "%d bytes of %s", r.n, c.m.paths[r.path].from)
		return
	}
	r.offset += int32(skip)
	k.put(c, int(r.at-c.base)+skip, rest, r.piece)
	k.cover(r.path, int(r.offset), rest)
	if pathEnds { // the constant goes on
		rest = (rest + 15) &^ 15
	}
	k.know(r.path, r.at+int64(skip), int(r.offset), rest)
}

// cover notes a constant.
func (k *code) cover(path int32, offset, n int) {
	if k.consts[path] == nil {
		k.consts[path], k.starts[path] = &coverage{}, &coverage{}
	}
	k.consts[path].add(offset, offset+n)
	for i := 0; i < n; i += 16 {
		k.starts[path].add(offset+i, offset+i+1)
	}
}

// inRow notes constants that were put side by side, and so were replaced as a text: the path breaks off before its name
// ends, where a constant does. If it does not break off, or in an archive, where it is not known yet where constants are,
// it may be a text as well.
func (k *code) inRow(c *content, h hit) {
	p := c.m.paths[h.path]
	start := h.at - (k.t.end - hashLen)
	if start < 0 || !k.archive && (c.base+int64(start))&15 != 0 || !hasPrefix(c.buf[start:], c.m.dirs[0].to+"/") {
		return
	}
	n := k.t.end
	for n < len(p.fromFull) && start+n < len(c.buf) && c.buf[start+n] == p.fromFull[n] {
		n++
	}
	k.rows[h.path] = true
	switch {
	case k.archive:
	case n == len(p.fromFull):
		k.know(h.path, c.base+int64(start), 0, (n+15)&^15)
	case n&15 == 0:
		k.cover(h.path, 0, n)
		k.know(h.path, c.base+int64(start), 0, n)
	}
}

// put writes the target's piece.
func (k *code) put(c *content, at, n int, p piece) {
	to, what := "", ""
	if p.path >= 0 {
		to, what = c.m.paths[p.path].toFull, c.m.paths[p.path].from
	} else {
		to, what = c.m.dirs[-1-p.path].to, c.m.dirs[-1-p.path].from
	}
	text := to[p.offset:min(len(to), int(p.offset)+n)]
	c.drift.change(c.base+int64(at), c.buf[at:], text)
	n = copy(c.buf[at:at+n], text)
	c.changed, k.stale = true, true
	c.hits++
	c.note(Finding{Repaired, Split, c.file, c.base + int64(at), fmt.Sprintf("%d bytes of %s", n, what)})
}

// constants looks at what is where constants of sixteen bytes are, for the ends of paths and for directories.
// The members of an archive have each their own beginning.
func (k *code) constants(c *content, from, to int) {
	for at := from; at < to; {
		origin, next := k.machine.around(c.base + int64(at))
		end := int(min(int64(to), next-c.base))
		first, last := int((origin-c.base)&15), min(end, len(c.buf)-15)
		c.places.constants(c.buf, first, at, last, k.t.begins, func(i int) {
			if w := load64(c.buf[i:]); isTail(w) || k.t.grams.has(w&0xffffffff) {
				k.constant(c, i)
			}
		})
		at = end
	}
}

func (k *code) constant(c *content, at int) {
	pieces := k.t.weakAt(c.buf[at:])
	if len(pieces) == 0 || movabs(c.buf, at) {
		return
	}
	for _, p := range pieces {
		inHash := k.t.end - int(p.offset)
		switch {
		case p.path < 0:
			k.constantDir(c, at, p)
		case k.replaced(c, at, p):
		case inHash <= enough && (len(pieces) > 1 || !k.guess(c, at, p)):
			k.faint[p.path] = c.base + int64(at)
		}
	}
}

// replaced says whether a piece is part of a text that was replaced as a whole, and ends as it did before.
func (k *code) replaced(c *content, at int, p piece) bool {
	hash := at - int(p.offset) + k.t.end - hashLen
	return hash >= 0 && hasPrefix(c.buf[hash:], c.m.paths[p.path].to[:hashLen])
}

// whole says whether a text begins with a directory, of the source or of the target, that has n bytes at least.
func (m *Map) whole(b []byte, n int) bool {
	return slices.ContainsFunc(m.dirs, func(d dir) bool {
		return len(d.from) >= n && (hasPrefix(b, d.from) || hasPrefix(b, d.to))
	})
}

// constantDir refuses a constant that is part of a directory, unless a directory is there as a whole:
// then it is a text that was replaced, or left.
func (k *code) constantDir(c *content, at int, p piece) {
	d := c.m.dirs[-1-p.path]
	part := d.from[p.offset:min(len(d.from), int(p.offset)+16)]
	if d.from == d.to || !hasPrefix(c.buf[at:], part) {
		return
	}
	// What is the same there as here is right as it is: the pieces that differ are found by themselves.
	if part == d.to[p.offset:int(p.offset)+len(part)] {
		return
	}
	// Before it there would be sixteen bytes of the directory in another constant, which is found by itself.
	if o := int(p.offset); o >= 16 && d.from[o-16:o] != d.to[o-16:o] {
		return
	}
	if start := at - int(p.offset); start >= 0 && c.m.whole(c.buf[start:], int(p.offset)+len(part)) {
		return
	}
	k.refuse(c, c.base+int64(at), "a constant with %q", part)
}

// cutConstants refuses constants whose last bytes are the beginning of a directory.
func (k *code) cutConstants(c *content, from, to int) {
	if c.m.leads == nil {
		for at := from; at < to; at++ {
			i := bytes.IndexByte(c.buf[at:to], '/')
			if i < 0 {
				return
			}
			at += i
			k.cutConstant(c, at)
		}
		return
	}
	for _, p := range between(c.places.pairs, from, to+window) {
		for i := range c.m.leads {
			if at := p - c.m.leads[i].offset; at >= from && at < to {
				k.cutConstant(c, at)
			}
		}
	}
}

func (k *code) cutConstant(c *content, at int) {
	for _, d := range c.m.dirs {
		if d.from == d.to || !hasPrefix(c.buf[at:], d.from[:window]) {
			continue
		}
		n := window
		for n < len(d.from) && at+n < len(c.buf) && c.buf[at+n] == d.from[n] {
			n++
		}
		// What all of another directory begins with, or what is a target now, is no end of a constant.
		end := c.base + int64(at+n)
		if n < len(d.from) && !c.m.whole(c.buf[at:], n) && (end-k.machine.origin(end))&15 == 0 {
			k.refuse(c, c.base+int64(at), "a constant that ends with %q", d.from[:n])
		}
	}
}

// finish refuses paths of which a piece was not found.
func (k *code) finish(c *content) {
	grouped := k.groups.finish(func(key groupKey, at int64) {
		if !key.complete(k.t.end, k) {
			k.refuse(c, at, "some pieces of %s were not found", c.m.paths[key.path].from)
		}
	})
	if len(k.groups.closed) >= maxGroups {
		k.refuse(c, -1, "more split paths than are followed")
	}
	for path := range k.consts {
		name := c.m.paths[path].from
		if !grouped[path] && !k.covered(path).all(k.t.end) {
			k.refuse(c, -1, "some constants of %s were not found", name)
		}
		if at, ok := k.lasts[path]; ok {
			k.refuse(c, at, "an operand that may be the end of %s", name)
		}
	}
	k.doubtful(c)
	k.prove(c)
	k.machine.finish(c)
}
