package relocate

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestMarks: every byte, and every pair of bytes with some others, is marked as it should be, at every place of a block.
func TestMarks(t *testing.T) {
	k := newKinds([][2]byte{{'\\', '/'}, {0, 0xff}, {'p', 't'}})
	if k.first[3] != k.first[2] {
		t.Error("pairs are not filled up")
	}
	for place := range block {
		for first := range 256 {
			for _, second := range []int{0, 0x05, 0x15, 0x2f, 0x74, 0x80, 0xb8, 0xbf, 0xc0, 0xff} {
				b := make([]byte, 2*block+1)
				b[place], b[place+1] = byte(first), byte(second)
				same(t, k, b)
			}
		}
	}
	// Any length, wherever it begins.
	r := rand.New(rand.NewPCG(1, 1))
	some := make([]byte, 1000)
	for i := range some {
		some[i] = byte(r.Uint32())
	}
	for n := range 300 {
		same(t, k, some[n:2*n])
	}
}

// same holds the marks of b against those that are made byte by byte.
func same(t *testing.T, k *kinds, b []byte) {
	t.Helper()
	n := (len(b) + block - 1) / block
	full := append(slices.Clone(b), make([]byte, block+1)...)
	want, wantCode := make([]marks, n), make([]codeMarks, n)
	k.markPlainly(want, full)
	k.markCodePlainly(wantCode, full)
	if got := k.mark(nil, b); !slices.Equal(got, want) {
		t.Fatalf("%q: got %x, want %x", b, got, want)
	}
	if got := k.markCode(nil, b); !slices.Equal(got, wantCode) {
		t.Fatalf("%q: got %x, want %x", b, got, wantCode)
	}
}

// TestPlaces: nothing is left out of what has to be looked at, wherever in a block it is.
func TestPlaces(t *testing.T) {
	m := small(t)
	r := rand.New(rand.NewPCG(2, 2))
	letters := []byte("0a9fzep/-=\x00\xb8\x48\xc7A%2\\ ")
	var p places
	for range 20000 {
		b := make([]byte, 1+r.IntN(400))
		for i := range b {
			b[i] = letters[r.IntN(1+r.IntN(len(letters)))]
			if i > 0 && r.IntN(3) > 0 {
				b[i] = b[i-1]
			}
		}
		p.texts(m.kinds, b, true)
		p.pieces(m.kinds, b)
		covered := func(list []span, at int) bool {
			return slices.ContainsFunc(list, func(s span) bool { return s.from <= at && at < s.to })
		}
		digits := 0 // in a row
		graphs := 0
		for at := range b {
			digits, graphs = digits+1, graphs+1
			if !isBase32[b[at]] {
				digits = 0
			}
			if !isBase64[b[at]] {
				graphs = 0
			}
			if digits >= hashLen && !covered(p.hashes, at-hashLen+1) {
				t.Fatalf("%q: a hash part at %d", b, at-hashLen+1)
			}
			if graphs >= minLine && !covered(p.base64, at-minLine/2) {
				t.Fatalf("%q: base64 at %d", b, at)
			}
			if digits == enough && !slices.Contains(p.runs, at-enough+1) {
				t.Fatalf("%q: digits at %d", b, at-enough+1)
			}
			if movabs(b, at) && !slices.Contains(p.movabs, at) {
				t.Fatalf("%q: an operand at %d", b, at)
			}
			if at+4 <= len(b) && isBase32[b[at]] && nameChar[b[at+1]] && nameChar[b[at+2]] && nameChar[b[at+3]] &&
				shortOperand(b, at) && !slices.Contains(p.lasts, at) {
				t.Fatalf("%q: four bytes at %d", b, at)
			}
			if at%8 == 0 && at+8 <= len(b) {
				if _, ok := wideRunAt(b, at, at); ok && !slices.Contains(p.wide, at) {
					t.Fatalf("%q: letters at %d", b, at)
				}
			}
		}
		// What changes is marked again.
		from := r.IntN(len(b))
		to := from + r.IntN(len(b)-from+1)
		for i := from; i < to; i++ {
			b[i] = letters[r.IntN(len(letters))]
		}
		p.again(m.kinds, b, from, to)
		if want := m.kinds.mark(nil, b); !slices.Equal(p.marks, want) {
			t.Fatalf("%q: %d to %d: got %x, want %x", b, from, to, p.marks, want)
		}
	}
}
