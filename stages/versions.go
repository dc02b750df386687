package stages

import (
	"fmt"
	"path"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/lock"

	version "github.com/hashicorp/go-version"
)

// nixVersion returns the version of the source in the lock, if it satisfies the constraint.
func nixVersion(l *lock.Lock, constraint string) (*version.Version, error) {
	have, err := sourceVersion(l)
	if err != nil {
		return nil, err
	}
	return have, satisfied(have, constraint, fmt.Sprintf("the lock has the source of %s; leave --nix-version out to build that", have))
}

// satisfied refuses a version that is not as asked for.
func satisfied(have *version.Version, constraint, hint string) error {
	if constraint == "" {
		return nil
	}
	want, err := version.NewConstraint(constraint)
	if err != nil {
		return fault.New(fault.Usage, fmt.Errorf("nix version %q: not a constraint", constraint),
			`write it as "2.26.3", "~> 2.26" or ">= 2.26, < 2.27"`)
	}
	if !want.Check(have) {
		return fault.New(fault.Usage, fmt.Errorf("nix version %q: none known satisfies it", constraint), hint)
	}
	return nil
}

// sourceVersion returns the version of the source in the lock.
func sourceVersion(l *lock.Lock) (*version.Version, error) {
	for _, e := range nixSources(l) {
		return entryVersion(e)
	}
	return nil, fault.New(fault.Usage, fmt.Errorf("lock: no source of Nix in it"),
		"make a lock with `bootstrap lock update`")
}

// nixSources returns the entries that are sources of Nix.
func nixSources(l *lock.Lock) []lock.Entry {
	var sources []lock.Entry
	for _, e := range l.Entries {
		if e.Serves(e.For[0], lock.NixSource) {
			sources = append(sources, e)
		}
	}
	return sources
}

// entryVersion reads the version off the source's file name: nix_2.26.3+dfsg.orig.tar.xz.
func entryVersion(e lock.Entry) (*version.Version, error) {
	_, rest, _ := strings.Cut(path.Base(e.Path), "_")
	v, err := version.NewVersion(leadingVersion(rest))
	if err != nil {
		return nil, fmt.Errorf("lock: source %q: %w", e.Path, err)
	}
	return v.Core(), nil
}

// leadingVersion returns the digits and dots that s begins with.
func leadingVersion(s string) string {
	digits := s[:len(s)-len(strings.TrimLeft(s, "0123456789."))]
	return strings.TrimRight(digits, ".")
}
