package relocate

import (
	"cmp"
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
	// immediate says that it is an operand of eight bytes.
	immediate bool
}

// group are immediate operands of one path near each other.
type group struct {
	path        int32
	first, last int64
	mask        coverage
}

// covered is one operand that was repaired.
type covered struct {
	path   int32
	at     int64
	offset int
	n      int
}

// coverage has a bit for each byte of a path up to the end of its hash part.
type coverage [2]uint64

func (c *coverage) add(from, to int) {
	for i := max(0, from); i < to && i < 128; i++ {
		c[i/64] |= 1 << (i % 64)
	}
}

func (c coverage) all(n int) bool {
	for i := range n {
		if !c.has(i) {
			return false
		}
	}
	return true
}

func (c coverage) has(i int) bool { return c[i/64]&(1<<(i%64)) != 0 }

// code repairs pieces of paths in one file of machine code.
type code struct {
	t       *chunkTable
	runs    []run // strong ones, some behind and some ahead
	found   int64 // up to here strong ones were looked for
	covers  []covered
	open    map[int32]*group // one of each path, whose operands go on perhaps
	closed  map[groupKey]int64
	consts  map[int32]*coverage // constants, which several texts may share
	machine machine
}

// groupKey makes equal groups count once.
type groupKey struct {
	path int32
	mask coverage
}

func newCode(t *chunkTable) *code {
	return &code{t: t, open: map[int32]*group{}, closed: map[groupKey]int64{}, consts: map[int32]*coverage{}}
}

// repair handles what begins in [from, to) of the buffer.
func (k *code) repair(c *content, from, to int) {
	k.machine.look(c, from, to)
	k.find(c, from, min(len(c.buf), to+2*near))
	for i := range k.runs {
		if r := &k.runs[i]; r.at >= c.base+int64(from) && r.at < c.base+int64(to) {
			k.whole(c, r)
		}
	}
	k.operands(c, from, to)
	k.gather(c.base + int64(to))
	k.runs = slices.DeleteFunc(k.runs, func(r run) bool { return r.at < c.base+int64(to)-2*near })
}

// find looks for strong windows, and how far their stretch goes.
func (k *code) find(c *content, from, to int) {
	at := max(from, int(k.found-c.base))
	for {
		i, p, ok := k.t.next(c.buf, at, to)
		if !ok {
			break
		}
		if k.t.twice[load64(c.buf[i:])] {
			c.note(Finding{Refused, Split, c.file, c.base + int64(i), "two paths have the same piece"})
			at = i + window
			continue
		}
		path := c.m.paths[p.path].fromFull
		first, last := i, i+window
		for first > 0 && int(p.offset) > 0 && c.buf[first-1] == path[p.offset-1] && !k.movabs(c.buf, first) {
			first--
			p.offset--
		}
		for n := int(p.offset) + last - first; last < len(c.buf) && n < len(path) && c.buf[last] == path[n]; n++ {
			last++
		}
		r := run{at: c.base + int64(first), n: last - first, piece: p}
		if k.movabs(c.buf, first) {
			r.n, r.immediate = window, true
		}
		k.runs = append(k.runs, r)
		at = first + r.n
	}
	k.found = max(k.found, c.base+int64(to))
}

// movabs says whether the bytes in front of a place are an instruction of x86-64 that has eight bytes behind it:
// REX.W B8+r, volume 2 of Intel's manual, MOV.
func (k *code) movabs(b []byte, at int) bool {
	return at >= 2 && b[at-1]&0xf8 == 0xb8 && b[at-2]&0xf8 == 0x48
}

// whole repairs a stretch whose ends are known, or refuses it.
func (k *code) whole(c *content, r *run) {
	first, n := int(r.at-c.base), r.n
	switch {
	case r.immediate:
		k.put(c, first, n, r.piece)
		k.cover(r.path, r.at, int(r.offset), n)
		return
	case n%window != 0:
		// A byte behind a constant may go on with the path by chance: only blocks that are aligned are constants.
		skip := int(-r.at & 15)
		if n-skip < 16 {
			c.note(Finding{Refused, Split, c.file, r.at, fmt.Sprintf("%d bytes of %s", n, c.m.paths[r.path].from)})
			return
		}
		first, n = first+skip, (n-skip)&^15
		r.offset += int32(skip)
	}
	k.put(c, first, n, r.piece)
	if k.consts[r.path] == nil {
		k.consts[r.path] = &coverage{}
	}
	k.consts[r.path].add(int(r.offset), int(r.offset)+n)
}

// put writes the target's piece.
func (k *code) put(c *content, at, n int, p piece) {
	var to string
	if p.path >= 0 {
		to = c.m.paths[p.path].toFull
	} else {
		to = c.m.dirs[-1-p.path].to
	}
	copy(c.buf[at:at+n], to[p.offset:])
	c.changed = true
	c.hits++
	f := Finding{Repaired, Split, c.file, c.base + int64(at), fmt.Sprintf("%d bytes", n)}
	if p.path >= 0 {
		f.Detail += " of " + c.m.paths[p.path].from
	}
	c.note(f)
}

// cover records an operand.
func (k *code) cover(path int32, at int64, offset, n int) {
	if path >= 0 {
		k.covers = append(k.covers, covered{path, at, offset, n})
	}
}

// gather puts operands before a place into groups.
func (k *code) gather(to int64) {
	slices.SortFunc(k.covers, func(a, b covered) int { return cmp.Compare(a.at, b.at) })
	n := 0
	for ; n < len(k.covers) && k.covers[n].at < to; n++ {
		v := k.covers[n]
		g := k.open[v.path]
		if g == nil || v.at-g.last > near {
			k.close(g)
			g = &group{path: v.path, first: v.at}
			k.open[v.path] = g
		}
		g.last = v.at
		g.mask.add(v.offset, v.offset+v.n)
	}
	k.covers = slices.Delete(k.covers, 0, n)
}

func (k *code) close(g *group) {
	if g == nil {
		return
	}
	if key := (groupKey{g.path, g.mask}); len(k.closed) < maxFindings {
		if _, ok := k.closed[key]; !ok {
			k.closed[key] = g.first
		}
	}
}

// operands repairs the operands of eight bytes that are weak alone, and what follows the last of them.
func (k *code) operands(c *content, from, to int) {
	for at := max(from, 2); at < min(to, len(c.buf)-window+1); at++ {
		if !k.movabs(c.buf, at) {
			continue
		}
		pos := c.base + int64(at)
		for i := range k.runs {
			if r := &k.runs[i]; r.immediate && r.at == pos {
				k.tail(c, at, r.piece)
			}
		}
		pieces := k.t.weak[load64(c.buf[at:])]
		if len(pieces) == 0 {
			continue
		}
		p, ok, clash := k.resolve(c, pos, pieces)
		switch {
		case clash:
			c.note(Finding{Refused, Split, c.file, pos, "an operand that may belong to several paths"})
		case ok:
			k.put(c, at, window, p)
			k.cover(p.path, pos, int(p.offset), window)
			k.tail(c, at, p)
		case !k.directory(c, at, pieces):
			c.note(Finding{Refused, Split, c.file, pos, fmt.Sprintf("an operand %q", c.buf[at:at+window])})
		}
	}
}

// resolve says which path an operand belongs to: one that has a strong piece near it.
func (k *code) resolve(c *content, pos int64, pieces []piece) (p piece, ok, clash bool) {
	var text string
	for _, r := range k.runs {
		if r.at < pos-near || r.at > pos+near {
			continue
		}
		for _, q := range pieces {
			if q.path != r.path && q.path != -1 {
				continue
			}
			// Pieces of the directory alone are the same for all paths.
			q.path = r.path
			if int(q.offset)+window > len(c.m.paths[q.path].fromFull) ||
				c.m.paths[q.path].fromFull[q.offset:q.offset+window] != string(c.buf[pos-c.base:pos-c.base+window]) {
				continue
			}
			target := c.m.paths[q.path].toFull[q.offset : q.offset+window]
			if ok && target != text {
				return piece{}, false, true
			}
			p, ok, text = q, true, target
		}
	}
	return p, ok, false
}

// tail repairs an operand of four bytes that goes on where one of eight ended.
func (k *code) tail(c *content, at int, p piece) {
	const pieceLen, reach = 4, 24
	path := c.m.paths[p.path]
	next := int(p.offset) + window
	if next >= k.t.hash+hashLen || next+pieceLen > len(path.fromFull) {
		return
	}
	where, n := 0, 0
	for i := at + window + 1; i < at+window+reach && i+pieceLen <= len(c.buf); i++ {
		if string(c.buf[i:i+pieceLen]) == path.fromFull[next:next+pieceLen] && immediate32(c.buf, i) && !k.movabs(c.buf, i) {
			where = i
			n++
		}
	}
	if n == 1 {
		q := piece{p.path, int32(next)}
		k.put(c, where, pieceLen, q)
		k.cover(p.path, c.base+int64(where), next, pieceLen)
	}
}

// immediate32 says whether an operand of four bytes can be at a place: MOV or CMP with a memory operand of up to
// eight bytes, MOV or CMP with a register.
func immediate32(b []byte, at int) bool {
	for back := 1; back <= 7 && back <= at; back++ {
		switch op := b[at-back]; {
		case op == 0xc7 && back >= 2, op == 0x81 && back >= 2, op == 0x3d && back == 1, op&0xf8 == 0xb8 && back == 1:
			return true
		}
	}
	return false
}

// directory repairs the operands of a directory alone, if all of it is there: operands of eight bytes that may
// overlap, and what remains within one operand behind them.
func (k *code) directory(c *content, at int, pieces []piece) bool {
	const reach = 64
	for _, p := range pieces {
		if p.path >= 0 {
			continue
		}
		d := c.m.dirs[-1-p.path]
		places := map[int]int{} // offset in the directory, and where
		var mask coverage
		for i := at; i < at+reach && i+window <= len(c.buf); i++ {
			if !k.movabs(c.buf, i) {
				continue
			}
			for j := 0; j+window <= len(d.from); j++ {
				if string(c.buf[i:i+window]) == d.from[j:j+window] {
					places[j] = i
					mask.add(j, j+window)
				}
			}
		}
		done := 0
		for done < len(d.from) && mask.has(done) {
			done++
		}
		where, ok := k.rest(c, at, d.from[done:])
		if !ok {
			continue
		}
		for j, i := range places {
			k.put(c, i, window, piece{p.path, int32(j)})
		}
		if done < len(d.from) {
			k.put(c, where, len(d.from)-done, piece{p.path, int32(done)})
		}
		return true
	}
	return false
}

// rest finds the last few bytes of a directory, which must be in one place behind the operand.
func (k *code) rest(c *content, at int, text string) (where int, ok bool) {
	if text == "" {
		return 0, true
	}
	const reach = 24
	n := 0
	for i := at + window + 1; i < at+window+reach && i+len(text) <= len(c.buf); i++ {
		if hasPrefix(c.buf[i:], text) && immediate32(c.buf, i) {
			where = i
			n++
		}
	}
	return where, n == 1 && len(text) < window && len(text) > 1
}

// finish refuses paths of which a piece was not found.
func (k *code) finish(c *content) {
	k.gather(c.base + int64(len(c.buf)) + 1<<62)
	for _, g := range k.open {
		k.close(g)
	}
	grouped := map[int32]bool{}
	for key, first := range k.closed {
		grouped[key.path] = true
		if !k.complete(key) {
			c.note(Finding{Refused, Split, c.file, first, "some pieces of " + c.m.paths[key.path].from + " were not found"})
		}
	}
	for path, mask := range k.consts {
		if !grouped[path] && !mask.all(k.t.hash+hashLen) {
			c.note(Finding{Refused, Split, c.file, -1, "some constants of " + c.m.paths[path].from + " were not found"})
		}
	}
	if len(k.closed) == maxFindings {
		c.note(Finding{Refused, Split, c.file, -1, "more split paths than are followed"})
	}
	k.machine.finish(c)
}

// complete says whether a group is the end of a path, and constants are what is before it.
func (k *code) complete(key groupKey) bool {
	end := k.t.hash + hashLen
	begin := 0
	for begin < end && !key.mask.has(begin) {
		begin++
	}
	for i := begin; i < end; i++ {
		if !key.mask.has(i) {
			return false
		}
	}
	for i := range begin {
		if k.consts[key.path] == nil || !k.consts[key.path].has(i) {
			return false
		}
	}
	return begin < end
}
