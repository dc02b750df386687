package lock

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"bootstrap/internal/control"
)

// Change is one difference between two locks.
type Change struct {
	Old *Entry // nil if the entry is new
	New *Entry // nil if the entry is gone
}

// String returns the change in one line, for people.
func (c Change) String() string {
	switch c.Kind() {
	case Added:
		return fmt.Sprintf("%s: added %s", c.New.label(), c.New.Version)
	case Removed:
		return fmt.Sprintf("%s: removed %s", c.Old.label(), c.Old.Version)
	case Versions:
		return fmt.Sprintf("%s: %s -> %s", c.Old.label(), c.Old.Version, c.New.Version)
	case Bytes:
		return fmt.Sprintf("%s: %s has other bytes", c.Old.label(), c.Old.Version)
	default:
		return fmt.Sprintf("%s: %s serves %v on %v, before %v on %v", c.Old.label(), c.Old.Version,
			c.New.Roles, c.New.For, c.Old.Roles, c.Old.For)
	}
}

// Kind is what about an entry is different.
type Kind string

// The kinds of changes.
const (
	Added    Kind = "added"
	Removed  Kind = "removed"
	Versions Kind = "version" // another version of the package
	Bytes    Kind = "bytes"   // the same version with other contents
	Use      Kind = "use"     // other roles, other architectures, or another path
)

// Kind returns what is different.
func (c Change) Kind() Kind {
	switch {
	case c.Old == nil:
		return Added
	case c.New == nil:
		return Removed
	case c.Old.Version != c.New.Version:
		return Versions
	case c.Old.SHA256 != c.New.SHA256:
		return Bytes
	}
	return Use
}

func (e Entry) label() string { return e.Name + ":" + e.Architecture }

// kin is what an entry has in common with its successor in another lock.
func (e Entry) kin() string {
	k := []string{e.Name, e.Architecture, e.Suite}
	if e.Architecture == Source {
		k = append(k, fmt.Sprint(e.Roles))
	}
	return strings.Join(k, " ")
}

// Diff returns what changed from one lock to another, by name, architecture and suite.
func Diff(old, new *Lock) []Change {
	was, is := group(old), group(new)
	var changes []Change
	for kin, before := range was {
		after := is[kin]
		delete(is, kin)
		before, after = dropCommon(before, after)
		for i := range max(len(before), len(after)) {
			var c Change
			if i < len(before) {
				c.Old = &before[i]
			}
			if i < len(after) {
				c.New = &after[i]
			}
			changes = append(changes, c)
		}
	}
	for _, after := range is {
		for i := range after {
			changes = append(changes, Change{New: &after[i]})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int {
		x, y := a.any(), b.any()
		return cmp.Or(cmp.Compare(x.kin(), y.kin()), control.Compare(x.Version, y.Version), cmp.Compare(x.Path, y.Path))
	})
	return changes
}

func (c Change) any() *Entry {
	if c.Old != nil {
		return c.Old
	}
	return c.New
}

func group(l *Lock) map[string][]Entry {
	groups := make(map[string][]Entry)
	for _, e := range l.canonical().Entries {
		groups[e.kin()] = append(groups[e.kin()], e)
	}
	return groups
}

// dropCommon takes out of both lists the entries that are equal in all fields.
func dropCommon(a, b []Entry) (onlyA, onlyB []Entry) {
	for _, e := range a {
		if i := slices.IndexFunc(b, e.equal); i >= 0 {
			b = slices.Delete(slices.Clone(b), i, i+1)
		} else {
			onlyA = append(onlyA, e)
		}
	}
	return onlyA, b
}

func (e Entry) equal(o Entry) bool {
	return e.Name == o.Name && e.Version == o.Version && e.Architecture == o.Architecture &&
		e.Suite == o.Suite && e.Path == o.Path && e.URL == o.URL && e.Size == o.Size && e.SHA256 == o.SHA256 &&
		slices.Equal(e.Roles, o.Roles) && slices.Equal(e.For, o.For)
}
