// Package pkgset owns how a package set in the shape of nixpkgs is named, what a name came to, and how an
// archive of one is unpacked.
//
// A name may mean something else tomorrow. What it came to is a [Pin]: the digest of every file in it,
// which is what the store path of the set is made of. The package runs no Nix, asks no network, and
// unpacks nothing whose digest was not compared before.
package pkgset

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"bootstrap/internal/drv"
	"bootstrap/internal/fault"
	"bootstrap/internal/mirror"
	"bootstrap/internal/nar"
)

// Embedded is what the set is called that comes with the program.
const Embedded = "embedded"

// nixpkgs is what begins the name of any other: the name that it gets in the prefix.
const nixpkgs = "nixpkgs="

// StoreName is the name of the set in the store: the one that Nix gives what flakes are fetched as, so that
// the same files are the same store path however they came.
const StoreName = "source"

// Kind is how a set is had.
type Kind int

// The kinds.
const (
	Own       Kind = iota // the embedded one
	Directory             // a path
	Archive               // the path of a tarball
	Download              // the URL of a tarball, with its sha256
	Flake                 // a flake reference, which Nix fetches
)

// Ref is how a person names a set.
type Ref struct {
	Kind   Kind
	Text   string // as it is written into receipts, with absolute paths
	At     string // the path, the URL, or the flake reference
	SHA256 string // of the tarball; may be "" where it is a path
}

var (
	scheme    = regexp.MustCompile(`^[a-z][a-z0-9+.-]*:`)
	commit    = regexp.MustCompile(`^[0-9a-f]{40}$`)
	plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]*$`)
)

const hintSet = "give nixpkgs=PATH, of a directory or a tarball, nixpkgs=URL with --packages-sha256, nixpkgs=github:OWNER/REPOSITORY@REVISION, or embedded"

// Parse reads what --packages says, and the sha256 that was given with it. Absolute makes a path absolute.
func Parse(text, sha256 string, absolute func(string) (string, error)) (Ref, error) {
	wrong := func(format string, args ...any) (Ref, error) {
		return Ref{}, fault.New(fault.Usage, fmt.Errorf("--packages %q: "+format, append([]any{mirror.Redact(text)}, args...)...), hintSet)
	}
	if text == Embedded && sha256 == "" {
		return Ref{Kind: Own, Text: text}, nil
	}
	at, ok := strings.CutPrefix(text, nixpkgs)
	r := Ref{Text: text, At: at, SHA256: sha256}
	switch {
	case !ok || at == "":
		return wrong("names no package set")
	case strings.HasPrefix(at, "http://"), strings.HasPrefix(at, "https://"):
		r.Kind = Download
		if sha256 == "" {
			return wrong("no digest to check it against: add --packages-sha256")
		}
		if mirror.Redact(at) != at {
			return wrong("there is a login in it, and the prefix keeps the address where everybody can read it")
		}
		return r, nil
	case scheme.MatchString(at):
		if sha256 != "" {
			return wrong("--packages-sha256 is for a tarball; a flake reference has a revision")
		}
		return flake(r, wrong)
	}
	path, err := absolute(at)
	if err != nil {
		return Ref{}, err
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return wrong("%w", err)
	case info.IsDir() && sha256 != "":
		return wrong("--packages-sha256 is for a tarball, and this is a directory")
	case info.IsDir():
		r.Kind = Directory
	case info.Mode().IsRegular():
		r.Kind = Archive
	default:
		return wrong("is neither a directory nor a file")
	}
	r.At, r.Text = path, nixpkgs+path
	return r, nil
}

// flake checks a flake reference, and writes REF@REVISION as Nix has it.
// https://nix.dev/manual/nix/2.26/command-ref/new-cli/nix3-flake#types
func flake(r Ref, wrong func(string, ...any) (Ref, error)) (Ref, error) {
	r.Kind = Flake
	kind, _, _ := strings.Cut(r.At, ":")
	switch kind {
	case "github", "gitlab", "sourcehut":
		ref, rev, pinned := strings.Cut(r.At, "@")
		if !pinned {
			return r, nil
		}
		if !plainName.MatchString(rev) || strings.Count(ref, "/") != 1 || strings.Contains(ref, "?") {
			return wrong("%q is no revision or branch of OWNER/REPOSITORY", rev)
		}
		r.At = ref + "/" + rev
		return r, nil
	case "path", "tarball+http", "tarball+https", "tarball+file":
		return r, nil
	case "git", "git+https", "git+ssh", "git+http", "git+file", "hg", "hg+https":
		return wrong("it takes a program that Nix would have to find on this host: clone it yourself, and give the path")
	}
	return wrong("%q is no kind of flake reference that is taken here", kind)
}

// Settled reports whether a name means the same files for ever: it is a URL, whose sha256 was given, or has a
// commit or a digest in it.
func Settled(text string) bool {
	at := strings.TrimPrefix(text, nixpkgs)
	return strings.HasPrefix(at, "http://") || strings.HasPrefix(at, "https://") || strings.Contains(at, "narHash=") ||
		scheme.MatchString(at) && commit.MatchString(at[strings.LastIndexAny(at, "/@")+1:])
}

// Pin is what a name came to.
type Pin struct {
	From    string `json:"from"`             // the name
	SHA256  string `json:"sha256,omitempty"` // of the tarball it was
	Locked  string `json:"locked,omitempty"` // the flake reference that Nix made of it
	Rev     string `json:"rev,omitempty"`    // the commit, if it says so
	NARHash string `json:"nar_hash"`         // of all files in it
	Version string `json:"version"`          // what it calls itself: lib.version
}

// Store returns the path of the set in a store.
func (p Pin) Store(dir string) (string, error) {
	sum, err := nar.Parse(p.NARHash)
	if err != nil {
		return "", err
	}
	return drv.Dir(dir).Source(StoreName, sum, nil, false), nil
}

// Git is the directory of a checkout that is no part of the set.
const Git = ".git"

// Look makes a pin of the files in a directory.
func Look(dir string) (Pin, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Pin{}, err
	}
	defer root.Close()
	if info, err := root.Stat("default.nix"); err != nil || !info.Mode().IsRegular() {
		return Pin{}, fault.New(fault.Usage, fmt.Errorf("package set %q: there is no default.nix in it", dir), hintSet)
	}
	sum, _, err := nar.SumWithout(root, ".", Git)
	if err != nil {
		return Pin{}, err
	}
	return Pin{NARHash: sum.String(), Rev: revision(root)}, nil
}

// revision returns the commit that a set says it is of: nixpkgs has it in its tarballs of releases, and in a
// checkout it is where git has it.
func revision(root *os.Root) string {
	for _, name := range []string{".git-revision", filepath.Join(Git, "HEAD")} {
		if data, err := fs.ReadFile(root.FS(), name); err == nil && commit.MatchString(strings.TrimSpace(string(data))) {
			return strings.TrimSpace(string(data))
		}
	}
	return ""
}

// CheckSHA256 refuses what is no sha256 in hexadecimal digits.
func CheckSHA256(text string) error {
	if raw, err := hex.DecodeString(text); err != nil || len(raw) != 32 || strings.ToLower(text) != text {
		return fault.New(fault.Usage, fmt.Errorf("--packages-sha256 %q: is not a sha256", text),
			"give its 64 digits of 0-9 and a-f, as sha256sum prints them")
	}
	return nil
}

// errShape is the error of an archive that is no set.
var errShape = errors.New("there is not one directory in it that has a default.nix")
