package resolve

import (
	"fmt"
	"slices"
	"strings"

	"bootstrap/internal/control"
	"bootstrap/internal/lock"
)

// universe is what one suite offers one architecture.
type universe struct {
	suite    string
	arch     string
	real     map[string][]*control.Package // by name, newest first
	provided map[string][]provision        // by the name provided, sorted by provider, newest first
}

// provision is one item of a package's Provides.
type provision struct {
	by      *control.Package
	version string // "" if the item has none
}

func newUniverse(suite, arch string, packages []control.Package) *universe {
	u := &universe{
		suite:    suite,
		arch:     arch,
		real:     make(map[string][]*control.Package),
		provided: make(map[string][]provision),
	}
	for i := range packages {
		p := &packages[i]
		if p.Architecture != arch && p.Architecture != lock.All {
			continue
		}
		u.real[p.Name] = append(u.real[p.Name], p)
		for _, r := range p.Provides {
			u.provided[r.Name] = append(u.provided[r.Name], provision{by: p, version: r.Version})
		}
	}
	for _, list := range u.real {
		slices.SortStableFunc(list, newerFirst)
	}
	for _, list := range u.provided {
		slices.SortStableFunc(list, func(a, b provision) int {
			if c := strings.Compare(a.by.Name, b.by.Name); c != 0 {
				return c
			}
			return newerFirst(a.by, b.by)
		})
	}
	return u
}

func newerFirst(a, b *control.Package) int { return control.Compare(b.Version, a.Version) }

// candidates returns all that satisfies a relation, the best first:
// packages of that very name before those that provide it.
func (u *universe) candidates(r control.Relation) []*control.Package {
	if !u.concerns(r) {
		return nil
	}
	var found []*control.Package
	for _, p := range u.real[r.Name] {
		if r.SatisfiedBy(p.Version) {
			found = append(found, p)
		}
	}
	for _, v := range u.provided[r.Name] {
		if v.satisfies(r) {
			found = append(found, v.by)
		}
	}
	return found
}

// concerns reports whether the relation is about this architecture at all.
func (u *universe) concerns(r control.Relation) bool {
	switch r.Arch {
	case "", ":any", ":native", ":" + u.arch:
		return r.AppliesTo(u.arch)
	}
	return false
}

// satisfies follows deb-control(5): a provision without a version satisfies no versioned relation.
func (v provision) satisfies(r control.Relation) bool {
	return r.Op == "" || v.version != "" && r.SatisfiedBy(v.version)
}

// satisfies reports whether one package satisfies a relation, by name or by what it provides.
func (u *universe) satisfies(p *control.Package, r control.Relation) bool {
	if p.Name == r.Name && r.SatisfiedBy(p.Version) {
		return true
	}
	return slices.ContainsFunc(p.Provides, func(q control.Relation) bool {
		return q.Name == r.Name && provision{by: p, version: q.Version}.satisfies(r)
	})
}

// entry returns what a lock says of a package, without what it is for.
func (u *universe) entry(p *control.Package) lock.Entry {
	return lock.Entry{
		Name: p.Name, Version: p.Version, Architecture: p.Architecture, Suite: u.suite,
		Path: p.Filename, Size: p.Size, SHA256: p.SHA256,
	}
}

// pinned returns the package of an entry: the index's own where that still has the version,
// else one that is known by name and version only.
func (u *universe) pinned(e lock.Entry) *control.Package {
	for _, p := range u.real[e.Name] {
		if p.Version == e.Version && p.SHA256 == e.SHA256 {
			return p
		}
	}
	p := &control.Package{
		Name: e.Name, Version: e.Version, Architecture: e.Architecture,
		Filename: e.Path, Size: e.Size, SHA256: e.SHA256,
	}
	if len(u.real[e.Name]) > 0 {
		// What it provides is not in the lock. Its successor most likely provides the same.
		for _, q := range u.real[e.Name][0].Provides {
			if q.Version != "" {
				q.Version = e.Version
			}
			p.Provides = append(p.Provides, q)
		}
	}
	return p
}

func label(p *control.Package) string { return fmt.Sprintf("%s (%s)", p.Name, p.Version) }
