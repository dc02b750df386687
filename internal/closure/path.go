package closure

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"bootstrap/internal/nar"
)

// Path is a store path, and what Nix has registered of it.
type Path struct {
	Path       string     // /opt/store/<digest>-<name>
	NarHash    nar.Digest // of its contents
	NarSize    int64
	Deriver    string   // may be empty
	References []string // sorted; itself among them if it refers to itself
	Signatures []string // in Nix's form, <key name>:<base64>; not part of a registration
	CA         string   // what the path is known by where that is its content; not part of a registration
}

// Base returns the name of the path in the store directory.
func (p Path) Base() string { return path.Base(p.Path) }

// Name returns the name without the digest: "hello-2.10".
func (p Path) Name() string { return Name(p.Path) }

// Name returns the name of a store path without the digest.
func Name(storePath string) string {
	_, name, _ := strings.Cut(path.Base(storePath), "-")
	return name
}

const (
	digestLength = 32
	// maxName is how long the name behind the digest may be.
	maxName = 211
)

// digits are those of Nix's own base 32, which has no e, o, u and t.
const digits = "0123456789abcdfghijklmnpqrsvwxyz"

// CheckBase says why a name cannot be one of a store path.
// https://nix.dev/manual/nix/2.26/protocols/store-path
func CheckBase(base string) error {
	digest, name, ok := strings.Cut(base, "-")
	switch {
	case !ok || len(digest) != digestLength || strings.Trim(digest, digits) != "":
		return fmt.Errorf("%q: does not begin with the digest of a store path", base)
	case name == "" || len(name) > maxName:
		return fmt.Errorf("%q: has an empty name, or one of more than %d bytes", base, maxName)
	case name == "." || name == ".." || strings.HasPrefix(name, ".-") || strings.HasPrefix(name, "..-"):
		return fmt.Errorf("%q: has a name that Nix does not allow", base)
	}
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("+-._?=", r) {
			return fmt.Errorf("%q: has a %q in its name", base, r)
		}
	}
	return nil
}

// split returns the store directory of a store path, and the name in it.
func split(storePath string) (store, base string, err error) {
	if !path.IsAbs(storePath) || path.Clean(storePath) != storePath {
		return "", "", fmt.Errorf("%q: is not an absolute path in its shortest form", storePath)
	}
	store, base = path.Dir(storePath), path.Base(storePath)
	if store == "/" {
		return "", "", errors.New("the store directory is the root of the file system")
	}
	return store, base, CheckBase(base)
}

// cutDir returns a path relative to a directory that it lies below.
func cutDir(p, dir string) (string, bool) { return strings.CutPrefix(p, dir+"/") }
