package drv

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Fixed says what a fixed output is, as a .drv file does.
type Fixed struct {
	Method string // "" for a flat file, "r:" for a NAR, "text:" for a text without references
	Algo   string // md5, sha1, sha256 or sha512
	Hash   string // in lower-case hexadecimal
}

// digestLen are the lengths of hashes in hexadecimal.
func digestLen(algo string) int {
	switch algo {
	case "md5":
		return 32
	case "sha1":
		return 40
	case "sha256":
		return 64
	case "sha512":
		return 128
	}
	return 0
}

// parseFixed takes the two fields of an output apart.
func parseFixed(method, hash string) (Fixed, error) {
	f := Fixed{Algo: method, Hash: hash}
	for _, m := range []string{"r:", "text:", "git:"} {
		if algo, ok := strings.CutPrefix(method, m); ok {
			f.Method, f.Algo = m, algo
		}
	}
	switch n := digestLen(f.Algo); {
	case n == 0:
		return Fixed{}, fmt.Errorf("hash type %q is not known", f.Algo)
	case f.Method == "git:":
		return Fixed{}, fmt.Errorf("hashes of git trees are not known")
	case f.Method == "text:" && f.Algo != "sha256":
		return Fixed{}, fmt.Errorf("a text is hashed with sha256, not %s", f.Algo)
	case len(hash) != n:
		return Fixed{}, fmt.Errorf("a hash of type %s has %d digits, not %d", f.Algo, n, len(hash))
	}
	for i := range len(hash) {
		if c := hash[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return Fixed{}, fmt.Errorf("%q is not a lower-case hexadecimal digit", c)
		}
	}
	return f, nil
}

// sum is the SHA-256 that a fixed output is known by; path is empty where its own path is wanted.
func (f Fixed) sum(path string) Sum {
	return sha256.Sum256([]byte("fixed:out:" + f.Method + f.Algo + ":" + f.Hash + ":" + path))
}

// Fixed returns the path of a fixed output. It depends on nothing but its arguments and the store directory.
func (d Dir) Fixed(name string, f Fixed) string {
	if f.Algo == "sha256" && f.Method != "" {
		var s Sum
		if n, err := hex.Decode(s[:], []byte(f.Hash)); err == nil && n == len(s) {
			if f.Method == "text:" {
				return d.Text(name, s, nil)
			}
			return d.Source(name, s, nil, false)
		}
	}
	return d.object("output:out", digest(f.sum("")), name)
}
