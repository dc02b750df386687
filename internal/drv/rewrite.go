package drv

import (
	"strings"

	"zombiezen.com/go/nix/nixbase32"
)

// isBase32 says which bytes are digits of Nix's base 32.
var isBase32 = func() (t [256]bool) {
	for c := range t {
		t[c] = nixbase32.Is(byte(c))
	}
	return t
}()

// eachHash calls f for every place in text where HashLen digits of base 32 begin, and goes on behind it if f says so,
// one byte further otherwise.
func eachHash(text string, f func(at int) (taken bool)) {
	for at := 0; at+HashLen <= len(text); {
		// Look backwards: the last byte that is no digit rules out all places before it.
		j := at + HashLen - 1
		for j >= at && isBase32[text[j]] {
			j--
		}
		if j >= at {
			at = j + 1
			continue
		}
		// A run of digits that is longer than a hash is looked through place by place.
		for {
			if f(at) {
				at += HashLen
				break
			}
			at++
			if at+HashLen > len(text) || !isBase32[text[at+HashLen-1]] {
				break
			}
		}
	}
}

// rewrite replaces hash parts, and then the store directory wherever it stands: a hash part is replaced with or without
// its directory, since baseNameOf drops it, and without its name, which may run on.
func rewrite(text string, known map[string]string, dirs *replacer) string {
	var b strings.Builder
	done := 0
	eachHash(text, func(at int) bool {
		hash, ok := known[text[at:at+HashLen]]
		if ok {
			b.WriteString(text[done:at])
			b.WriteString(hash)
			done = at + HashLen
		}
		return ok
	})
	if done > 0 {
		b.WriteString(text[done:])
		text = b.String()
	}
	return dirs.replace(text)
}

// replacer replaces directories, all of them in one pass.
type replacer struct {
	from []string
	all  *strings.Replacer
}

func newReplacer(dirs []Move) *replacer {
	r := &replacer{}
	var pairs []string
	for _, d := range dirs {
		if d.From != d.To {
			r.from = append(r.from, string(d.From))
			pairs = append(pairs, string(d.From), string(d.To))
		}
	}
	r.all = strings.NewReplacer(pairs...)
	return r
}

func (r *replacer) replace(text string) string {
	for _, from := range r.from {
		if strings.Contains(text, from) {
			return r.all.Replace(text)
		}
	}
	return text
}
