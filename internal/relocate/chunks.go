package relocate

import "encoding/binary"

// Compilers put short texts into code: eight bytes at a time as immediate operands, or sixteen in constants that may
// be anywhere (Guix bugs 24703 and 30395). What is left of a path then is found by windows of eight bytes.

const window = 8

// enough is how many characters of a hash part make a window strong: it cannot stand anywhere by chance.
const enough = 5

// piece says which part of which path a window is: the bytes from an offset on.
type piece struct {
	path   int32 // below zero for a directory alone: -1 is the store
	offset int32
}

// chunkTable has the windows of all paths.
type chunkTable struct {
	end    int // of the hash part in a path
	strong map[uint64]piece
	twice  map[uint64]bool    // strong windows of several paths: which one is meant cannot be told
	weak   map[uint64][]piece // with fewer characters of the hash part, or none
	short  map[uint64][]piece // weak ones that are cut by the end of the path; the first byte is their length
	last   map[uint32][]int32 // the last characters of a hash part in four bytes, and of which paths
	sieves [2]sieve           // of strong and of weak windows
	shorts sieve              // of the keys of short
	grams  sieve              // what weak windows begin with that begin with four bytes of a directory
	lasts  sieve
	begins pairSet // what windows of grams begin with
}

// pairSet says which pairs of bytes are in a set.
type pairSet []uint64

func (s pairSet) add(w uint64) { s[w&0xffff/64] |= 1 << (w & 63) }

// has looks at the first two of eight bytes.
func (s pairSet) has(w uint64) bool { return s[w&0xffff/64]&(1<<(w&63)) != 0 }

// sieve says quickly that something is not in a set: all that is in it has its three bits set in one word.
type sieve []uint64

func newSieve(n int) sieve {
	size := 1 << 6
	for size < n/6 { // of the bits of a word, less than a quarter are set
		size *= 2
	}
	return make(sieve, size)
}

func (s sieve) slot(w uint64) (word, bits uint64) {
	h := w * 0x9e3779b97f4a7c15
	return h >> 32 & uint64(len(s)-1), 1<<(h>>26&63) | 1<<(h>>20&63) | 1<<(h>>14&63)
}

func (s sieve) add(w uint64) {
	word, bits := s.slot(w)
	s[word] |= bits
}

func (s sieve) has(w uint64) bool {
	word, bits := s.slot(w)
	return s[word]&bits == bits
}

func load64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }
func load32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }

// cut is the key of a window of which only n bytes count.
func cut(w uint64, n int) uint64 { return w&(1<<(8*n)-1)<<8 | uint64(n) }

func newChunkTable(m *Map) chunkTable {
	t := chunkTable{
		end:    len(m.dirs[0].from) + 1 + hashLen,
		strong: map[uint64]piece{}, twice: map[uint64]bool{}, weak: map[uint64][]piece{},
		short: map[uint64][]piece{}, last: map[uint32][]int32{},
		sieves: [2]sieve{newSieve(hashLen * len(m.paths)), newSieve(16 * len(m.paths))},
		shorts: newSieve(len(m.paths)), grams: newSieve(1), lasts: newSieve(4 * len(m.paths)), begins: make(pairSet, 1<<16/64),
	}
	for i, d := range m.dirs {
		for k := 0; k+window <= len(d.from); k++ {
			t.addWeak([]byte(d.from[k:]), piece{int32(-1 - i), int32(k)})
		}
	}
	store := m.dirs[0].from + "/"
	t.addWeak([]byte(store[len(store)-window:]), piece{-1, int32(len(store) - window)})
	for i, p := range m.paths {
		t.addPath(int32(i), []byte(p.fromFull))
	}
	return t
}

func (t *chunkTable) addWeak(text []byte, p piece) {
	w := load64(text)
	t.weak[w] = append(t.weak[w], p)
	t.sieves[1].add(w)
	if int(p.offset)+4 <= t.end-hashLen || p.path < -1 {
		t.grams.add(uint64(load32(text)))
		t.begins.add(w)
	}
}

func (t *chunkTable) addPath(path int32, text []byte) {
	hash := t.end - hashLen
	for k := hash - window + 1; k < t.end; k++ {
		p := piece{path, int32(k)}
		inHash := min(k+window, t.end) - max(k, hash)
		switch {
		case k+window > len(text): // the name is short
			var b [window]byte
			n := copy(b[:], text[k:])
			key := cut(load64(b[:]), n)
			t.short[key] = append(t.short[key], p)
			t.shorts.add(key)
		case inHash < enough:
			t.addWeak(text[k:], p)
		default:
			w := load64(text[k:])
			if _, ok := t.strong[w]; ok {
				t.twice[w] = true
			}
			t.strong[w] = p
			t.sieves[0].add(w)
		}
	}
	for k := t.end - 4; k < t.end && k+4 <= len(text); k++ {
		w := load32(text[k:])
		t.last[w] = append(t.last[w], path)
		t.lasts.add(uint64(w))
	}
}

// strongIn calls f for every strong window of b that begins in [from, to) and has its digits in the run of digits that
// begins at start. What f returns is where it goes on.
func (t *chunkTable) strongIn(b []byte, start, from, to int, f func(at int, p piece) int) {
	to = min(to, len(b)-window+1)
	end := start
	for end < len(b) && isBase32[b[end]] {
		end++
	}
	// Such a window is in the hash part, or in the end of the directory as well, or in the beginning of the name.
	first, last := start, end-window
	if start > 0 && b[start-1] == '/' {
		first = start - (window - enough)
	}
	if end < len(b) && b[end] == '-' {
		last = end - enough
	}
	for at := max(first, from); at <= last && at < to; at++ {
		if w := load64(b[at:]); t.sieves[0].has(w) {
			if p, ok := t.strong[w]; ok {
				at = max(at+1, f(at, p)) - 1
			}
		}
	}
}

// weakAt returns what the eight bytes b begin with may be, of windows that are weak.
func (t *chunkTable) weakAt(b []byte) []piece {
	w := load64(b)
	tail := isTail(w)
	if !tail && !t.grams.has(w&0xffffffff) {
		return nil
	}
	var found []piece
	if t.sieves[1].has(w) {
		found = t.weak[w]
	}
	if !tail || len(t.short) == 0 {
		return found
	}
	for n := 3; n < window; n++ {
		if key := cut(w, n); t.shorts.has(key) {
			found = append(found[:len(found):len(found)], t.short[key]...)
		}
	}
	return found
}

// isTail says whether eight bytes may be the last digits of a hash part, and the name.
func isTail(w uint64) bool {
	n := 0
	for n < window && isBase32[byte(w>>(8*n))] {
		n++
	}
	return n > 0 && n < window && byte(w>>(8*n)) == '-'
}

// hasByte says whether one of eight bytes is c.
func hasByte(w uint64, c byte) bool {
	const ones = 0x0101010101010101
	w ^= ones * uint64(c)
	return (w-ones)&^w&highs != 0
}
