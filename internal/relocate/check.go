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
	seam   seam
	tally        // of the targets: hashes and replaced; of source directories: left
	stale  int64 // hash parts of the source
	from   texts // directories of the source
	to     texts
	places places
	kinds  *kinds
	narrow []byte
}

// texts are directories that are counted.
type texts struct {
	list  []string
	leads []lead // none if there are too many pairs
	next  int64  // places before it were counted
	n     *int64
}

// overlap is how long the longest thing is that is looked for, in UTF-32.
const overlap = 4 * 96

func newChecker(m *Map) *checker {
	k := &checker{m: m, tally: *newTally(m)}
	k.from, k.to = texts{list: sources(m.dirs), n: &k.left}, texts{list: targets(m.dirs), n: &k.replaced}
	from, to := leads(k.from.list), leads(k.to.list)
	pairs := append(pairsOf(from), pairsOf(to)...)
	if len(pairs) <= maxPairs {
		k.from.leads, k.to.leads = from, to
	}
	k.kinds = newKinds(pairs, false)
	k.seam = seam{ahead: overlap, look: k.count}
	return k
}

func (k *checker) Write(p []byte) (int, error) { return k.seam.Write(p) }

// count counts what begins in b before to.
func (k *checker) count(b []byte, base int64, _, to int) {
	k.places.texts(k.kinds, b, false)
	pairs := between(k.places.pairs, 0, to+window)
	for _, t := range []*texts{&k.from, &k.to} {
		if t.leads == nil {
			t.all(b, base, to)
		}
		for _, p := range pairs {
			for _, l := range t.leads {
				t.at(b, base, p-l.offset, to)
			}
		}
	}
	done := 0
	for _, s := range k.places.hashes {
		for q := s.from + hashLen/2; q < s.to; q += hashLen / 2 {
			if q < done {
				continue
			}
			first := q
			for first > 0 && isBase32[b[first-1]] {
				first--
			}
			for done = q; done < len(b) && isBase32[b[done]]; {
				done++
			}
			k.hashes(b[first:done], to-first)
		}
	}
	k.wide(b, to)
}

// at counts a directory that is at a place.
func (t *texts) at(b []byte, base int64, at, to int) {
	if at < 0 || at >= to || base+int64(at) < t.next {
		return
	}
	longest := 0
	for _, text := range t.list {
		if hasPrefix(b[at:], text) {
			longest = max(longest, len(text))
		}
	}
	if longest > 0 {
		*t.n++
		t.next = base + int64(at+longest)
	}
}

// all looks at every place.
func (t *texts) all(b []byte, base int64, to int) {
	for at := 0; at < to; at++ {
		i := bytes.IndexByte(b[at:to], '/')
		if i < 0 {
			return
		}
		at += i
		t.at(b, base, at, to)
	}
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

// wide counts the same among letters with zeros in between.
func (k *checker) wide(b []byte, to int) {
	at := 0
	for _, p := range between(k.places.wide, 0, to+8) {
		if p < at {
			continue
		}
		run, ok := wideRunAt(b, 0, p)
		if !ok || run.at >= to {
			continue
		}
		if at = max(run.end(), p+8); run.n < minDir {
			continue
		}
		k.narrow = run.narrow(k.narrow[:0], b)
		n := (to - run.at + run.stride - 1) / run.stride
		for _, t := range []*texts{&k.from, &k.to} {
			letters := texts{list: t.list, n: t.n}
			letters.all(k.narrow, 0, min(n, len(k.narrow)))
		}
		k.digits(n)
	}
}

// digits counts hash parts among other letters.
func (k *checker) digits(to int) {
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
	k.seam.end()
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
