package relocate

import "encoding/binary"

// Texts in UTF-16 and UTF-32 have zeros between their letters: one, or three. Whether they come before or behind
// does not matter for what is replaced, the letters.

// wideRun is a stretch of letters with zeros in between.
type wideRun struct {
	at     int // of the first letter
	n      int // letters
	stride int // bytes from one letter to the next
}

// wideAt says whether the eight bytes x, none above 0x7f, are part of such a text, with which stride, and where in x a
// letter is. Any eight bytes within one show it; so it is enough to look at every eighth place.
func wideAt(x uint64) (stride, phase int) {
	set := (x + 0x7f7f7f7f7f7f7f7f) & highs >> 7 // one for each byte that is not zero
	w := wideSets[set*0x0102040810204080>>56]
	return int(w >> 4), int(w & 15)
}

// wideSets has stride and phase, four bits each, by which of eight bytes are not zero.
var wideSets = func() (t [256]uint8) {
	for set := range t {
		has := func(i int) bool { return set>>i&1 != 0 }
		for phase := 3; phase >= 0; phase-- {
			if other := (phase + 2) % 4; has(phase) && has(phase+4) && !has(other) && !has(other+4) {
				t[set] = uint8(4<<4 | phase)
			}
		}
		for phase := 1; phase >= 0; phase-- {
			if has(phase) && has(phase+2) && has(phase+4) && has(phase+6) {
				t[set] = uint8(2<<4 | phase)
			}
		}
	}
	return t
}()

const (
	odd   = 0xff00ff00ff00ff00 // the bytes at odd places of eight
	highs = 0x8080808080808080
)

// nextWide returns the first stretch that has letters at or behind from. It begins no earlier than first,
// and ends no later than b.
func nextWide(b []byte, first, from int) (wideRun, bool) {
	for p := from; p+8 <= len(b); p += 8 {
		if run, ok := wideRunAt(b, first, p); ok {
			return run, true
		}
	}
	return wideRun{}, false
}

// wideRunAt returns the stretch that the eight bytes at p are part of.
func wideRunAt(b []byte, first, p int) (wideRun, bool) {
	if p+8 > len(b) {
		return wideRun{}, false
	}
	x := binary.LittleEndian.Uint64(b[p:])
	if x == 0 || x&highs != 0 || x&odd != 0 && x&^odd != 0 {
		return wideRun{}, false // every second byte has to be zero, and the others not
	}
	stride, phase := wideAt(x)
	if stride == 0 {
		return wideRun{}, false
	}
	at := p + phase
	for at-stride >= first && isLetter(b[at-stride]) && gap(b, at, stride) {
		at -= stride
	}
	n := 1
	for end := at + stride; end < len(b) && isLetter(b[end]) && gap(b, end, stride); end += stride {
		n++
	}
	return wideRun{at, n, stride}, true
}

func isLetter(c byte) bool { return c != 0 && c < 0x80 }

// gap says whether there are zeros between the letter at that place and the one before.
func gap(b []byte, at, stride int) bool {
	for i := at - stride + 1; i < at; i++ {
		if b[i] != 0 {
			return false
		}
	}
	return true
}

// narrow appends the letters of a stretch.
func (w wideRun) narrow(dst, b []byte) []byte {
	for i := range w.n {
		dst = append(dst, b[w.at+i*w.stride])
	}
	return dst
}

// put writes a text over the letters from number i on.
func (w wideRun) put(b []byte, i int, text string) {
	for j := range len(text) {
		b[w.at+(i+j)*w.stride] = text[j]
	}
}

// end is the first byte behind the last letter.
func (w wideRun) end() int { return w.at + (w.n-1)*w.stride + 1 }
