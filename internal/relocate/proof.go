package relocate

// The last constant of a text may have a few characters of a hash part only, overlapping the one before it:
// "6-hello-1.0/lib\x00". That may stand anywhere. It is replaced where other constants of the path are near it, and at the
// end of the file code has to say that it is what it looks like; otherwise the file is refused.

// constant is sixteen bytes of a path.
type constant struct {
	path   int32
	at     int64
	offset int // in the path
}

// proofs are the constants of a file.
type proofs struct {
	known   []constant // with so much of a hash part that they cannot be anything else
	guesses []constant
	rows    map[int32]bool      // paths that are texts, or constants in a row
	tails   map[int32]*coverage // what guesses have of a path
	loads   []load
	tooMany bool
}

// know notes constants one behind the other. What is left of n, less than sixteen bytes, is none.
func (p *proofs) know(path int32, at int64, offset, n int) {
	for i := 0; i+16 <= n; i += 16 {
		if len(p.known) == maxGroups {
			p.tooMany = true
			return
		}
		p.known = append(p.known, constant{path, at + int64(i), offset + i})
	}
}

// guess replaces a constant that has the end of a hash part and what follows it, if it may be proved later.
// It says whether that is so.
func (k *code) guess(c *content, at int, p piece) bool {
	path, pos := c.m.paths[p.path], c.base+int64(at)
	n := min(16, len(path.fromFull)-int(p.offset))
	if n < window || !hasPrefix(c.buf[at:], path.fromFull[p.offset:int(p.offset)+n]) || !k.beside(p.path, pos) {
		return false
	}
	if !k.guest && (len(k.machine.segments) == 0 || len(k.guesses) == maxGroups) {
		return false
	}
	k.guesses = append(k.guesses, constant{p.path, pos, int(p.offset)})
	if k.tails[p.path] == nil {
		k.tails[p.path] = &coverage{}
	}
	k.tails[p.path].add(int(p.offset), k.t.end)
	k.put(c, at, n, p)
	return true
}

// beside says whether a constant of the same path is near.
func (k *code) beside(path int32, pos int64) bool {
	const reach = 2 * near
	for _, known := range k.known {
		if known.path == path && known.at >= pos-reach && known.at <= pos+reach {
			return true
		}
	}
	for _, r := range k.runs {
		if r.path == path && !r.operand && r.at >= pos-reach && r.at <= pos+reach {
			return true
		}
	}
	return false
}

// prove refuses guesses that code does not bear out: whatever loads one has to store it behind constants that make up
// the path from its beginning, each at its distance from the same register.
func (k *code) prove(c *content) {
	if len(k.guesses) == 0 {
		return
	}
	loads := map[int64][]load{}
	for _, l := range k.loads {
		loads[l.from] = append(loads[l.from], l)
	}
	for _, g := range k.guesses {
		ok := !k.tooMany && len(loads[g.at]) > 0
		for _, l := range loads[g.at] {
			ok = ok && k.copied(g, l, loads)
		}
		if !ok {
			k.refuse(c, g.at, "a constant that may be the end of %s", c.m.paths[g.path].from)
		}
	}
}

// copied says whether a guess is copied together with the rest of its path.
func (k *code) copied(g constant, l load, loads map[int64][]load) bool {
	const reach = 4 * near
	var all coverage
	all.add(g.offset, k.t.end)
	for _, other := range k.known {
		if other.path != g.path {
			continue
		}
		for _, o := range loads[other.at] {
			if l.put.ok && o.put.ok && o.put.base == l.put.base && max(o.at-l.at, l.at-o.at) <= reach &&
				o.put.disp-int64(other.offset) == l.put.disp-int64(g.offset) {
				all.add(other.offset, other.offset+16)
			}
		}
	}
	return all.all(k.t.end)
}

// doubtful refuses what may be the end of a path that is made up of constants.
func (k *code) doubtful(c *content) {
	for path, at := range k.faint {
		if k.consts[path] != nil || k.rows[path] {
			k.refuse(c, at, "a constant that may be the end of %s", c.m.paths[path].from)
		}
	}
}

// covered is what constants have of a path, with guesses.
func (k *code) covered(path int32) (all coverage) {
	for _, c := range []*coverage{k.consts[path], k.tails[path]} {
		if c != nil {
			all[0] |= c[0]
			all[1] |= c[1]
		}
	}
	return all
}
