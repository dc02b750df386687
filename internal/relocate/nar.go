package relocate

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The format of NARs is in the manual, https://nix.dev/manual/nix/2.26/protocols/nix-archive: strings with their
// length in eight bytes in front, filled up with zeros to a multiple of eight. Names are bytes, not text.

// Limits of what is read into memory. Contents are not.
const (
	maxName   = 255
	maxTarget = 4095
	maxToken  = 16
	maxDepth  = 512
)

// narReader reads tokens.
type narReader struct {
	r     *bufio.Reader
	small [maxToken]byte
}

func (n *narReader) length() (uint64, error) {
	if _, err := io.ReadFull(n.r, n.small[:8]); err != nil {
		return 0, unexpected(err)
	}
	return binary.LittleEndian.Uint64(n.small[:8]), nil
}

// padding reads the zeros behind a string.
func (n *narReader) padding(length uint64) error {
	var zeros [8]byte
	k := int(-length & 7)
	if _, err := io.ReadFull(n.r, zeros[:k]); err != nil {
		return unexpected(err)
	}
	if zeros != [8]byte{} {
		return errors.New("nar: padding that is not zero")
	}
	return nil
}

// text reads a string of limited length.
func (n *narReader) text(limit int) ([]byte, error) {
	length, err := n.length()
	if err != nil {
		return nil, err
	}
	if length > uint64(limit) {
		return nil, fmt.Errorf("nar: a string of %d bytes, with %d allowed", length, limit)
	}
	b := make([]byte, length)
	if _, err := io.ReadFull(n.r, b); err != nil {
		return nil, unexpected(err)
	}
	return b, n.padding(length)
}

// expect reads one of several tokens.
func (n *narReader) expect(tokens ...string) (string, error) {
	length, err := n.length()
	if err != nil {
		return "", err
	}
	if length > maxToken {
		return "", fmt.Errorf("nar: a string of %d bytes, where %s was expected", length, strings.Join(tokens, " or "))
	}
	b := n.small[:length]
	if _, err := io.ReadFull(n.r, b); err != nil {
		return "", unexpected(err)
	}
	if err := n.padding(length); err != nil {
		return "", err
	}
	for _, t := range tokens {
		if string(b) == t {
			return t, nil
		}
	}
	return "", fmt.Errorf("nar: %q, where %s was expected", b, strings.Join(tokens, " or "))
}

// all reads several tokens.
func (n *narReader) all(tokens ...string) error {
	for _, t := range tokens {
		if _, err := n.expect(t); err != nil {
			return err
		}
	}
	return nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("nar: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// narWriter writes tokens.
type narWriter struct{ w io.Writer }

func (n narWriter) length(length uint64) error {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], length)
	_, err := n.w.Write(b[:])
	return err
}

func (n narWriter) padding(length uint64) error {
	var zeros [8]byte
	_, err := n.w.Write(zeros[:-length&7])
	return err
}

func (n narWriter) text(tokens ...string) error {
	for _, t := range tokens {
		if err := n.length(uint64(len(t))); err != nil {
			return err
		}
		if _, err := io.WriteString(n.w, t); err != nil {
			return err
		}
		if err := n.padding(uint64(len(t))); err != nil {
			return err
		}
	}
	return nil
}

// checkName refuses names that cannot be in a directory.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("nar: %q cannot be a file's name", name)
	}
	return nil
}
