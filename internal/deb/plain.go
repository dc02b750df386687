package deb

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
)

// plain passes a tarball on and fails at a header that two readers of tar could take in two ways:
// what was checked here is unpacked by another program. So it accepts only what dpkg-deb writes,
// headers of GNU's form without the fields that have come later:
// https://www.gnu.org/software/tar/manual/html_node/Standard.html
//
// busybox, for one, passes over the records of PAX, which may hold another name; takes the prefix
// in headers of every form; takes a file whose name ends in a slash for a directory without content,
// and what follows for headers; and takes a header without a name for none.
type plain struct {
	r    io.Reader
	head []byte // of a header, what has come of it
	body int64  // bytes of content and padding that are still to come
	end  bool   // the end marker was seen
}

// Read gives out nothing of a header that is refused, nor of what was read together with it.
func (p *plain) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	for rest := b[:n]; len(rest) > 0 && !p.end; {
		if p.body > 0 {
			skip := min(p.body, int64(len(rest)))
			p.body -= skip
			rest = rest[skip:]
			continue
		}
		take := min(blockSize-len(p.head), len(rest))
		p.head = append(p.head, rest[:take]...)
		rest = rest[take:]
		if len(p.head) < blockSize {
			continue
		}
		size, herr := plainHeader(p.head)
		if herr != nil {
			name, _, _ := bytes.Cut(p.head[:100], []byte{0})
			return 0, &EntryError{Name: string(name), Reason: herr.Error()}
		}
		p.end = size < 0
		p.body = (size + blockSize - 1) / blockSize * blockSize
		p.head = p.head[:0]
	}
	return n, err
}

// plainHeader returns how many bytes follow a header, and a negative number for the end marker.
func plainHeader(h []byte) (int64, error) {
	name, kind, length, magic, prefix := h[:100], h[156], h[124:136], h[257:263], h[345:500]
	switch {
	case len(bytes.Trim(h, "\x00")) == 0:
		return -1, nil
	case name[0] == 0:
		return 0, errors.New("its header has no name")
	case string(magic) != "ustar " && string(magic) != "ustar\x00":
		return 0, errors.New("its header is of an unknown form")
	case len(bytes.Trim(prefix, "\x00")) > 0:
		return 0, errors.New("its header has a second part of the name")
	case kind == 'x' || kind == 'g' || kind == 'X':
		return 0, errors.New("its header is in the form of PAX, which dpkg-deb does not use")
	}
	size, err := strconv.ParseUint(string(length[:11]), 8, 36)
	if err != nil || length[11] != 0 && length[11] != ' ' {
		return 0, errors.New("its size is not in the form that dpkg-deb uses")
	}
	text, _, _ := bytes.Cut(name, []byte{0})
	switch kind {
	case 'L', 'K': // the name, or the target, of the entry that follows
		return int64(size), nil
	case '0':
		if strings.HasSuffix(string(text), "/") {
			return 0, errors.New("is a file with the name of a directory")
		}
		return int64(size), nil
	case 0:
		return 0, errors.New("its header is of an unknown form")
	}
	if size > 0 {
		return 0, errors.New("has content, and is no file")
	}
	return 0, nil
}
