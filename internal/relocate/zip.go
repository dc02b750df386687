package relocate

import (
	"bufio"
	"compress/bzip2"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// zipHeader is a local file header, APPNOTE.TXT 6.3.10, section 4.3.7.
type zipHeader struct {
	name   string
	flags  uint16
	method uint16
	size   int64 // packed; of no meaning if it comes behind the data
}

const (
	zipEncrypted  = 1
	zipDescriptor = 8
)

// zip reads the members of a zip file in the order in which they are there.
func (s *inspector) zip(r *bufio.Reader, name string, depth int) error {
	for {
		sig, err := r.Peek(4)
		if err != nil {
			return fmt.Errorf("%s: a zip file that ends too soon", name)
		}
		if string(sig) != "PK\x03\x04" {
			if hasPrefix(sig, "PK") { // the directory
				return s.plain(r, name+" directory")
			}
			return fmt.Errorf("%s: a damaged zip file", name)
		}
		h, err := readZipHeader(r)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := s.label(h.name, name); err != nil {
			return err
		}
		if err := s.zipMember(r, h, name+" "+h.name, depth); err != nil {
			return err
		}
		if h.flags&zipDescriptor != 0 {
			if err := skipDescriptor(r); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
}

func (s *inspector) zipMember(r *bufio.Reader, h zipHeader, name string, depth int) error {
	if h.flags&zipEncrypted != 0 {
		return fmt.Errorf("%s: encrypted", name)
	}
	packed := io.Reader(r)
	if h.flags&zipDescriptor == 0 {
		packed = io.LimitReader(r, h.size)
	} else if h.method != 8 {
		return fmt.Errorf("%s: its size is not known", name)
	}
	var err error
	switch h.method {
	case 0:
		err = s.stream(packed, name, depth+1)
	case 8:
		f := flate.NewReader(packed)
		err = s.stream(f, name, depth+1)
		if err == nil {
			_, err = io.Copy(io.Discard, f)
		}
	case 12:
		err = s.stream(bzip2.NewReader(packed), name, depth+1)
	default:
		return fmt.Errorf("%s: method %d is not known", name, h.method)
	}
	if err == nil && h.flags&zipDescriptor == 0 {
		_, err = io.Copy(io.Discard, packed)
	}
	return err
}

func readZipHeader(r *bufio.Reader) (zipHeader, error) {
	var b [30]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return zipHeader{}, err
	}
	le := binary.LittleEndian
	rest := make([]byte, int(le.Uint16(b[26:]))+int(le.Uint16(b[28:])))
	if _, err := io.ReadFull(r, rest); err != nil {
		return zipHeader{}, err
	}
	n := int(le.Uint16(b[26:]))
	h := zipHeader{string(rest[:n]), le.Uint16(b[6:]), le.Uint16(b[8:]), int64(le.Uint32(b[18:]))}
	if h.size != 0xffffffff {
		return h, nil
	}
	for extra := rest[n:]; len(extra) >= 4; { // zip64, section 4.5.3
		id, size := le.Uint16(extra), int(le.Uint16(extra[2:]))
		if size > len(extra)-4 {
			break
		}
		if id == 1 && size >= 16 {
			h.size = int64(le.Uint64(extra[12:]) & (1<<62 - 1))
			return h, nil
		}
		extra = extra[4+size:]
	}
	return h, errors.New("a size is missing")
}

// skipDescriptor reads the sizes behind data: with or without a signature, with four or eight bytes each.
func skipDescriptor(r *bufio.Reader) error {
	b, _ := r.Peek(28)
	for _, n := range []int{16, 12, 24, 20} {
		if len(b) >= n+2 && string(b[n:n+2]) == "PK" && (n%8 == 4 || hasPrefix(b, "PK\x07\x08")) {
			_, err := r.Discard(n)
			return err
		}
	}
	return errors.New("a data descriptor that is not understood")
}
