package relocate

import (
	"bytes"
	"fmt"
	"slices"
)

// checker looks through the bytes of the result, without regard to what they mean, and counts what is in them:
// another search than the one that replaces, over other bytes.
type checker struct {
	m      *Map
	buf    []byte
	tally        // of the targets: hashes and replaced; of source directories: left
	stale  int64 // hash parts of the source
	next   []int // for each directory, and for each target, in buf: places before it were counted
	narrow []byte
}

// overlap is how long the longest thing is that is looked for, in UTF-32.
const overlap = 4 * 96

func newChecker(m *Map) *checker {
	return &checker{m: m, tally: *newTally(m), buf: make([]byte, 0, bufSize), next: make([]int, 2*len(m.dirs))}
}

func (k *checker) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		take := min(len(p), cap(k.buf)-len(k.buf))
		k.buf = append(k.buf, p[:take]...)
		p = p[take:]
		if len(k.buf) == cap(k.buf) {
			k.count(len(k.buf) - overlap)
		}
	}
	return n, nil
}

// count counts what begins before to, and lets go of it.
func (k *checker) count(to int) {
	if to <= 0 {
		return
	}
	k.dirs(k.buf, to, k.next)
	for p := 0; p+16 < len(k.buf); p += 16 {
		// Every hash part has at least two bytes that are sixteen apart, at places that are looked at.
		if !isBase32[k.buf[p]] || !isBase32[k.buf[p+16]] {
			continue
		}
		first, last := p, p
		for first > 0 && isBase32[k.buf[first-1]] {
			first--
		}
		for last < len(k.buf) && isBase32[k.buf[last]] {
			last++
		}
		k.hashes(k.buf[first:last], to-first)
		p = max(p, (last-1)&^15)
	}
	k.wide(to)
	for i := range k.next {
		k.next[i] = max(0, k.next[i]-to)
	}
	k.buf = k.buf[:copy(k.buf, k.buf[to:])]
}

// hashes counts hash parts in a run of digits, as far as they begin before to.
func (k *checker) hashes(digits []byte, to int) {
	for i := 0; i+hashLen <= len(digits) && i < to; i++ {
		h := [hashLen]byte(digits[i:])
		if _, ok := k.m.byFrom[h]; ok {
			k.stale++
		}
		if path, ok := k.m.byTo[h]; ok {
			k.tally.hashes[path]++
		}
	}
}

// dirs counts directories that begin in b before to, and not before next.
func (k *checker) dirs(b []byte, to int, next []int) {
	n := len(k.m.dirs)
	k.left += k.begin(b, to, k.m.common, next[:n], func(i int) string { return k.m.dirs[i].from })
	k.replaced += k.begin(b, to, k.m.commonTo, next[n:], func(i int) string { return k.m.dirs[i].to })
}

// begin counts texts that have a beginning in common.
func (k *checker) begin(b []byte, to int, common string, next []int, text func(int) string) (n int64) {
	needle := []byte(common)
	for at := slices.Min(next); at < to; at++ {
		i := bytes.Index(b[at:], needle)
		if i < 0 || at+i >= to {
			return n
		}
		at += i
		for j := range next {
			if at >= next[j] && hasPrefix(b[at:], text(j)) {
				n++
				next[j] = at + len(text(j))
			}
		}
	}
	return n
}

// wide counts the same among letters with zeros in between.
func (k *checker) wide(to int) {
	for at := 0; ; {
		run, ok := nextWide(k.buf, 0, at)
		if !ok || run.at >= to {
			return
		}
		k.narrow = run.narrow(k.narrow[:0], k.buf)
		n := (to - run.at + run.stride - 1) / run.stride
		k.dirs(k.narrow, n, make([]int, len(k.next)))
		k.hashes2(n)
		at = max(run.end(), at+8)
	}
}

// hashes2 counts hash parts among other letters.
func (k *checker) hashes2(to int) {
	for i := 0; i < len(k.narrow); i++ {
		if !isBase32[k.narrow[i]] {
			continue
		}
		end := i
		for end < len(k.narrow) && isBase32[k.narrow[end]] {
			end++
		}
		k.hashes(k.narrow[i:end], to-i)
		i = end
	}
}

// compare says what in the result is not as it has to be.
func (k *checker) compare(want *tally, mayBeThere bool) (wrong []Finding) {
	k.count(len(k.buf))
	bad := func(h Hazard, format string, args ...any) {
		wrong = append(wrong, Finding{Refused, h, "", -1, fmt.Sprintf(format, args...)})
	}
	if k.stale > 0 {
		bad(Invariant, "%d hash parts of the source are left", k.stale)
	}
	if k.left != want.left {
		bad(Invariant, "%d source directories are left, not %d", k.left, want.left)
	}
	if n := k.replaced - want.replaced; n < 0 || n > 0 && !mayBeThere {
		bad(Target, "%d target directories that were not put there", n)
	}
	for i, n := range k.tally.hashes {
		if n -= want.hashes[i]; n != 0 {
			bad(Target, "%d times %s that were not put there", n, k.m.paths[i].to)
		}
	}
	return wrong
}

// references returns the targets that were found, sorted.
func (k *checker) references() []string {
	var list []string
	for i, n := range k.tally.hashes {
		if n > 0 {
			list = append(list, k.m.paths[i].to)
		}
	}
	slices.Sort(list)
	return list
}
