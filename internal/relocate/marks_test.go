package relocate

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// words are the words of marks, without those behind them.
func (m *marks) words() (all [][]uint64) {
	for _, w := range [][]uint64{m.digit, m.graph, m.zero, m.edge, m.pair} {
		all = append(all, w[:min(m.n, len(w))]) // nobody may have asked for the edges
	}
	return all
}

func (m *codeMarks) words(n int) [][]uint64 {
	return [][]uint64{m.movabs[:n], m.load[:n], m.near[:n], m.far[:n]}
}

// sized has room for n blocks.
func sized(n int) (m marks, c codeMarks) {
	m = marks{n, resize(nil, n), resize(nil, n), resize(nil, n), resize(nil, n), resize(nil, n)}
	return m, codeMarks{resize(nil, n), resize(nil, n), resize(nil, n), resize(nil, n)}
}

// some are pairs; the fourth is the third once more.
var some = [][2]byte{{'\\', '/'}, {'!', 0x7f}, {'p', 't'}}

// TestMarks: every byte, and every pair of bytes with some others, is marked as it should be, at every place of a block.
func TestMarks(t *testing.T) {
	k := newKinds(some, true)
	for place := range block {
		for first := range 256 {
			for _, second := range []int{0, 0x05, 0x15, 0x2f, 0x74, 0x7f, 0x80, 0xb8, 0xbf, 0xc0, 0xff} {
				b := make([]byte, 2*block+1)
				b[place], b[place+1] = byte(first), byte(second)
				same(t, k, b)
			}
		}
	}
	// Any length, wherever it begins.
	r := rand.New(rand.NewPCG(1, 1))
	b := make([]byte, 1000)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	for n := range 300 {
		same(t, k, b[n:2*n])
	}
}

// TestPlainMarks: what bytes are marked as is what is said of them.
func TestPlainMarks(t *testing.T) {
	k := newKinds(some, true)
	m, c := sized(1)
	for first := range 256 {
		for second := range 256 {
			b := make([]byte, block+1)
			b[5], b[6] = byte(first), byte(second)
			k.markPlainly(&m, 0, 1, b)
			markCodePlainly(&c, 0, 1, b)
			for name, x := range map[string]struct{ got, want bool }{
				"digit":  {m.digit[0]>>5&1 != 0, strings.IndexByte("0123456789abcdfghijklmnpqrsvwxyz", byte(first)) >= 0},
				"graph":  {m.graph[0]>>5&1 != 0, first > ' ' && first < 0x80},
				"zero":   {m.zero[0]>>5&1 != 0, first == 0},
				"edge":   {m.edge[0]>>5&1 != 0, first == '/' || first == '-'},
				"pair":   {m.pair[0]>>5&1 != 0, slices.Contains(some, [2]byte{byte(first), byte(second)})},
				"movabs": {c.movabs[0]>>5&1 != 0, movabs(b, 7)},
				"short":  {c.near[0]>>5&1 != 0, shortOperand(b[5:7], 1)},
				"far":    {c.far[0]>>5&1 != 0, shortOperand([]byte{byte(first), 0, 0}, 2) || first == 0xc1 || first == 0x87},
			} {
				if x.got != x.want {
					t.Fatalf("%s of %x %x: got %v", name, first, second, x.got)
				}
			}
		}
	}
}

// same holds the marks of b against those that are made byte by byte.
func same(t *testing.T, k *kinds, b []byte) {
	t.Helper()
	n := blocks(b)
	full := append(slices.Clone(b), make([]byte, block+1)...)
	want, wantCode := sized(n)
	k.markPlainly(&want, 0, n, full)
	markCodePlainly(&wantCode, 0, n, full)
	var got marks
	var code codeMarks
	k.mark(&got, b)
	k.markCode(&code, b)
	if !slices.EqualFunc(want.words(), got.words(), slices.Equal) {
		t.Fatalf("%q: (-want +got)\n%s", b, cmp.Diff(want.words(), got.words()))
	}
	if !slices.EqualFunc(wantCode.words(n), code.words(n), slices.Equal) {
		t.Fatalf("%q: (-want +got)\n%s", b, cmp.Diff(wantCode.words(n), code.words(n)))
	}
}

// TestBusy: blocks that are looked at together are those that are when each is.
func TestBusy(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	word := func() uint64 {
		switch x := r.Uint64(); r.IntN(5) {
		case 0:
			return x & r.Uint64() & r.Uint64()
		case 1:
			return x | r.Uint64() | r.Uint64()
		case 2:
			return ^uint64(0) << r.IntN(64) >> r.IntN(64)
		case 3:
			return 0x5555555555555555 << r.IntN(2)
		default:
			return 0
		}
	}
	for range 20000 {
		n := 1 + r.IntN(40)
		m, c := sized(n)
		for _, w := range append(m.words(), c.words(n)...) {
			if r.IntN(2) == 0 {
				continue
			}
			for i := range w {
				w[i] = word()
			}
		}
		first := r.IntN(n)
		pattern := uint64(0x0001000100010001) << r.IntN(16)
		all := (n + together - 1) / together
		rest := (n - first + together - 1) / together
		got, want := make([]uint8, all), make([]uint8, all)
		hold := func(what string) {
			t.Helper()
			if !slices.Equal(got, want) {
				t.Fatalf("%s: got %x, want %x, of %x and %x", what, got, want, m.words(), c.words(n))
			}
		}
		m.texts(got, m.graph)
		plainly(want, func(i int) bool { return m.hasText(i, m.graph) })
		hold("texts")
		m.pieces(got, &c)
		plainly(want, func(i int) bool { return m.hasPiece(&c, i) })
		hold("pieces")
		got, want = got[:rest], want[:rest]
		m.constants(got, first, pattern)
		plainly(want, func(i int) bool { return m.hasConstant(first+i, pattern) })
		hold("constants")
	}
}

// TestPlaces: nothing is left out of what has to be looked at, wherever in a block it is.
func TestPlaces(t *testing.T) {
	m := small(t)
	r := rand.New(rand.NewPCG(2, 2))
	letters := []byte("0a9fzep/-=\x00\xb8\x48\xc7A%2\\ ")
	var p places
	all := make(pairSet, 1<<16/64)
	for i := range all {
		all[i] = 1<<64 - 1
	}
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
		phase := r.IntN(16)
		var constants []int
		p.constants(b, phase, 0, max(0, len(b)-15), all, func(at int) { constants = append(constants, at) })
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
			if n := strong(b, at); n > 0 && !slices.Contains(p.runs, at) {
				t.Fatalf("%q: %d digits at %d", b, n, at)
			}
			if at%16 == phase && constantAt(b, at) && !slices.Contains(constants, at) {
				t.Fatalf("%q: a constant at %d", b, at)
			}
			if movabs(b, at) && !slices.Contains(p.movabs, at) {
				t.Fatalf("%q: an operand at %d", b, at)
			}
			if at+4 <= len(b) && isBase32[b[at]] && nameChar[b[at+1]] && nameChar[b[at+2]] && nameChar[b[at+3]] &&
				shortOperand(b, at) && !slices.Contains(p.lasts, at) {
				t.Fatalf("%q: four bytes at %d", b, at)
			}
			if at%8 == 0 && at+8 <= len(b) {
				if _, ok := wideRunAt(b, at, at); ok && onlyGraphs(b[at:at+8]) && !slices.Contains(p.wide, at) {
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
		var want marks
		m.kinds.mark(&want, b)
		if diff := cmp.Diff(want.words(), p.marks.words()); diff != "" {
			t.Fatalf("%q: %d to %d: (-want +got)\n%s", b, from, to, diff)
		}
	}
}

// strong is how many digits begin at a place, if a window of eight bytes has enough of them, and the others are an edge
// and what is beyond.
func strong(b []byte, at int) int {
	end := at
	for end < len(b) && isBase32[b[end]] {
		end++
	}
	n := end - at
	edge := at > 0 && b[at-1] == '/' || end < len(b) && b[end] == '-'
	if at > 0 && isBase32[b[at-1]] || n < enough || n < window && !edge {
		return 0
	}
	return n
}

// constantAt says whether sixteen bytes may begin with a piece of a text.
func constantAt(b []byte, at int) bool {
	if at+16 > len(b) {
		return false
	}
	return isTail(load64(b[at:])) || !slices.ContainsFunc(b[at:at+window], func(c byte) bool { return c <= ' ' || c >= 0x80 })
}

// onlyGraphs says whether there is no other byte than letters and zeros.
func onlyGraphs(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 && (c <= ' ' || c >= 0x80) })
}
