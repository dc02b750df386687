package resolve

import (
	"slices"

	"bootstrap/internal/lock"
)

// drafts are entries in the making. Two files of one path are two drafts:
// an archive does not do that, but where it did, the lock would tell.
type drafts map[file]*draft

// file is what tells one file from another.
type file struct{ path, sha256 string }

func fileOf(e lock.Entry) file { return file{e.Path, e.SHA256} }

// draft is an entry without roles and architectures, and the pairs of them it serves.
type draft struct {
	entry  lock.Entry
	serves map[claim]bool
}

type claim struct {
	role lock.Role
	arch string
}

// add notes that the file of e serves a role of an architecture.
// A file that two suites hold stays with the first.
func (d drafts) add(e lock.Entry, role lock.Role, arch string) {
	if d[fileOf(e)] == nil {
		d[fileOf(e)] = &draft{entry: e, serves: make(map[claim]bool)}
	}
	d[fileOf(e)].serves[claim{role, arch}] = true
}

// drop takes all files out of a role of an architecture.
func (d drafts) drop(role lock.Role, arch string) {
	for _, v := range d {
		delete(v.serves, claim{role, arch})
	}
}

// entries returns what serves anything. An entry knows roles and architectures apart:
// a file in one role here and in another there is in both roles in both places.
func (d drafts) entries() []lock.Entry {
	var entries []lock.Entry
	for _, v := range d {
		e := v.entry
		e.Roles, e.For = nil, nil
		for c := range v.serves {
			e.Roles = append(e.Roles, c.role)
			e.For = append(e.For, c.arch)
		}
		slices.Sort(e.Roles)
		slices.Sort(e.For)
		e.Roles, e.For = slices.Compact(e.Roles), slices.Compact(e.For)
		if len(e.Roles) > 0 {
			entries = append(entries, e)
		}
	}
	return entries
}

// draftsOf takes an existing lock apart.
func draftsOf(l *lock.Lock) drafts {
	d := make(drafts)
	for _, e := range l.Entries {
		for _, role := range e.Roles {
			for _, arch := range e.For {
				d.add(e, role, arch)
			}
		}
	}
	return d
}
