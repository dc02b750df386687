package relocate

import (
	"bytes"

	"zombiezen.com/go/nix/nixbase32"
)

// isBase32 says which bytes are digits of Nix's base 32.
var isBase32 = func() (t [256]bool) {
	for c := range t {
		t[c] = nixbase32.Is(byte(c))
	}
	return t
}()

// isWord says which bytes go on with a file name, so that a directory in front of them is part of a longer one.
var isWord = func() (t [256]bool) {
	for _, c := range []byte("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-_") {
		t[c] = true
	}
	return t
}()

// nameChar says which bytes a store path has behind its directory.
var nameChar = func() (t [256]bool) {
	for c := range t {
		t[c] = isWord[c] || c == '.' || c == '?' || c == '='
	}
	return t
}()

// hitKind says what was found.
type hitKind uint8

const (
	hitHash    hitKind = iota // a mapped hash part
	hitDir                    // a mapped directory, with a mapped hash part behind it, or alone
	hitBare                   // a mapped store directory alone
	hitForeign                // the store directory before a hash part that is not mapped
	hitWord                   // a directory as the beginning of a longer name
	hitSpelled                // a directory with escaped separators
)

// hit is one place in a text.
type hit struct {
	kind hitKind
	at   int
	n    int    // bytes
	to   string // what they become; empty if they stay
	path int32  // of a hash part
}

// scan calls f for every hit in b that begins in [from, to); hash parts begin behind hashes only.
// It looks behind to, as far as b goes. Directories come first, then hash parts from left to right,
// which do not overlap.
func (m *Map) scan(b []byte, from, hashes, to int, f func(hit)) {
	m.scanDirs(b, from, to, f)
	m.scanSpelled(b, from, to, f)
	m.scanHashes(b, max(from, hashes), to, f)
}

// each does so for a text as a whole.
func (m *Map) each(b []byte, f func(hit)) { m.scan(b, 0, 0, len(b), f) }

// scanPlaces does the same as scan, where something may be.
func (m *Map) scanPlaces(b []byte, p *places, from, hashes, to int, f func(hit)) {
	if m.leads == nil {
		m.scanDirs(b, from, to, f)
	}
	m.scanPairs(b, between(p.pairs, from, to+window), from, to, f)
	next := max(from, hashes)
	for _, s := range p.hashes {
		if at, end := max(s.from, next), min(s.to, to); at < end {
			next = m.scanHashes(b, at, end, f)
		}
	}
}

// scanPairs looks for directories where pairs of bytes are.
func (m *Map) scanPairs(b []byte, pairs []int, from, to int, f func(hit)) {
	next := from
	for _, p := range pairs {
		if c := b[p]; (c == '\\' || c == '%') && p >= from && p < to {
			m.spelledAt(b, p, f)
		}
		for i := range m.leads {
			at := p - m.leads[i].offset
			if at < next || at >= to || b[at] != '/' {
				continue
			}
			if j := m.dirAt(b[at:]); j >= 0 {
				f(m.classify(b, at, &m.dirs[j], j == 0))
				next = at + len(m.dirs[j].from)
			}
		}
	}
}

// dirAt says which directory a text begins with, the longest if there are several.
func (m *Map) dirAt(b []byte) int {
	found := -1
	for j := range m.dirs {
		if hasPrefix(b, m.dirs[j].from) && (found < 0 || len(m.dirs[j].from) > len(m.dirs[found].from)) {
			found = j
		}
	}
	return found
}

func (m *Map) scanDirs(b []byte, from, to int, f func(hit)) {
	for at := from; at < to; at++ {
		i := bytes.IndexByte(b[at:to], '/')
		if i < 0 {
			return
		}
		at += i
		if j := m.dirAt(b[at:]); j >= 0 {
			f(m.classify(b, at, &m.dirs[j], j == 0))
			at += len(m.dirs[j].from) - 1
		}
	}
}

// classify says what a directory at that place is.
func (m *Map) classify(b []byte, at int, d *dir, store bool) hit {
	h := hit{kind: hitDir, at: at, n: len(d.from), to: d.to}
	rest := b[at+len(d.from):]
	if len(rest) > 0 && isWord[rest[0]] {
		return hit{kind: hitWord, at: at, n: len(d.from)}
	}
	if !store {
		return h
	}
	n := 0
	for n < len(rest) && rest[n] == '/' {
		n++
	}
	if rest = rest[n:]; n == 0 || len(rest) < hashLen {
		h.kind = hitBare
		return h
	}
	for _, c := range rest[:hashLen] {
		if !isBase32[c] {
			h.kind = hitBare
			return h
		}
	}
	if _, ok := m.byFrom[[hashLen]byte(rest)]; ok {
		return h
	}
	if len(rest) > hashLen && rest[hashLen] == '-' {
		return hit{kind: hitForeign, at: at, n: len(d.from)}
	}
	h.kind = hitBare
	return h
}

// scanSpelled looks for directories with escaped separators: they begin with a backslash or a percent sign.
func (m *Map) scanSpelled(b []byte, from, to int, f func(hit)) {
	for _, first := range []byte{'\\', '%'} {
		for at := from; at < to; at++ {
			i := bytes.IndexByte(b[at:to], first)
			if i < 0 {
				break
			}
			at += i
			m.spelledAt(b, at, f)
		}
	}
}

func (m *Map) spelledAt(b []byte, at int, f func(hit)) {
	for _, d := range m.dirs {
		for _, s := range d.spelled {
			if hasPrefix(b[at:], s.from) && (len(b) == at+len(s.from) || !isWord[b[at+len(s.from)]]) {
				f(hit{kind: hitSpelled, at: at, n: len(s.from), to: s.to})
				return
			}
		}
	}
}

// scanHashes looks backwards from where a hash part would end: the last byte that is no digit rules out all places
// before it. It returns where no hash part begins before.
func (m *Map) scanHashes(b []byte, from, to int, f func(hit)) int {
	at := from
	for at < to && at+hashLen <= len(b) {
		j := at + hashLen - 1
		for j >= at && isBase32[b[j]] {
			j--
		}
		if j >= at {
			at = j + 1
			continue
		}
		// A run of digits that is longer than a hash part is looked through place by place.
		for {
			if i, ok := m.byFrom[[hashLen]byte(b[at:])]; ok {
				f(hit{hitHash, at, hashLen, m.paths[i].to[:hashLen], i})
				at += hashLen
				break
			}
			at++
			if at >= to || at+hashLen > len(b) || !isBase32[b[at+hashLen-1]] {
				break
			}
		}
	}
	return at
}

func hasPrefix(b []byte, s string) bool { return len(b) >= len(s) && string(b[:len(s)]) == s }

// replaceString replaces everything in a short text, and says how often.
func (m *Map) replaceString(b []byte) (hits []hit) {
	m.each(b, func(h hit) {
		hits = append(hits, h)
		if h.to != "" {
			copy(b[h.at:], h.to)
		}
	})
	return hits
}
