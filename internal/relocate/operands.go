package relocate

import "bytes"

// movabs says whether the bytes in front of a place are an instruction of x86-64 that has eight bytes behind it:
// REX.W B8+r, volume 2 of Intel's manual, MOV.
func movabs(b []byte, at int) bool {
	return at >= 2 && b[at-1]&0xf8 == 0xb8 && b[at-2]&0xf8 == 0x48
}

// within says whether a place is in an operand of eight bytes.
func within(b []byte, at int) bool {
	for d := range window {
		if movabs(b, at-d) {
			return true
		}
	}
	return false
}

// operands repairs the operands of eight bytes that are weak alone, and what follows the last of them.
func (k *code) operands(c *content, from, to int) {
	from, to = max(from, 2), min(to, len(c.buf)-window+1)
	lasts := between(c.places.lasts, from, to)
	for _, at := range between(c.places.movabs, from, to) {
		for ; len(lasts) > 0 && lasts[0] <= at; lasts = lasts[1:] {
			k.lastOf(c, lasts[0])
		}
		k.operand(c, at)
	}
	for _, at := range lasts {
		k.lastOf(c, at)
	}
}

func (k *code) operand(c *content, at int) {
	pos := c.base + int64(at)
	for _, r := range k.runs {
		if r.operand && r.at == pos {
			k.tail(c, at, r.piece)
		}
	}
	pieces := k.t.weakAt(c.buf[at:])
	if len(pieces) == 0 {
		k.cutDirectory(c, at)
		return
	}
	switch p, ok, clash := k.resolve(c, pos, pieces); {
	case clash:
		k.refuse(c, pos, "an operand that may belong to several paths")
	case ok:
		k.put(c, at, window, p)
		k.groups.add(p.path, pos, int(p.offset), window)
		k.tail(c, at, p)
	case k.directory(c, at, pieces):
	default:
		k.unresolved(c, at, pieces)
	}
}

// unresolved refuses an operand that is part of a directory. One that may be an end of a path, without any other operand
// of it nearby, matters only if constants are the rest.
func (k *code) unresolved(c *content, at int, pieces []piece) {
	for _, p := range pieces {
		if p.path >= 0 {
			k.faint[p.path] = c.base + int64(at)
			continue
		}
		k.refuse(c, c.base+int64(at), "an operand %q", c.buf[at:at+window])
		return
	}
}

// resolve says which path an operand belongs to: one that has a strong piece near it.
func (k *code) resolve(c *content, pos int64, pieces []piece) (found piece, ok, clash bool) {
	var text string
	at := int(pos - c.base)
	for _, r := range k.runs {
		if !r.operand || r.at < pos-near || r.at > pos+near {
			continue
		}
		path := c.m.paths[r.path]
		for _, p := range pieces {
			if p.path != r.path && p.path != -1 {
				continue
			}
			// Pieces of the store directory alone are the same for all paths.
			p.path = r.path
			end := min(len(path.fromFull), int(p.offset)+window)
			if !hasPrefix(c.buf[at:], path.fromFull[p.offset:end]) {
				continue
			}
			target := path.toFull[p.offset:end]
			if ok && target != text {
				return piece{}, false, true
			}
			found, ok, text = p, true, target
		}
	}
	return found, ok, false
}

// tail repairs an operand of four bytes that goes on where one of eight ended.
func (k *code) tail(c *content, at int, p piece) {
	const n, reach = 4, 24
	path := c.m.paths[p.path]
	next := int(p.offset) + window
	if next >= k.t.end || next+n > len(path.fromFull) {
		return
	}
	where, times := 0, 0
	for i := at + window + 1; i < at+window+reach && i+n <= len(c.buf); i++ {
		if hasPrefix(c.buf[i:], path.fromFull[next:next+n]) && shortOperand(c.buf, i) && !within(c.buf, i) {
			where = i
			times++
		}
	}
	if times == 1 {
		k.put(c, where, n, piece{p.path, int32(next)})
		k.groups.add(p.path, c.base+int64(where), next, n)
		return
	}
	k.small(c, at, p.path, next)
}

// small notes that an operand of four bytes or less may go on with a path: then constants do not.
func (k *code) small(c *content, at int, path int32, next int) {
	text := c.m.paths[path].fromFull[next:]
	for i := max(8, at-near); i < min(at+near, len(c.buf)-4); i++ {
		if c.buf[i] != text[0] || within(c.buf, i) {
			continue
		}
		four := hasPrefix(c.buf[i:], text[:min(4, len(text))]) && shortOperand(c.buf, i)
		two := hasPrefix(c.buf[i:], text[:2]) && bytes.IndexByte(c.buf[i-8:i], 0x66) >= 0
		if four || two || bytes.IndexByte(c.buf[i-7:i], 0xc6) >= 0 || c.buf[i-1] == 0x3c || bytes.IndexByte(c.buf[i-7:i], 0x80) >= 0 {
			if k.smalls[path] == nil {
				k.smalls[path] = &coverage{}
			}
			k.smalls[path].add(next, next+1)
			return
		}
	}
}

// shortOperand says whether an operand of up to four bytes can be at a place: MOV or CMP with a memory operand of up
// to five bytes, MOV or CMP with a register.
func shortOperand(b []byte, at int) bool {
	for back := 1; back <= 7 && back <= at; back++ {
		switch op := b[at-back]; {
		case op == 0xc7 && back >= 2, op == 0x81 && back >= 2, op == 0x3d && back == 1, op&0xf8 == 0xb8 && back == 1:
			return true
		}
	}
	return false
}

// lastOf notes an operand of four bytes that is the end of a hash part perhaps: it may belong to constants.
func (k *code) lastOf(c *content, at int) {
	w := load32(c.buf[at:])
	if !k.t.lasts.has(uint64(w)) || !shortOperand(c.buf, at) || movabs(c.buf, at) {
		return
	}
	for _, path := range k.t.last[w] {
		k.lasts[path] = c.base + int64(at)
	}
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
			if !movabs(c.buf, i) {
				continue
			}
			for j := 0; j+window <= len(d.from); j++ {
				if _, ok := places[j]; !ok && hasPrefix(c.buf[i:], d.from[j:j+window]) {
					places[j] = i
					mask.add(j, j+window)
				}
			}
		}
		done := 0
		for done < len(d.from) && mask.has(done) {
			done++
		}
		where, ok := rest(c.buf, at, d.from[done:])
		if !ok || places[0] != at {
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
func rest(b []byte, at int, text string) (where int, ok bool) {
	if text == "" {
		return 0, true
	}
	const reach = 24
	times := 0
	for i := at + window + 1; i < at+window+reach && i+len(text) <= len(b); i++ {
		if hasPrefix(b[i:], text) && shortOperand(b, i) && !within(b, i) {
			where = i
			times++
		}
	}
	return where, times == 1 && len(text) <= 4 && len(text) > 1
}

// cutDirectory refuses a directory that begins within an operand of eight bytes and goes on in another one.
func (k *code) cutDirectory(c *content, at int) {
	const reach = 48
	if !hasByte(load64(c.buf[at:]), '/') {
		return
	}
	for _, d := range c.m.dirs {
		for n := 1; n < window; n++ {
			if d.from == d.to || !hasSuffix(c.buf[at:at+window], d.from[:n]) {
				continue
			}
			for i := at + window + 2; i < min(at+window+reach, len(c.buf)-window); i++ {
				if goesOn(c.buf, i, d.from, n) {
					k.refuse(c, c.base+int64(at), "operands with parts of %s", d.from)
					return
				}
			}
		}
	}
}

// goesOn says whether an operand has what follows the first n bytes of a directory; it may have some of those too.
func goesOn(b []byte, at int, dir string, n int) bool {
	if !movabs(b, at) {
		// With four more bytes it is enough to be no other text.
		return n >= 3 && len(dir) >= n+4 && shortOperand(b, at) && hasPrefix(b[at:], dir[n:n+4])
	}
	for from := n; from > 0; from-- {
		if hasPrefix(b[at:], dir[from:min(len(dir), from+window)]) {
			return true
		}
	}
	return false
}
