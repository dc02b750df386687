package drv

import "strings"

// minDistinctive is the length below which a prefix may be part of ordinary words: /opt/nix has eight bytes.
const minDistinctive = 8

// Distinctive refuses a store directory that may stand in a derivation without Nix having put it there:
// only what Nix put there may be replaced. /nix/store stands in comments, messages and regular expressions.
func Distinctive(d Dir) error {
	if err := d.check(); err != nil {
		return err
	}
	s := string(d)
	switch {
	case s == "/nix/store" || s == "/nix" || strings.HasPrefix(s, "/nix/store/"):
		return refuse(s, NotDistinctive, "texts speak of /nix/store where no path of a store is meant")
	case len(s) < minDistinctive:
		return refuse(s, NotDistinctive, "it has %d bytes, and less than %d occur inside other words", len(s), minDistinctive)
	case strings.Count(s, "/") < 2:
		return refuse(s, NotDistinctive, "one name alone occurs inside other paths")
	}
	switch s {
	case "/usr/lib", "/usr/bin", "/usr/local", "/usr/share", "/usr/include", "/var/lib", "/usr/lib64", "/usr/libexec", "/usr/sbin":
		return refuse(s, NotDistinctive, "it is a directory that every system has")
	}
	return nil
}

// bareHit looks at one occurrence of dir in text, at byte at, that no known hash follows.
// It returns why it cannot have come from Nix, or nothing.
func bareHit(text string, dir Dir, at int) string {
	if end := at + len(dir); end < len(text) && wordChar(text[end]) {
		return "it goes on with " + text[end:min(end+8, len(text))]
	}
	start := at
	for start > 0 && (wordChar(text[start-1]) || text[start-1] == '.') {
		start--
	}
	// A word that begins with a dash is an option, as in -L/opt/store/lib.
	if word := text[start:at]; word != "" && word[0] != '-' {
		return "it goes on from " + word
	}
	return ""
}

// wordChar says whether a byte goes on with a file name. Dots end sentences, and are left out.
func wordChar(c byte) bool { return nameChar[c] && c != '.' && c != '?' && c != '=' }

// mangled says whether text, in front of a hash part, is the store directory in another spelling:
// with escaped, encoded or replaced separators.
func mangled(text string, dir Dir) bool {
	if strings.HasSuffix(text, string(dir)+"/") {
		return false
	}
	tail := text[max(0, len(text)-6*len(dir)-6):]
	tail = separators.Replace(tail)
	return strings.HasSuffix(letters(tail), letters(string(dir)))
}

// separators takes out spellings of a slash that have letters or digits.
var separators = strings.NewReplacer("%2F", "", "%2f", "", `\u002f`, "", `\u002F`, "", `\x2f`, "", `\x2F`, "", `\057`, "", "&#47;", "")

// letters leaves letters and digits alone.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 128 && nameChar[byte(r)] && !strings.ContainsRune("+-._?=", r) {
			return r
		}
		return -1
	}, s)
}
