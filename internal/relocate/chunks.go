package relocate

import "encoding/binary"

// Compilers put short texts into code: eight bytes at a time as immediate operands, or sixteen in constants that may
// be anywhere (Guix bugs 24703 and 30395). What is left of a path then is found by windows of eight bytes.

const window = 8

// enough is how many characters of a hash part make a window strong: it cannot stand anywhere by chance.
const enough = 5

// piece says which part of which path a window is: eight bytes from an offset on.
type piece struct {
	path   int32 // below zero for a directory alone: -1 is the store
	offset int32
}

// chunkTable has the windows of all paths.
type chunkTable struct {
	strong map[uint64]piece
	// twice are strong windows of several paths: which one is meant cannot be told.
	twice map[uint64]bool
	weak  map[uint64][]piece // with fewer characters of the hash part, or none
	sieve []uint64           // a bit for each strong window
	hash  int                // offset of the hash part in a path
}

func load64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

func newChunkTable(m *Map) chunkTable {
	hash := len(m.dirs[0].from) + 1
	t := chunkTable{strong: map[uint64]piece{}, twice: map[uint64]bool{}, weak: map[uint64][]piece{}, hash: hash}
	size := 1 << 12
	for size < 32*hashLen*len(m.paths) {
		size *= 2
	}
	t.sieve = make([]uint64, size/64)
	for i, d := range m.dirs {
		text := []byte(d.from)
		for k := 0; k+window <= len(text); k++ {
			w := load64(text[k:])
			t.weak[w] = append(t.weak[w], piece{int32(-1 - i), int32(k)})
		}
	}
	if text := []byte(m.dirs[0].from + "/"); len(text) >= window {
		w := load64(text[len(text)-window:])
		t.weak[w] = append(t.weak[w], piece{-1, int32(len(text) - window)})
	}
	for i, p := range m.paths {
		text := []byte(p.fromFull)
		for k := max(0, hash-window+1); k+window <= len(text) && k < hash+hashLen; k++ {
			w := load64(text[k:])
			if inHash := min(k+window, hash+hashLen) - max(k, hash); inHash < enough {
				t.weak[w] = append(t.weak[w], piece{int32(i), int32(k)})
				continue
			}
			if _, ok := t.strong[w]; ok {
				t.twice[w] = true
			}
			t.strong[w] = piece{int32(i), int32(k)}
			s := t.slot(w)
			t.sieve[s/64] |= 1 << (s % 64)
		}
	}
	return t
}

// slot is the bit that a window has in the sieve.
func (t *chunkTable) slot(w uint64) uint64 {
	return (w * 0x9e3779b97f4a7c15) >> 40 % (uint64(len(t.sieve)) * 64)
}

// next returns the first strong window in b that begins in [from, to).
func (t *chunkTable) next(b []byte, from, to int) (at int, p piece, ok bool) {
	to = min(to, len(b)-window+1)
	for at = from; at < to; {
		// The bytes in the middle of a strong window are of the hash part.
		if !isBase32[b[at+4]] {
			at += 2
			continue
		}
		if !isBase32[b[at+3]] {
			at++
			continue
		}
		w := load64(b[at:])
		if s := t.slot(w); t.sieve[s/64]&(1<<(s%64)) != 0 {
			if p, ok := t.strong[w]; ok {
				return at, p, true
			}
		}
		at++
	}
	return 0, piece{}, false
}
