package nixconf

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

const (
	cacheURL = "extra-substituters"
	cacheKey = "extra-trusted-public-keys"
)

// RenderCaches returns the text of the file that nix.conf includes for the binary caches of the
// prefix's own store directory. [ParseCaches] reads it: the file itself is the record of them.
// It fails if a value cannot be written there so that Nix reads it back as it is.
func RenderCaches(all []Substituter) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("# Binary caches of this store directory.\n#\n" +
		"# Written by \"bootstrap cache use\" and \"bootstrap cache drop\", and by an installation with --cache,\n" +
		"# which write it anew: what you change here is lost then.\n")
	for _, s := range all {
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("render caches: %w", err)
		}
		fmt.Fprintf(&b, "\n%s = %s\n%s = %s\n", cacheURL, s.URL, cacheKey, s.PublicKey)
	}
	b.WriteString("\n# What one of them has and cannot give is built here.\nfallback = true\n")
	return b.Bytes(), nil
}

// ParseCaches reads what [RenderCaches] wrote, and nothing that was changed since.
func ParseCaches(text []byte) ([]Substituter, error) {
	var all []Substituter
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
		switch {
		case name == cacheURL:
			all = append(all, Substituter{URL: value})
		case name == cacheKey && len(all) > 0:
			all[len(all)-1].PublicKey = value
		}
	}
	again, err := RenderCaches(all)
	if err != nil || !bytes.Equal(again, text) {
		return nil, fmt.Errorf("it is not as it was written")
	}
	return all, nil
}

// Includes reports whether the text of a nix.conf includes a file of that name, if it is there.
func Includes(conf []byte, name string) bool {
	for line := range strings.Lines(string(conf)) {
		if slices.Equal(strings.Fields(line), []string{"!include", name}) {
			return true
		}
	}
	return false
}

// check refuses what Nix would not read as one word each.
func (s Substituter) check() error {
	if err := checkWord("substituter", s.URL); err != nil {
		return err
	}
	if err := checkWord("public key", s.PublicKey); err != nil {
		return err
	}
	if name, key, ok := strings.Cut(s.PublicKey, ":"); !ok || name == "" || key == "" {
		return fmt.Errorf("public key %q: is not <name>:<key>", s.PublicKey)
	}
	return nil
}
