// Package lock owns the lock file: the pinned seed, every file of it by name, size and SHA-256,
// with the signed indexes it was resolved from.
//
// It reads, checks, writes and compares locks. It never fetches a file
// and never decides which version belongs into a lock.
package lock

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// FormatVersion is the newest version of the file format that this package knows. It writes the
// oldest one that has a place for all of a lock: 2 with [Entry.URL], else 1.
const FormatVersion = 2

// urlVersion is the first version with a place for [Entry.URL].
const urlVersion = 2

// TimeLayout is the layout, as package time has it, of [Lock.Timestamp] and [Suite.Date]; always UTC.
// It is the form snapshot archives use in their paths.
const TimeLayout = "20060102T150405Z"

// Architectures of an [Entry] that name no processor.
const (
	All    = "all"    // a package with nothing in it that is compiled
	Source = "source" // a file of a source package
)

// Role is what a file of the seed is for.
type Role string

// The roles.
const (
	Host        Role = "host"         // the host nix and the libraries it needs
	Shell       Role = "shell"        // static shells: the first builder and the sandbox's /bin/sh
	Patchelf    Role = "patchelf"     // patchelf and the libraries it runs on
	Toolchain   Role = "toolchain"    // compiler, build tools and libraries to build Nix with
	CACert      Role = "cacert"       // certificate authorities
	NixSource   Role = "nix-source"   // the source of Nix
	HelloSource Role = "hello-source" // the source of the program built as a proof
)

// Roles returns all roles, in the order the stages use them.
func Roles() []Role {
	return []Role{Host, Shell, Patchelf, Toolchain, CACert, NixSource, HelloSource}
}

// Unpacked returns the roles whose packages a builder of the package set unpacks, those of
// one role into one directory.
func Unpacked() []Role { return []Role{Patchelf, Toolchain, CACert} }

// Lock is the content of a lock file.
type Lock struct {
	Version   int     `json:"version"`   // of the format; see [FormatVersion]
	Timestamp string  `json:"timestamp"` // newest of the suites' dates when it was made, in [TimeLayout]; see [Lock.TimeOf]
	Suites    []Suite `json:"suites"`    // at least one, by name
	Entries   []Entry `json:"entries"`   // at least one, by path
}

// Suite is one signed index that the lock was resolved from.
type Suite struct {
	Name            string `json:"name"`             // as it stands in the archive's paths: "trixie"
	Codename        string `json:"codename"`         // as the index itself says
	Date            string `json:"date"`             // of the index, in [TimeLayout]
	InReleaseSHA256 string `json:"inrelease_sha256"` // lower-case hexadecimal
	SignedBy        string `json:"signed_by"`        // fingerprint of the primary key, upper-case hexadecimal
}

// Entry is one pinned file.
type Entry struct {
	Name         string   `json:"name"` // of the package, or of the source package
	Version      string   `json:"version"`
	Architecture string   `json:"architecture"`  // "amd64", "arm64", …, [All] or [Source]
	Suite        string   `json:"suite"`         // one of the lock's suites; "" with URL
	Path         string   `json:"path"`          // "pool/…", relative to the mirror's base; with URL, a name alone
	URL          string   `json:"url,omitempty"` // where the file is, if it is not of the archive: http, https or file
	Size         int64    `json:"size"`          // bytes
	SHA256       string   `json:"sha256"`        // lower-case hexadecimal
	Roles        []Role   `json:"roles"`         // at least one, sorted
	For          []string `json:"for"`           // architectures the entry serves: at least one, sorted
}

// Serves reports whether the entry belongs to the seed of an architecture in any of the roles,
// or in any role at all if none is given.
func (e Entry) Serves(arch string, roles ...Role) bool {
	if !slices.Contains(e.For, arch) {
		return false
	}
	return len(roles) == 0 || slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(e.Roles, r) })
}

// For returns the entries that an architecture needs in any of the roles, sorted by path;
// without roles, all that it needs.
func (l *Lock) For(arch string, roles ...Role) []Entry {
	var entries []Entry
	for _, e := range l.Entries {
		if e.Serves(arch, roles...) {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, compareEntries)
	return entries
}

// DateOf returns the date of a suite's index, and the zero time if there is none.
func (l *Lock) DateOf(suite string) time.Time {
	for _, s := range l.Suites {
		if s.Name == suite {
			date, err := time.Parse(TimeLayout, s.Date)
			if err == nil { // else Check has failed
				return date
			}
		}
	}
	return time.Time{}
}

// Digest returns the SHA-256 of the canonical form, in lower-case hexadecimal:
// two locks that pin the same have the same digest, however their files were laid out.
func (l *Lock) Digest() string {
	sum := sha256.Sum256(l.Marshal())
	return hex.EncodeToString(sum[:])
}

func compareEntries(a, b Entry) int { return strings.Compare(a.Path, b.Path) }

func compareSuites(a, b Suite) int { return strings.Compare(a.Name, b.Name) }
