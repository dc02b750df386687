package lock

import (
	"path"
	"slices"
)

// WithPackages returns a copy of the lock in which a role has what it has in another lock besides,
// on the architectures that the lock has the role for. What is added takes the place of packages of the same name,
// and of those whose names match one of the patterns, as of [path.Match].
//
// The time of the lock stays as it was; [Lock.TimeOf] goes by the suites of what was added. A suite
// that both locks have stays that of the first.
func (l *Lock) WithPackages(role Role, more *Lock, instead []string) (*Lock, error) {
	c := l.canonical()
	var served []string
	for _, e := range c.Entries {
		if slices.Contains(e.Roles, role) {
			served = append(served, e.For...)
		}
	}
	var added []Entry
	for _, e := range more.canonical().Entries {
		e.For = slices.DeleteFunc(e.For, func(arch string) bool { return !slices.Contains(served, arch) })
		if slices.Contains(e.Roles, role) && len(e.For) > 0 {
			e.Roles = []Role{role}
			added = append(added, e)
		}
	}
	for i, e := range c.Entries {
		if slices.ContainsFunc(added, func(a Entry) bool { return a.Name == e.Name }) || matches(instead, e.Name) {
			c.Entries[i].Roles = slices.DeleteFunc(e.Roles, func(r Role) bool { return r == role })
		}
	}
	for _, a := range added {
		if i := slices.IndexFunc(c.Entries, func(e Entry) bool { return e.Path == a.Path }); i >= 0 {
			c.Entries[i].Roles = append(c.Entries[i].Roles, role)
			continue
		}
		c.Entries = append(c.Entries, a)
	}
	c.Entries = slices.DeleteFunc(c.Entries, func(e Entry) bool { return len(e.Roles) == 0 })
	for _, s := range more.Suites {
		if !slices.ContainsFunc(c.Suites, func(old Suite) bool { return old.Name == s.Name }) {
			c.Suites = append(c.Suites, s)
		}
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	return c.canonical(), nil
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	})
}

// TimeOf returns the time for which a snapshot archive is asked for the file of an entry, in
// [TimeLayout]: that of the lock, or of the index of its suite where that one is newer.
func (l *Lock) TimeOf(e Entry) string {
	for _, s := range l.Suites {
		if s.Name == e.Suite {
			return max(l.Timestamp, s.Date)
		}
	}
	return l.Timestamp
}
