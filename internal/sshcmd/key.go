package sshcmd

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
)

// Key is the public key of a host.
type Key struct {
	Type string // as "ssh-ed25519"
	Blob []byte // what the host sends of it (RFC 4253, 6.6); it begins with the type
}

// ParseKey reads "<type> <base 64>", as a file *.pub has it; a comment after it is passed over.
func ParseKey(text string) (Key, error) {
	words := strings.Fields(text)
	if len(words) < 2 {
		return Key{}, fmt.Errorf("host key %q: is not \"<type> <base 64>\"", text)
	}
	blob, err := base64.StdEncoding.DecodeString(words[1])
	if err != nil {
		return Key{}, fmt.Errorf("host key %q: %w", text, err)
	}
	if len(blob) < 4 {
		return Key{}, fmt.Errorf("host key %q: is too short", text)
	}
	n := uint64(binary.BigEndian.Uint32(blob))
	if n > uint64(len(blob)-4) || string(blob[4:4+n]) != words[0] || n == 0 {
		return Key{}, fmt.Errorf("host key %q: is not of type %s", text, words[0])
	}
	return Key{Type: words[0], Blob: blob}, nil
}

// String returns the text that [ParseKey] reads.
func (k Key) String() string { return k.Type + " " + base64.StdEncoding.EncodeToString(k.Blob) }

// Fingerprint returns the digest of the key as ssh prints it.
func (k Key) Fingerprint() string {
	sum := sha256.Sum256(k.Blob)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// Equal reports whether two keys are the same.
func (k Key) Equal(other Key) bool { return k.Type == other.Type && bytes.Equal(k.Blob, other.Blob) }
