package resolve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"bootstrap/internal/control"
	"bootstrap/internal/lock"
)

// Table says for each role where its files come from.
type Table map[lock.Role]Rule

// Rule is how one role is resolved: from binary packages, or from one file of a source package.
type Rule struct {
	// Suite is the archive's suite that the role is resolved in. Required.
	Suite string `json:"suite"`
	// Packages are what the role starts from, each a relation as in a Build-Depends field:
	// "libgit2-dev (>= 1.9)", "libcpuid-dev [amd64 i386]".
	Packages []string `json:"packages,omitempty"`
	// Exclude are patterns of package names, as of [path.Match]: dependencies on them count as met.
	Exclude []string `json:"exclude,omitempty"`
	// Alone leaves all dependencies out.
	Alone bool `json:"alone,omitempty"`
	// NeededBy are files of Packages, such as "usr/bin/nix". Where it is given, a dependency is kept
	// only if its package holds a library that one of the files loads, directly or through another.
	NeededBy []string `json:"needed_by,omitempty"`

	// Source names a source package, and File one of its files.
	Source string `json:"source,omitempty"`
	File   string `json:"file,omitempty"`

	roots []control.Dependency
}

// ParseTable reads a table from JSON: an object of rules by role.
func ParseTable(data []byte) (Table, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var t Table
	if err := dec.Decode(&t); err != nil {
		return nil, fmt.Errorf("roles: %w", err)
	}
	return t, t.prepare()
}

// prepare checks all rules and parses their relations.
func (t Table) prepare() error {
	known := lock.Roles()
	for role, rule := range t {
		err := rule.prepare()
		if !slices.Contains(known, role) {
			err = errors.New("no such role")
		}
		if err != nil {
			return fmt.Errorf("role %q: %w", role, err)
		}
		t[role] = rule
	}
	return nil
}

func (r *Rule) prepare() error {
	var err error
	if r.roots, err = control.ParseDependencies(strings.Join(r.Packages, ", ")); err != nil {
		return err
	}
	for _, pattern := range r.Exclude {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("pattern %q: %w", pattern, err)
		}
	}
	switch {
	case r.Suite == "":
		return errors.New("no suite")
	case (len(r.roots) > 0) == (r.Source != ""):
		return errors.New("it wants either packages or a source")
	case (r.Source == "") != (r.File == ""):
		return errors.New("a source wants a file, and a file a source")
	case r.Alone && len(r.NeededBy) > 0:
		return errors.New("alone and needed_by exclude each other")
	}
	return nil
}

// suites returns the suites of all rules, sorted.
func (t Table) suites() []string {
	var names []string
	for _, r := range t {
		names = append(names, r.Suite)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// rules returns the roles that are resolved in a suite, sorted:
// from source packages if source is true, from binary packages if not.
func (t Table) rules(suite string, source bool) []lock.Role {
	var roles []lock.Role
	for role, r := range t {
		if r.Suite == suite && (r.Source != "") == source {
			roles = append(roles, role)
		}
	}
	slices.Sort(roles)
	return roles
}
