package control

import (
	"errors"
	"fmt"
	"strings"
)

// Compare orders two versions as deb-version(7) does:
// negative if a is older than b, zero if they are equal, positive if a is newer.
//
// It is total: a string that is no valid version is ordered, too, somehow but always the same way.
func Compare(a, b string) int {
	ea, ua, ra := splitVersion(a)
	eb, ub, rb := splitVersion(b)
	if c := compareNumbers(ea, eb); c != 0 {
		return c
	}
	if c := comparePart(ua, ub); c != 0 {
		return c
	}
	return comparePart(ra, rb)
}

// CheckVersion says what makes s no version by the rules of deb-version(7), or nil.
func CheckVersion(s string) error {
	epoch, upstream, revision := splitVersion(s)
	switch {
	case upstream == "":
		return errors.New("empty version")
	case strings.Contains(s, ":") && !all(epoch, isDigit):
		return fmt.Errorf("epoch %q is not a number", epoch)
	case strings.HasPrefix(s, ":"):
		return errors.New("empty epoch")
	case strings.HasSuffix(s, "-"):
		return errors.New("empty revision")
	}
	if !all(upstream, func(c byte) bool { return isVersionByte(c) || c == '-' || c == ':' }) {
		return fmt.Errorf("illegal character in upstream version %q", upstream)
	}
	if !all(revision, isVersionByte) {
		return fmt.Errorf("illegal character in revision %q", revision)
	}
	return nil
}

// splitVersion cuts "epoch:upstream-revision"; what is absent is empty,
// and compares equal to zero.
func splitVersion(s string) (epoch, upstream, revision string) {
	upstream = s
	if e, rest, ok := strings.Cut(upstream, ":"); ok {
		epoch, upstream = e, rest
	}
	if i := strings.LastIndexByte(upstream, '-'); i >= 0 {
		upstream, revision = upstream[:i], upstream[i+1:]
	}
	return epoch, upstream, revision
}

// comparePart compares two upstream versions or two revisions:
// by turns a run of non-digits in the modified ASCII order, and a run of digits as a number.
func comparePart(a, b string) int {
	for a != "" || b != "" {
		var wa, wb, na, nb string
		wa, a = cutRun(a, isNotDigit)
		wb, b = cutRun(b, isNotDigit)
		if c := compareWords(wa, wb); c != 0 {
			return c
		}
		na, a = cutRun(a, isDigit)
		nb, b = cutRun(b, isDigit)
		if c := compareNumbers(na, nb); c != 0 {
			return c
		}
	}
	return 0
}

// compareWords compares two runs without digits: a tilde sorts before the end,
// the end before letters, letters before everything else.
func compareWords(a, b string) int {
	for i := 0; i < len(a) || i < len(b); i++ {
		if c := weight(a, i) - weight(b, i); c != 0 {
			return c
		}
	}
	return 0
}

func weight(s string, i int) int {
	if i >= len(s) {
		return 0
	}
	switch c := s[i]; {
	case c == '~':
		return -1
	case isLetter(c):
		return int(c)
	default:
		return int(c) + 256
	}
}

// compareNumbers compares decimal numbers of any length; the empty one is zero.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func cutRun(s string, in func(byte) bool) (run, rest string) {
	i := 0
	for i < len(s) && in(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

func all(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool    { return '0' <= c && c <= '9' }
func isNotDigit(c byte) bool { return !isDigit(c) }
func isLetter(c byte) bool   { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func isVersionByte(c byte) bool {
	return isLetter(c) || isDigit(c) || c == '.' || c == '+' || c == '~'
}
