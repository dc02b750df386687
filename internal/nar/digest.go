package nar

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// Digest is the SHA-256 of an archive.
type Digest [32]byte

// Hex returns the digest in hexadecimal digits, as Nix's database has it behind "sha256:".
func (d Digest) Hex() string { return hex.EncodeToString(d[:]) }

// String returns the digest as people see it in Nix: https://www.w3.org/TR/SRI/
func (d Digest) String() string { return "sha256-" + base64.StdEncoding.EncodeToString(d[:]) }

// Parse reads the forms in which Nix writes a digest of an archive: SRI, and hexadecimal digits
// with or without "sha256:" before them.
func Parse(text string) (Digest, error) {
	var raw []byte
	var err error
	if rest, ok := strings.CutPrefix(text, "sha256-"); ok {
		raw, err = base64.StdEncoding.Strict().DecodeString(rest)
	} else {
		raw, err = hex.DecodeString(strings.TrimPrefix(text, "sha256:"))
	}
	if err != nil || len(raw) != len(Digest{}) {
		return Digest{}, fmt.Errorf("%q: is not a SHA-256", text)
	}
	return Digest(raw), nil
}
