package control

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// SatisfiedBy reports whether a package of the relation's name will do in this version.
// It looks at the version alone, not at name or architecture.
func (r Relation) SatisfiedBy(version string) bool {
	if r.Op == "" {
		return true
	}
	c := Compare(version, r.Version)
	switch r.Op {
	case "<<":
		return c < 0
	case "<=":
		return c <= 0
	case "=":
		return c == 0
	case ">=":
		return c >= 0
	case ">>":
		return c > 0
	}
	return false
}

// AppliesTo reports whether the relation counts on the architecture, "amd64" say:
// whether its list in brackets is absent, names the architecture, or negates only others.
// The wildcards any, linux-any and any-<cpu> are understood.
func (r Relation) AppliesTo(arch string) bool {
	if len(r.Archs) == 0 {
		return true
	}
	negated := strings.HasPrefix(r.Archs[0], "!")
	for _, a := range r.Archs {
		switch strings.TrimPrefix(a, "!") {
		case arch, "any", "linux-any", "any-" + arch, "linux-" + arch:
			return !negated
		}
	}
	return negated
}

// String returns the relation as a control file writes it.
func (r Relation) String() string {
	var b strings.Builder
	b.WriteString(r.Name + r.Arch)
	if r.Op != "" {
		fmt.Fprintf(&b, " (%s %s)", r.Op, r.Version)
	}
	if len(r.Archs) > 0 {
		fmt.Fprintf(&b, " [%s]", strings.Join(r.Archs, " "))
	}
	return b.String()
}

// String returns the alternatives as a control file writes them.
func (d Dependency) String() string {
	var parts []string
	for _, r := range d {
		parts = append(parts, r.String())
	}
	return strings.Join(parts, " | ")
}

// ParseDependencies reads the value of a Depends, Pre-Depends or Build-Depends field.
//
// Build profiles ("<!nocheck>") are checked for form and then dropped:
// the relation counts as if its profile condition held.
// The empty string, and empty items between commas, are no dependency at all.
func ParseDependencies(s string) ([]Dependency, error) {
	return make(dependencyCache).parse(s)
}

// dependencyCache holds what was parsed before, by its text.
// Most packages of an index say the same of the same few libraries: an index
// takes a third of the memory when they share it.
type dependencyCache map[string]Dependency

func (c dependencyCache) parse(s string) ([]Dependency, error) {
	if isBlank(s) {
		return nil, nil
	}
	deps := make([]Dependency, 0, strings.Count(s, ",")+1)
	for item := range strings.SplitSeq(s, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		d, ok := c[item]
		if !ok {
			var err error
			item = strings.Clone(item) // lets go of the rest of the line
			if d, err = parseDependency(item); err != nil {
				return nil, fmt.Errorf("dependency %q: %w", item, err)
			}
			c[item] = d
		}
		deps = append(deps, d)
	}
	if len(deps) == 0 {
		return nil, nil
	}
	return deps, nil
}

func parseDependency(s string) (Dependency, error) {
	var d Dependency
	for alt := range strings.SplitSeq(s, "|") {
		r, err := parseRelation(alt)
		if err != nil {
			return nil, err
		}
		d = append(d, r)
	}
	return slices.Clip(d), nil
}

// parseProvides reads the value of a Provides field: no alternatives, and no version but an exact one.
func (c dependencyCache) parseProvides(s string) ([]Relation, error) {
	deps, err := c.parse(s)
	if err != nil {
		return nil, err
	}
	if deps == nil {
		return nil, nil
	}
	provides := make([]Relation, 0, len(deps))
	for _, d := range deps {
		if len(d) != 1 {
			return nil, fmt.Errorf("%q: alternatives are not allowed", d)
		}
		if d[0].Op != "" && d[0].Op != "=" {
			return nil, fmt.Errorf("%q: only an exact version is allowed", d)
		}
		provides = append(provides, d[0])
	}
	return provides, nil
}

// parseRelation reads "name[:arch] [(op version)] [[archs]] [<profiles>]…".
func parseRelation(s string) (Relation, error) {
	var r Relation
	s = strings.TrimSpace(s)
	r.Name, s = cutRun(s, isNameByte)
	if r.Name == "" || !isLetter(r.Name[0]) && !isDigit(r.Name[0]) {
		return r, errors.New("no package name")
	}
	if strings.HasPrefix(s, ":") {
		var arch string
		arch, s = cutRun(s[1:], isArchByte)
		if arch == "" {
			return r, errors.New("empty architecture after colon")
		}
		r.Arch = ":" + arch
	}
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "(") {
		inner, rest, ok := strings.Cut(s[1:], ")")
		if !ok {
			return r, errors.New("unclosed parenthesis")
		}
		if err := r.parseConstraint(inner); err != nil {
			return r, err
		}
		s = strings.TrimSpace(rest)
	}
	if strings.HasPrefix(s, "[") {
		inner, rest, ok := strings.Cut(s[1:], "]")
		if !ok {
			return r, errors.New("unclosed bracket")
		}
		if err := r.parseArchs(inner); err != nil {
			return r, err
		}
		s = strings.TrimSpace(rest)
	}
	return r, checkProfiles(s)
}

func (r *Relation) parseConstraint(s string) error {
	op, version := cutRun(strings.TrimSpace(s), func(c byte) bool { return c == '<' || c == '=' || c == '>' })
	version = strings.TrimSpace(version)
	switch op {
	case "<<", "<=", "=", ">=", ">>":
	case "<", ">":
		// Obsolete, and not what it looks like: deb-control(5) gives both as inclusive.
		op += "="
	default:
		return fmt.Errorf("unknown operator %q", op)
	}
	if err := CheckVersion(version); err != nil {
		return fmt.Errorf("version %q: %w", version, err)
	}
	r.Op, r.Version = op, version
	return nil
}

func (r *Relation) parseArchs(s string) error {
	r.Archs = strings.Fields(s)
	if len(r.Archs) == 0 {
		return errors.New("empty architecture list")
	}
	negated := strings.HasPrefix(r.Archs[0], "!")
	for _, a := range r.Archs {
		name := strings.TrimPrefix(a, "!")
		if name == "" || !all(name, isArchByte) {
			return fmt.Errorf("architecture %q", a)
		}
		if strings.HasPrefix(a, "!") != negated {
			return errors.New("architecture list is negated in part")
		}
	}
	return nil
}

// checkProfiles accepts any number of "<…>" groups and nothing else.
func checkProfiles(s string) error {
	for s != "" {
		if s[0] != '<' {
			return fmt.Errorf("unexpected %q", s)
		}
		inner, rest, ok := strings.Cut(s[1:], ">")
		if !ok || isBlank(inner) || strings.ContainsAny(inner, "<()[]") {
			return fmt.Errorf("profile list %q", s)
		}
		s = strings.TrimSpace(rest)
	}
	return nil
}

func isBlank(s string) bool { return strings.TrimSpace(s) == "" }

func isArchByte(c byte) bool { return isLetter(c) || isDigit(c) || c == '-' }

func isNameByte(c byte) bool {
	return isLetter(c) || isDigit(c) || c == '+' || c == '-' || c == '.' || c == '_'
}
