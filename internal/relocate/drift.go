package relocate

import "hash/maphash"

// drift sums up changes so that a change and its reverse are nothing: each byte at each place has a value, and what
// was there is taken away. So two streams are the same, but for one chance in 2^64, if the changes from one to
// another and those back come to nothing.
type drift struct {
	seed maphash.Seed
	sum  uint64
}

type byteAt struct {
	at int64
	b  byte
}

// change notes that a text is written over old.
func (d *drift) change(at int64, old []byte, text string) {
	for i := range len(text) {
		if old[i] != text[i] {
			d.sum += maphash.Comparable(d.seed, byteAt{at + int64(i), text[i]})
			d.sum -= maphash.Comparable(d.seed, byteAt{at + int64(i), old[i]})
		}
	}
}
