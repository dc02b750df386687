package drv

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	"zombiezen.com/go/nix"
	"zombiezen.com/go/nix/nixbase32"
)

// HashLen is how many characters the hash part of a store path has.
const HashLen = 32

// maxName is the length of the longest name that Nix allows after the hash part and its dash.
const maxName = 211

// Dir is a store directory: an absolute, clean path such as /nix/store.
type Dir string

// Sum is a SHA-256 digest.
type Sum = [sha256.Size]byte

// check refuses what cannot be a store directory.
func (d Dir) check() error {
	s := string(d)
	if !path.IsAbs(s) || path.Clean(s) != s || s == "/" {
		return fmt.Errorf("store directory %q: not an absolute, clean path below /", s)
	}
	return nil
}

// object returns the path of a store object: its kind with references, the digest of what it is, and its name.
func (d Dir) object(kind, digest, name string) string {
	b := make([]byte, 0, len(kind)+len(digest)+len(d)+len(name)+3)
	b = append(b, kind...)
	b = append(b, ':')
	b = append(b, digest...)
	b = append(b, ':')
	b = append(b, d...)
	b = append(b, ':')
	b = append(b, name...)
	sum := sha256.Sum256(b)
	var short [20]byte
	nix.CompressHash(short[:], sum[:])
	var hash [HashLen]byte
	nixbase32.Encode(hash[:], short[:])

	p := make([]byte, 0, len(d)+len(hash)+len(name)+2)
	p = append(p, d...)
	p = append(p, '/')
	p = append(p, hash[:]...)
	p = append(p, '-')
	return string(append(p, name...))
}

// kind joins a type and its references, which are sorted paths.
func kind(typ string, refs []string, self bool) string {
	var b strings.Builder
	b.WriteString(typ)
	for _, r := range refs {
		b.WriteByte(':')
		b.WriteString(r)
	}
	if self {
		b.WriteString(":self")
	}
	return b.String()
}

func digest(sum Sum) string {
	var b [len("sha256:") + 2*sha256.Size]byte
	hex.Encode(b[copy(b[:], "sha256:"):], sum[:])
	return string(b[:])
}

// Text returns the path of a text object, such as a .drv file or what builtins.toFile makes:
// sum is the digest of its content, refs are the paths it refers to, sorted.
func (d Dir) Text(name string, sum Sum, refs []string) string {
	return d.object(kind("text", refs, false), digest(sum), name)
}

// Source returns the path of what is known by the SHA-256 of its NAR.
// Its references, if it has any, are sorted paths without its own; self says that it refers to itself.
func (d Dir) Source(name string, nar Sum, refs []string, self bool) string {
	return d.object(kind("source", refs, self), digest(nar), name)
}

// Output returns the path of an input-addressed output: modulo is the masked [Derivation.Modulo],
// name the derivation's.
func (d Dir) Output(name, output string, modulo Sum) string {
	return d.object("output:"+output, digest(modulo), outputName(name, output))
}

// outputName is the name of an output's store object.
func outputName(name, output string) string {
	if output == "out" {
		return name
	}
	return name + "-" + output
}

// CheckName refuses what Nix does not allow behind the hash part and its dash.
func CheckName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("store path name %q: it has %d bytes, not 1 to %d", name, len(name), maxName)
	}
	for i := range len(name) {
		if !nameChar[name[i]] {
			return fmt.Errorf("store path name %q: %q is not allowed in it", name, name[i])
		}
	}
	// path.cc of Nix 2.26: the first component between dashes is neither "." nor "..".
	if first, _, _ := strings.Cut(name, "-"); first == "." || first == ".." {
		return fmt.Errorf("store path name %q: it begins with %q", name, first)
	}
	return nil
}

// CheckBase refuses what is not the last element of a store path.
func CheckBase(base string) error {
	if len(base) < HashLen+2 || base[HashLen] != '-' || !allBase32(base[:HashLen]) {
		return fmt.Errorf("store path %q: it does not begin with %d characters of base 32 and a dash", base, HashLen)
	}
	return CheckName(base[HashLen+1:])
}

// base returns the last element of a store path in d.
func (d Dir) base(p string) (string, error) {
	b, ok := strings.CutPrefix(p, string(d)+"/")
	if !ok {
		return "", fmt.Errorf("store path %q: it is not in %s", p, d)
	}
	return b, CheckBase(b)
}

func allBase32(s string) bool {
	for i := range len(s) {
		if !nixbase32.Is(s[i]) {
			return false
		}
	}
	return true
}

// nameChar says which bytes may be in the name of a store path.
var nameChar = func() (t [256]bool) {
	for _, c := range []byte("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-._?=") {
		t[c] = true
	}
	return t
}()
