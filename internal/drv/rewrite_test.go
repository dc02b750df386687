package drv

import (
	"strings"
	"testing"
)

// naive replaces at each place the hash part that begins there, from left to right.
func naive(text string, known map[string]string, from, to Dir) string {
	var b strings.Builder
	for len(text) > 0 {
		if len(text) >= HashLen {
			if hash, ok := known[text[:HashLen]]; ok {
				b.WriteString(hash)
				text = text[HashLen:]
				continue
			}
		}
		if rest, ok := strings.CutPrefix(text, string(from)); ok {
			b.WriteString(string(to))
			text = rest
			continue
		}
		b.WriteByte(text[0])
		text = text[1:]
	}
	return b.String()
}

// FuzzRewrite holds the search that skips against one that does not.
func FuzzRewrite(f *testing.F) {
	a, b := strings.Repeat("0a", HashLen/2), "1"+strings.Repeat("0", HashLen-1)
	known := map[string]string{a: strings.Repeat("z", HashLen), b: strings.Repeat("y", HashLen)}
	dirs := newReplacer([]Move{{"/opt/store", "/nix/s"}})
	f.Add("")
	f.Add("/opt/store/" + a + "-x /opt/store" + b)
	f.Add("0" + a + a + "a" + b + b[1:] + "1" + a[1:])
	f.Add(a[1:] + a + "e" + strings.Repeat("0", 100) + b + "/opt/stor/opt/store/")
	f.Fuzz(func(t *testing.T, text string) {
		got, want := rewrite(text, known, dirs), naive(text, known, "/opt/store", "/nix/s")
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
		// The letters of the fuzzer seldom make a hash part; so put them around one.
		for i := 0; i <= len(text) && i < 70; i++ {
			s := text[:i] + a + text[i:]
			if got, want := rewrite(s, known, dirs), naive(s, known, "/opt/store", "/nix/s"); got != want {
				t.Errorf("%q: got %q, want %q", s, got, want)
			}
		}
	})
}
