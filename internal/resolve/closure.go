package resolve

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"bootstrap/internal/control"
)

// closure is a set of packages that grows until every dependency in it is met.
//
// There is one version of a package in it, the newest that all relations accept.
// Where a later relation rejects a version chosen before, the search starts again knowing it;
// that is all the backtracking there is, and all that an index with few versions calls for.
type closure struct {
	u       *universe
	exclude []string // path.Match patterns of names that count as met and are never taken
	alone   bool     // take roots only

	chosen map[string]*control.Package // by name
	firm   []need                      // one candidate: nothing to decide
	loose  []need                      // several: decided last, when more is chosen
	limits map[string][]control.Relation
}

// need is a dependency and whose it is.
type need struct {
	dep control.Dependency
	by  string
}

// conflict is the discovery that a chosen version will not do.
type conflict struct {
	name string // of the package chosen; r may name it by what it provides
	r    control.Relation
	by   string
}

func (c *conflict) Error() string { return fmt.Sprintf("%s needs %s", c.by, c.r) }

func newClosure(u *universe, exclude []string) *closure {
	return &closure{u: u, exclude: exclude, limits: make(map[string][]control.Relation)}
}

// solve takes in all roots and what they need, and returns the packages sorted by name.
// Packages of seed are there from the beginning, without their own dependencies being followed;
// one that a conflict is about is dropped, and chosen again if it is needed.
func (c *closure) solve(roots []control.Dependency, seed []*control.Package) ([]*control.Package, error) {
	for {
		hit, err := c.try(roots, seed)
		if err != nil {
			return nil, err
		}
		if hit == nil {
			break
		}
		known := func(r control.Relation) bool { return r.String() == hit.r.String() }
		if slices.ContainsFunc(c.limits[hit.name], known) {
			return nil, unmet("no version of %s is right for all: %w", hit.name, hit)
		}
		c.limits[hit.name] = append(c.limits[hit.name], hit.r)
	}
	var packages []*control.Package
	for _, p := range c.chosen {
		packages = append(packages, p)
	}
	slices.SortFunc(packages, func(a, b *control.Package) int { return strings.Compare(a.Name, b.Name) })
	return packages, nil
}

// try runs to the end or to the first conflict.
func (c *closure) try(roots []control.Dependency, seed []*control.Package) (*conflict, error) {
	c.chosen, c.firm, c.loose = make(map[string]*control.Package), nil, nil
	for _, p := range seed {
		if c.isWithin(p) {
			c.chosen[p.Name] = p
		}
	}
	for _, d := range roots {
		c.push(d, "the list of roots")
	}
	for len(c.firm)+len(c.loose) > 0 {
		queue := &c.firm
		if len(c.firm) == 0 {
			queue = &c.loose
		}
		n := (*queue)[0]
		*queue = (*queue)[1:]
		if hit, err := c.meet(n); hit != nil || err != nil {
			return hit, err
		}
	}
	return nil, nil
}

// push queues a dependency, unless it is about another architecture.
func (c *closure) push(d control.Dependency, by string) {
	d = slices.DeleteFunc(slices.Clone(d), func(r control.Relation) bool { return !r.AppliesTo(c.u.arch) })
	if len(d) == 0 {
		return
	}
	n := need{dep: d, by: by}
	if len(d) == 1 && len(c.u.real[d[0].Name]) > 0 {
		c.firm = append(c.firm, n)
	} else {
		c.loose = append(c.loose, n)
	}
}

// meet sees to it that one alternative is chosen.
func (c *closure) meet(n need) (*conflict, error) {
	if slices.ContainsFunc(n.dep, c.isMet) {
		return nil, nil
	}
	var (
		hit     *conflict
		limited string
	)
	for _, r := range n.dep {
		if c.isExcluded(r.Name) {
			return nil, nil
		}
		for _, p := range c.u.candidates(r) {
			switch {
			case c.isExcluded(p.Name):
				return nil, nil
			case c.chosen[p.Name] != nil:
				hit = &conflict{name: p.Name, r: r, by: n.by}
			case c.isWithin(p):
				c.take(p)
				return nil, nil
			default:
				limited = p.Name
			}
		}
	}
	switch {
	case hit != nil:
		return hit, nil
	case limited != "":
		return nil, unmet("no version of %s is right for all: %s needs %q, others %q", limited, n.by, n.dep, c.limits[limited])
	}
	return nil, unmet("%s needs %q, which %s does not have", n.by, n.dep, c.u.arch)
}

func (c *closure) take(p *control.Package) {
	c.chosen[p.Name] = p
	if c.alone {
		return
	}
	for _, d := range p.PreDepends {
		c.push(d, label(p))
	}
	for _, d := range p.Depends {
		c.push(d, label(p))
	}
}

func (c *closure) isMet(r control.Relation) bool {
	if !c.u.concerns(r) {
		return false
	}
	if p := c.chosen[r.Name]; p != nil && c.u.satisfies(p, r) {
		return true
	}
	for _, v := range c.u.provided[r.Name] {
		if p := c.chosen[v.by.Name]; p != nil && c.u.satisfies(p, r) {
			return true
		}
	}
	return false
}

// isWithin reports whether a version is within the limits learned from conflicts.
func (c *closure) isWithin(p *control.Package) bool {
	for _, r := range c.limits[p.Name] {
		if !c.u.satisfies(p, r) {
			return false
		}
	}
	return true
}

func (c *closure) isExcluded(name string) bool {
	return slices.ContainsFunc(c.exclude, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return err == nil && ok
	})
}
