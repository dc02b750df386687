package relocate

import (
	"bytes"
	"strings"
)

// mangled says whether the text in front of a hash part has the letters of a directory, with something else between
// them than plain separators.
func mangled(tail []byte, dir string) bool {
	text := letters(slashes.Replace(string(tail)))
	return strings.HasSuffix(text, letters(dir))
}

// slashes takes out spellings of a slash that have letters or digits.
var slashes = strings.NewReplacer("%2F", "", "%2f", "", "%252F", "", "%252f", "", `\u002f`, "", `\u002F`, "",
	`\x2f`, "", `\x2F`, "", `\057`, "", "&#47;", "", "&#x2F;", "", "&#x2f;", "", "=2F", "", "_2F", "", "_2f", "")

// letters leaves letters and digits alone.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, s)
}

// isBase64 says which bytes base64 consists of, in both alphabets.
var isBase64 = func() (t [256]bool) {
	for _, c := range []byte(base64Digits + "-_") {
		t[c] = true
	}
	return t
}()

const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// base64Value has the six bits of each digit.
var base64Value = func() (t [256]byte) {
	for i, c := range []byte(base64Digits) {
		t[c] = byte(i)
	}
	t['-'], t['_'] = 62, 63
	return t
}()

// base64Kinds says of each byte whether it is a digit, and which of four digits it may be that encode text: in the first
// three letters or zeros begin, and what the fourth one adds is the end of the third letter.
var base64Kinds = func() (t [256]uint8) {
	for c, ok := range isBase64 {
		if !ok {
			continue
		}
		v := base64Value[c]
		t[c] = base64Digit
		if v == 0 || v >= ' '>>2 && v <= 0x7f>>2 {
			t[c] |= textFirst
		}
		if v&8 == 0 {
			t[c] |= textSecond
		}
		if v&2 == 0 {
			t[c] |= textThird
		}
	}
	return t
}()

const (
	base64Digit = 1 << iota
	textFirst
	textSecond
	textThird
)

// minBase64 is how many digits encode a hash part at least.
const minBase64 = (hashLen*8 + 5) / 6

// minLine is the length of the shortest lines that base64 is broken into.
const minLine = 40

// findBase64 refuses hash parts and directories that are encoded in base64, in lines or not.
// They begin in [from, to), or in a line that does.
func (c *content) findBase64(from, to int) {
	// Of a hash part's digits, and of a line's, one is at such a place with eight more behind it.
	const step, more = 32, 8
	b := c.buf
	from += int(-(c.base + int64(from)) & (step - 1))
	for p := from; p < to; p += step {
		if !isBase64[b[p]] || p+more >= len(b) || !isBase64[b[p+more]] || !isBase64[b[p+more/2]] {
			continue
		}
		start := p
		for start > 0 && isBase64[b[start-1]] && p-start < ahead/2 {
			start--
		}
		end := p + base64Run(b[p:min(len(b), start+2*ahead)])
		long := end-start >= 2*ahead
		if end < len(b) && (long || end-start < minLine || lineEnd(b[end:]) == 0) &&
			(end-start < minBase64 || likely(b[start:end]) == [4]bool{}) {
			next := end - 1
			if long { // there may be more
				next = end - ahead/2
			}
			p = next - (next-p)%step // the last place that is looked at within
			continue
		}
		digits := c.letters[:0]
		for end = start; end < len(b) && end-start < 2*ahead; {
			line := end
			for end < len(b) && end-start < 2*ahead && isBase64[b[end]] {
				end++
			}
			digits = append(digits, b[line:end]...)
			n := 0
			if end-line >= minLine && end-start < 2*ahead {
				n = lineEnd(b[end:])
			}
			if n == 0 {
				break
			}
			end += n
		}
		c.letters = digits
		if len(digits) >= minBase64 && int64(end)+c.base > c.encoded {
			c.decode(digits, start)
		}
		next := end - ahead/2 // there may be more
		if end-start < 2*ahead {
			next = end - 1
		}
		if next > p {
			p = next - (next-p)%step
		}
	}
}

// row is how many times four digits in a row encode text, at least, where a hash part is encoded.
const row = 9

// likely says at which of four phases digits encode text. A hash part alone has nine times four such digits in a row;
// of nine that are four apart, one is a ninth one, so most of them need not be looked at.
func likely(digits []byte) (phases [4]bool) {
	const apart = len(phases)
	text := func(i int) bool {
		if i < 0 || i+2 >= len(digits) {
			return false
		}
		a, b, c := base64Kinds[digits[i]], base64Kinds[digits[i+1]], base64Kinds[digits[i+2]]
		return a/textFirst&(b/textSecond)&(c/textThird)&1 != 0 // at once, since each alone is as often true as not
	}
	for phase := range phases {
		for i := phase; i+2 < len(digits) && !phases[phase]; i += row * apart {
			if !text(i) {
				continue
			}
			n := 1
			for j := i - apart; n < row && text(j); j -= apart {
				n++
			}
			for j := i + apart; n < row && text(j); j += apart {
				n++
			}
			phases[phase] = n >= row
		}
	}
	return phases
}

// base64Run is how many digits b begins with.
func base64Run(b []byte) int {
	n := 0
	for ; n+8 <= len(b); n += 8 {
		d, k := (*[8]byte)(b[n:]), &base64Kinds
		if k[d[0]]&k[d[1]]&k[d[2]]&k[d[3]]&k[d[4]]&k[d[5]]&k[d[6]]&k[d[7]]&base64Digit == 0 {
			break
		}
	}
	for n < len(b) && isBase64[b[n]] {
		n++
	}
	return n
}

// lineEnd returns the length of a line break within base64.
func lineEnd(b []byte) int {
	for _, s := range []string{"\n", "\r\n", `\n`} {
		if len(b) > len(s) && hasPrefix(b, s) && isBase64[b[len(s)]] {
			return len(s)
		}
	}
	return 0
}

// decode looks at digits, from any of four phases on.
func (c *content) decode(digits []byte, at int) {
	phases := likely(digits)
	if phases == [4]bool{} {
		return
	}
	for i, d := range digits {
		digits[i] = base64Value[d]
	}
	for phase, ok := range phases {
		if !ok {
			continue
		}
		d, text := digits[phase:], c.decoded[:0]
		for ; len(d) >= 4; d = d[4:] {
			v := uint(d[0])<<18 | uint(d[1])<<12 | uint(d[2])<<6 | uint(d[3])
			text = append(text, byte(v>>16), byte(v>>8), byte(v))
		}
		switch len(d) {
		case 3:
			text = append(text, d[0]<<2|d[1]>>4, d[1]<<4|d[2]>>2)
		case 2:
			text = append(text, d[0]<<2|d[1]>>4)
		}
		c.decoded = text
		found := false
		c.m.each(text, func(h hit) {
			found = found || h.kind != hitWord && h.kind != hitForeign
		})
		if found || c.m.wideIn(text) {
			c.hits++
			c.encoded = c.base + int64(at+len(digits))
			c.note(Finding{Refused, Base64, c.file, c.base + int64(at), string(bytes.TrimSpace(c.buf[at:min(len(c.buf), at+40)]))})
			return
		}
	}
}

// wideIn says whether something mapped is in b in UTF-16 or UTF-32.
func (m *Map) wideIn(b []byte) (found bool) {
	for at := 0; ; {
		run, ok := nextWide(b, 0, at)
		if !ok {
			return found
		}
		text := run.narrow(nil, b)
		m.each(text, func(h hit) { found = found || h.kind != hitWord && h.kind != hitForeign })
		at = max(run.end(), at+8)
	}
}
