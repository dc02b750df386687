package archive

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"bootstrap/internal/control"
)

// maxSkew is how far a mirror's clock may be ahead of ours.
const maxSkew = 24 * time.Hour

// Release is what a signed index says of itself.
type Release struct {
	Suite           string // "stable"
	Codename        string // "trixie"
	Date            time.Time
	ValidUntil      time.Time // zero if the index never expires
	SignedBy        string    // fingerprint of the primary key whose signature was good, upper-case hexadecimal
	InReleaseSHA256 string    // of the file as fetched, lower-case hexadecimal
	Architectures   []string

	byHash bool // files are also there by digest
	allIn  bool // packages for all architectures are in each architecture's own index
	files  map[string]indexFile
}

// indexFile is one file the release vouches for.
type indexFile struct {
	size   int64
	sha256 string
}

// splitsAll reports whether packages for all architectures have an index of their own,
// which then is not contained in the others.
func (r Release) splitsAll() bool {
	_, listed := r.files[indexPath("binary-all", "Packages")]
	return listed && !r.allIn
}

func parseRelease(text []byte) (Release, error) {
	var paragraphs []control.Paragraph
	for p, err := range control.Paragraphs(bytes.NewReader(text)) {
		if err != nil {
			return Release{}, err
		}
		paragraphs = append(paragraphs, p)
	}
	if len(paragraphs) != 1 {
		return Release{}, fmt.Errorf("%d paragraphs, one is expected", len(paragraphs))
	}
	p := paragraphs[0]
	r := Release{
		Suite:         p.Get("Suite"),
		Codename:      p.Get("Codename"),
		Architectures: strings.Fields(p.Get("Architectures")),
		byHash:        p.Get("Acquire-By-Hash") == "yes",
		allIn:         strings.Contains(p.Get("No-Support-for-Architecture-all"), "Packages"),
		files:         make(map[string]indexFile),
	}
	var err error
	if r.Date, err = parseTime(p.Get("Date")); err != nil {
		return Release{}, fmt.Errorf("field Date: %w", err)
	}
	if v, ok := p.Lookup("Valid-Until"); ok {
		if r.ValidUntil, err = parseTime(v); err != nil {
			return Release{}, fmt.Errorf("field Valid-Until: %w", err)
		}
	}
	if err := r.parseFiles(p.Get("SHA256")); err != nil {
		return Release{}, fmt.Errorf("field SHA256: %w", err)
	}
	return r, nil
}

func (r *Release) parseFiles(list string) error {
	for line := range strings.Lines(list) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) != 3 {
			return fmt.Errorf("%q is not digest, size and name", line)
		}
		if b, err := hex.DecodeString(words[0]); err != nil || len(b) != 32 {
			return fmt.Errorf("digest %q", words[0])
		}
		size, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil || size < 0 {
			return fmt.Errorf("size %q", words[1])
		}
		r.files[words[2]] = indexFile{size: size, sha256: strings.ToLower(words[0])}
	}
	if len(r.files) == 0 {
		return errors.New("it lists nothing")
	}
	return nil
}

// parseTime reads the form of RFC 5322 that the format allows: always in UTC, and saying so.
func parseTime(s string) (time.Time, error) {
	const layout = "Mon, _2 Jan 2006 15:04:05"
	for _, zone := range []string{" UTC", " GMT", " Z", " +0000"} {
		if rest, ok := strings.CutSuffix(s, zone); ok {
			return time.ParseInLocation(layout, rest, time.UTC)
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time in UTC", s)
}
