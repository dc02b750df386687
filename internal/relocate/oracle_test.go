package relocate

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// small is a map for fuzzing, whose hash parts overlap in nasty ways.
func small(t testing.TB) *Map {
	t.Helper()
	m, err := NewMap(MapOptions{
		Store: Dir{"/opt/store", "/srv/store"},
		Dirs:  []Dir{{"/opt/var/nix", "/srv/var/nix"}},
		Paths: map[string]string{
			strings.Repeat("a", 32) + "-x":       strings.Repeat("z", 32) + "-x",
			strings.Repeat("ab", 16) + "-y":      strings.Repeat("yz", 16) + "-y",
			"0" + strings.Repeat("a", 31) + "-z": strings.Repeat("w", 32) + "-z",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// naive replaces place by place, from left to right: first where letters follow each other, then where they do not.
func naive(m *Map, in []byte) []byte {
	out := bytes.Clone(in)
	for _, strides := range [][]int{{1}, {2, 4}} {
		in := bytes.Clone(out)
		taken := map[int]int{}
		for at := range in {
			for _, stride := range strides {
				naiveAt(m, in, out, at, stride, taken)
			}
			if len(strides) > 1 { // what was replaced is not looked at again
				copy(in[at:], out[at:min(len(out), at+400)])
			}
		}
	}
	return out
}

func naiveAt(m *Map, in, out []byte, at, stride int, taken map[int]int) {
	for i := range m.dirs {
		d := m.dirs[i]
		if there(in, at, stride, d.from) && bareOrMapped(m, in, at, stride, &d, i == 0) {
			put(out, at, stride, d.to)
		}
		for _, s := range d.spelled {
			if there(in, at, stride, s.from) && !isWord[letterAt(in, at, stride, len(s.from))] {
				put(out, at, stride, s.to)
			}
		}
	}
	if at < taken[stride] {
		return
	}
	for _, p := range m.paths {
		if there(in, at, stride, p.from[:hashLen]) {
			put(out, at, stride, p.to[:hashLen])
			taken[stride] = at + hashLen*stride
		}
	}
}

// letterAt is letter number n of a text that begins at a place, or zero if the text has ended.
func letterAt(b []byte, at, stride, n int) byte {
	i := at + n*stride
	if i >= len(b) || stride > 1 && b[i] >= 0x80 {
		return 0
	}
	for j := i - 1; n > 0 && j > i-stride; j-- {
		if b[j] != 0 {
			return 0
		}
	}
	return b[i]
}

func there(b []byte, at, stride int, text string) bool {
	for n := range len(text) {
		if letterAt(b, at, stride, n) != text[n] {
			return false
		}
	}
	return true
}

func put(b []byte, at, stride int, text string) {
	for n := range len(text) {
		b[at+n*stride] = text[n]
	}
}

func bareOrMapped(m *Map, b []byte, at, stride int, d *dir, store bool) bool {
	n := len(d.from)
	if isWord[letterAt(b, at, stride, n)] {
		return false
	}
	if !store {
		return true
	}
	slashes := 0
	for letterAt(b, at, stride, n) == '/' {
		slashes++
		n++
	}
	var hash [hashLen]byte
	for i := range hash {
		hash[i] = letterAt(b, at, stride, n+i)
		if !isBase32[hash[i]] {
			return true
		}
	}
	_, mapped := m.byFrom[hash]
	return slashes == 0 || mapped || letterAt(b, at, stride, n+hashLen) != '-'
}

// expand makes a content of a fuzzer's bytes: most stand for themselves, some for what is replaced.
func expand(data []byte) []byte {
	words := []string{
		"/opt/store", "/opt/store/", "/opt/var/nix", `\/opt\/store`, "%2Fopt%2Fstore%2F",
		strings.Repeat("a", 32), strings.Repeat("ab", 16), "0" + strings.Repeat("a", 31), strings.Repeat("a", 70),
		"/opt/store/" + strings.Repeat("a", 32) + "-x", "/opt/store/" + strings.Repeat("f", 32) + "-x", "b" + strings.Repeat("a", 20),
	}
	var b []byte
	for i, c := range data {
		if c < 0xc0 {
			b = append(b, c)
			continue
		}
		word := words[int(c)%len(words)]
		switch c >> 4 & 3 {
		case 1:
			b = append(b, wide(word, 2)...)
		case 2:
			b = append(b, wide(word, 4)...)
		default:
			b = append(b, word...)
		}
		if i == len(data)/2 { // so that a buffer ends somewhere
			b = append(b, bytes.Repeat([]byte{c, '/'}, int(c)*50)...)
		}
	}
	return b
}

func wide(s string, stride int) []byte {
	b := make([]byte, len(s)*stride)
	put(b, 0, stride, s)
	return b
}

// rewriteIn streams a content through a small buffer, in pieces.
func rewriteIn(t testing.TB, m *Map, in []byte, r *rand.Rand) ([]byte, *tally, bool) {
	var out bytes.Buffer
	refused := false
	c := &content{m: m, out: &out, size: 3*ahead + 2*behind, tally: newTally(m), note: func(f Finding) { refused = refused || f.Verdict == Refused }}
	for rest := in; len(rest) > 0; {
		n := min(len(rest), 1+r.IntN(5000))
		if _, err := c.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), c.tally, refused
}

// FuzzContent holds the search that skips, in a buffer that moves, against one that looks at every place.
func FuzzContent(f *testing.F) {
	f.Add([]byte("hello"), uint64(1))
	f.Add([]byte("\xc0\xc1\xc2\xc3\xc4\xc5\xc6\xc7\xc8\xc9\xca\xcb"), uint64(2))
	f.Add([]byte("\xd0\xd1\xd2\xd3x\xd4\xd5\x00\xd6\xd7\xd8\xd9\xda\xdb"), uint64(3))
	f.Add([]byte("\xe0\xe1\x00\x00\xe2\xe3\xe4\x00\xe5\xe6\xe7\xe8\xe9\xea\xeb"), uint64(4))
	f.Add([]byte("a\xcb\xcba\xffb\xf0-\xf1/\xf2"), uint64(5))
	f.Add(bytes.Repeat([]byte("\xc9\n\xd9\x00\xe9\x00\x00\x00\xf3b"), 20), uint64(6))
	m := small(f)
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		if len(data) > 3000 {
			return
		}
		agree(t, m, data, seed)
	})
}

// TestContentAgrees does it for many contents made up of what is replaced.
func TestContentAgrees(t *testing.T) {
	m := small(t)
	changed := 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 4))
		data := make([]byte, r.IntN(300))
		for i := range data {
			data[i] = byte(r.IntN(256))
			if r.IntN(2) == 0 {
				data[i] |= 0xc0
			} else if r.IntN(3) == 0 {
				data[i] = []byte("/-\x00a\x00f%\\\n")[r.IntN(9)]
			}
		}
		if agree(t, m, data, seed) {
			changed++
		}
	}
	if changed < 300 {
		t.Errorf("only %d contents had anything to be replaced", changed)
	}
}

// agree says whether anything was replaced.
func agree(t *testing.T, m *Map, data []byte, seed uint64) bool {
	t.Helper()
	in := expand(data)
	got, counted, _ := rewriteIn(t, m, in, rand.New(rand.NewPCG(seed, 1)))
	if want := naive(m, in); !bytes.Equal(got, want) {
		i := 0
		for got[i] == want[i] {
			i++
		}
		t.Fatalf("at %d of %d:\ngot  %q\nwant %q\nof   %q", i, len(in), tail(got, i), tail(want, i), tail(in, i))
	}
	// The check of the result finds what was replaced, in pieces of any size.
	k := newChecker(m)
	r := rand.New(rand.NewPCG(seed, 2))
	for rest := got; len(rest) > 0; {
		n := min(len(rest), 1+r.IntN(5000))
		_, _ = k.Write(rest[:n])
		rest = rest[n:]
	}
	for _, wrong := range k.compare(counted, true) {
		if wrong.Hazard == Invariant {
			t.Errorf("%v\nin %q", wrong, got)
		}
	}
	return !bytes.Equal(got, in)
}

func tail(b []byte, i int) []byte { return b[max(0, i-80):min(len(b), i+80)] }

// FuzzRelocate: whatever bytes come, there is an error, or a result of the same length with a way back.
func FuzzRelocate(f *testing.F) {
	m := small(f)
	inverse := m.Inverse()
	str := func(s string) string {
		return string([]byte{byte(len(s)), 0, 0, 0, 0, 0, 0, 0}) + s + strings.Repeat("\x00", -len(s)&7)
	}
	node := func(tokens ...string) string {
		s := ""
		for _, t := range tokens {
			s += str(t)
		}
		return s
	}
	magic := str("nix-archive-1")
	f.Add([]byte(magic + node("(", "type", "regular", "contents", "/opt/store/"+strings.Repeat("a", 32)+"-x", ")")))
	f.Add([]byte(magic + node("(", "type", "symlink", "target", "/opt/store", ")")))
	f.Add([]byte(magic + node("(", "type", "directory",
		"entry", "(", "name", strings.Repeat("a", 32)+"-x", "node", "(", "type", "regular", "executable", "", "contents", "\x7fELF", ")", ")",
		"entry", "(", "name", "b", "node", "(", "type", "directory", ")", ")", ")")))
	f.Fuzz(func(t *testing.T, data []byte) {
		var out, back bytes.Buffer
		report, err := Relocate(&out, bytes.NewReader(data), Options{Map: m})
		if err != nil {
			return
		}
		if out.Len() != len(data) || report.Source.Size != int64(len(data)) {
			t.Fatalf("%d bytes became %d", len(data), out.Len())
		}
		// What looks like a target in another spelling is refused on the way back, but nothing may be another thing.
		_, err = Relocate(&back, bytes.NewReader(out.Bytes()), Options{Map: inverse})
		var refused *RefusedError
		if errors.As(err, &refused) {
			return
		}
		if err != nil {
			t.Fatalf("the way back: %v", err)
		}
		if !bytes.Equal(back.Bytes(), data) {
			t.Fatal("there and back gives another object")
		}
		// As a stream it is the same, if it can be done.
		var streamed bytes.Buffer
		if _, err := Relocate(&streamed, io.MultiReader(bytes.NewReader(data)), Options{Map: m}); err == nil && !bytes.Equal(streamed.Bytes(), out.Bytes()) {
			t.Fatal("a stream gives another object")
		}
	})
}

// TestCheckFindsWhatIsWrong: the check of the result does not depend on what the rewriter thinks it did.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	m := small(t)
	a := strings.Repeat("ab", 16)
	for name, c := range map[string]struct {
		result string
		want   tally
		hazard Hazard
	}{
		"a hash part is left":           {a, tally{hashes: make([]int64, 3)}, Invariant},
		"one in UTF-16 is left":         {string(wide(a, 2)), tally{hashes: make([]int64, 3)}, Invariant},
		"one in UTF-32 is left":         {"abc" + string(wide(a, 4)), tally{hashes: make([]int64, 3)}, Invariant},
		"a directory is left":           {"x/opt/store", tally{hashes: make([]int64, 3)}, Invariant},
		"a directory that stayed is no": {"/srv/store", tally{hashes: make([]int64, 3), left: 1, replaced: 1}, Invariant},
		"a target too many":             {"/srv/store/", tally{hashes: make([]int64, 3)}, Target},
		"a target too few":              {"", tally{hashes: make([]int64, 3), replaced: 1}, Target},
		"a hash part too few":           {"", tally{hashes: []int64{1, 0, 0}}, Target},
		"a hash part too many":          {strings.Repeat("yz", 16), tally{hashes: make([]int64, 3)}, Target},
	} {
		for _, before := range []int{0, 5, bufSize - overlap - 20, bufSize - 10, bufSize + 1} {
			k := newChecker(m)
			_, _ = io.WriteString(k, strings.Repeat(".", before)+c.result)
			wrong := k.compare(&c.want, false)
			if len(wrong) == 0 || wrong[0].Hazard != c.hazard {
				t.Errorf("%s, after %d bytes: %v", name, before, wrong)
			}
		}
	}
}
