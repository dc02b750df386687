package nixlog

import "strings"

// Plain returns s without ANSI escape sequences (ECMA-48, 5th edition, 5.4 and 5.6:
// CSI, OSC and the short ones) and without other control characters
// but line ends and tabs.
func Plain(s string) string {
	if !strings.ContainsFunc(s, isControl) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == 0x1b:
			i += escapeLen(s[i:])
		case isControl(rune(c)):
			i++
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String()
}

func isControl(r rune) bool {
	return r < 0x20 && r != '\n' && r != '\t' || r == 0x7f
}

// escapeLen returns how many bytes of s the escape sequence it begins with takes.
func escapeLen(s string) int {
	if len(s) < 2 {
		return len(s)
	}
	switch s[1] {
	case '[': // CSI: up to a final byte
		for i := 2; i < len(s); i++ {
			if s[i] >= 0x40 && s[i] <= 0x7e {
				return i + 1
			}
			if s[i] < 0x20 || s[i] > 0x7e {
				return i // not a sequence after all
			}
		}
		return len(s)
	case ']': // OSC: up to BEL or ST
		for i := 2; i < len(s); i++ {
			if s[i] == 0x07 {
				return i + 1
			}
			if s[i] == 0x1b && i+1 < len(s) && s[i+1] == '\\' {
				return i + 2
			}
		}
		return len(s)
	}
	for i := 1; i < len(s); i++ { // any intermediate bytes, then the final one
		if s[i] >= 0x30 && s[i] <= 0x7e {
			return i + 1
		}
		if s[i] < 0x20 || s[i] > 0x7e {
			return i
		}
	}
	return len(s)
}
