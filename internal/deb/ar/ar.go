// Package ar reads the member headers of an ar archive,
// the container of every .deb file.
// It holds nothing in memory but one header at a time, trusts no size it reads,
// and never writes.
//
// Format: ar(5) and deb(5), the common variant with names of up to 15 bytes;
// the long-name extensions of GNU and BSD are refused, no .deb has them.
package ar

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
)

const (
	magic      = "!<arch>\n"
	headerSize = 60
	fileMagic  = "`\n"
)

// Member is one file of an archive: Size bytes from Offset on.
type Member struct {
	Name   string // without padding and without GNU's trailing slash
	Offset int64  // of the first byte of content
	Size   int64
}

// FormatError says that the bytes at Offset are not those of an ar archive.
type FormatError struct {
	Offset int64
	Reason string
}

// Error returns the reason and the place.
func (e *FormatError) Error() string {
	return fmt.Sprintf("ar: offset %d: %s", e.Offset, e.Reason)
}

// Members yields the members of the archive in the first size bytes of r, in order.
// Every member it yields lies wholly within them.
// It yields at most one error, as its last pair:
// a [*FormatError], or what r.ReadAt returned.
func Members(r io.ReaderAt, size int64) iter.Seq2[Member, error] {
	return func(yield func(Member, error) bool) {
		head, err := readAt(r, 0, int64(len(magic)), size)
		if err == nil && string(head) != magic {
			err = &FormatError{Reason: "not an ar archive"}
		}
		if err != nil {
			yield(Member{}, err)
			return
		}
		for off := int64(len(magic)); off < size; {
			m, next, err := member(r, off, size)
			if err != nil {
				yield(Member{}, err)
				return
			}
			if !yield(m, nil) {
				return
			}
			off = next
		}
	}
}

// member reads the header at off, and returns the offset of the one after it.
func member(r io.ReaderAt, off, size int64) (Member, int64, error) {
	fail := func(format string, args ...any) (Member, int64, error) {
		return Member{}, 0, &FormatError{Offset: off, Reason: fmt.Sprintf(format, args...)}
	}
	h, err := readAt(r, off, headerSize, size)
	if err != nil {
		return Member{}, 0, err
	}
	if string(h[58:]) != fileMagic {
		return fail("a member header ends in %q", h[58:])
	}
	name := strings.TrimSuffix(string(bytes.TrimRight(h[:16], " ")), "/")
	if name == "" || strings.ContainsAny(name, "/\x00") {
		return fail("member name %q is not supported", h[:16])
	}
	digits := string(bytes.TrimRight(h[48:58], " "))
	// ParseUint takes no sign and, with a base of its own, no underscores.
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return fail("member size %q is not a number", digits)
	}
	m := Member{Name: name, Offset: off + headerSize, Size: int64(n)}
	if m.Size > size-m.Offset {
		return fail("member %q is cut short: %d bytes of %d", name, size-m.Offset, m.Size)
	}
	next := m.Offset + m.Size
	if m.Size%2 == 0 {
		return m, next, nil
	}
	pad, err := readAt(r, next, 1, size)
	if err != nil {
		return Member{}, 0, err
	}
	if pad[0] != '\n' {
		return fail("member %q is padded with %q", name, pad)
	}
	return m, next + 1, nil
}

// readAt reads n bytes at off, all of which must lie below size.
func readAt(r io.ReaderAt, off, n, size int64) ([]byte, error) {
	if n > size-off {
		return nil, &FormatError{Offset: off, Reason: "the archive is cut short"}
	}
	b := make([]byte, n)
	// ReadAt may say io.EOF along with the last byte.
	if got, err := r.ReadAt(b, off); got < len(b) {
		if errors.Is(err, io.EOF) {
			return nil, &FormatError{Offset: off, Reason: "the archive is cut short"}
		}
		return nil, err
	}
	return b, nil
}
