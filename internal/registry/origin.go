package registry

import (
	"path/filepath"
	"regexp"
	"strings"

	"bootstrap/internal/prefix"
)

// storeEntry matches the name of a store path: 32 digits of Nix's base 32, which has no e, o, t, u.
// https://nix.dev/manual/nix/2.26/protocols/store-path
var storeEntry = regexp.MustCompile(`^[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+._?=-]+$`)

// Origin is the store that a path belongs to.
type Origin struct {
	Store     string   `json:"store,omitempty"`      // the store directory, as its Nix knows it
	StorePath string   `json:"store_path,omitempty"` // the entry of it that the path is, or is in
	There     bool     `json:"there"`                // that entry, or else the path itself, exists
	Part      string   `json:"part"`                 // of what: "store", "profiles", "state" and so on
	Prefix    *Entry   `json:"prefix,omitempty"`     // whose it is
	Classic   *Classic `json:"classic,omitempty"`    // or that it is a classic Nix's
}

// Finder knows what a path can belong to.
type Finder struct {
	Known []Entry
	// Classic is the Nix at /nix; nil if there is none. Paths below its directories are told to
	// be its own all the same.
	Classic *Classic
}

// Along returns the origin of the last path on a way that has one, as [Follow] returns it.
func (f Finder) Along(way []string) (Origin, bool) {
	for i := len(way) - 1; i >= 0; i-- {
		if o, ok := f.Of(way[i]); ok {
			return o, true
		}
	}
	return Origin{}, false
}

// Of returns the origin of one path, which is absolute. No link is followed.
func (f Finder) Of(path string) (Origin, bool) {
	path = filepath.Clean(path)
	o := Origin{There: exists(path)}
	if e, part, ok := f.prefixOf(path); ok {
		o.Prefix, o.Part, o.Store = &e, part, e.knows()
		return o.entry(path, e.Store), true
	}
	if e, ok := f.diverted(path); ok {
		o.Prefix, o.Part, o.Store = &e, "store", e.Diverted
		o = o.entry(path, e.Diverted)
		// It is where the files lie that it is there or not.
		o.There = exists(filepath.Join(e.Store, strings.TrimPrefix(o.StorePath, e.Diverted)))
		return o, true
	}
	classic := f.Classic
	if classic == nil {
		classic = ClassicAt(ClassicRoot)
	}
	if part, ok := partOf(classic.Layout, path); ok {
		o.Classic, o.Part, o.Store = classic, part, classic.Store
		return o.entry(path, classic.Store), true
	}
	// A store that nobody told us of: the name of the directory, and of what is in it, is all we have.
	for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
		if filepath.Base(dir) == "store" {
			if o = o.entry(path, dir); o.StorePath != "" {
				o.Store, o.Part = dir, "store"
				return o, true
			}
		}
	}
	return Origin{}, false
}

// entry fills in which entry of the store directory a path is in.
func (o Origin) entry(path, store string) Origin {
	rest, ok := strings.CutPrefix(path, store+"/")
	name, _, _ := strings.Cut(rest, "/")
	if ok && storeEntry.MatchString(name) {
		o.StorePath = filepath.Join(store, name)
		o.There = exists(o.StorePath)
	}
	return o
}

// knows returns the store directory as the prefix's Nix knows it.
func (e Entry) knows() string {
	if e.Diverted != "" {
		return e.Diverted
	}
	return e.Store
}

// prefixOf returns the prefix that a path is in: one of the known, or one that has left its records
// in a directory above.
func (f Finder) prefixOf(path string) (e Entry, part string, ok bool) {
	for _, e := range f.Known {
		if e.State == Gone || e.State == Unknown {
			continue
		}
		if part, ok := partOf(e.Layout, path); ok {
			return e, part, true
		}
	}
	for dir := path; dir != "/"; dir = filepath.Dir(dir) {
		e := Look(StoreOf(dir))
		if e.State == Gone || e.State == Unknown {
			continue
		}
		if part, ok := partOf(e.Layout, path); ok {
			return e, part, true
		}
	}
	return Entry{}, "", false
}

// diverted returns the prefix whose Nix knows a store path by another directory than it lies in.
func (f Finder) diverted(path string) (Entry, bool) {
	for _, e := range f.Known {
		if e.Installed() && e.Diverted != "" && within(path, e.Diverted) {
			return e, true
		}
	}
	return Entry{}, false
}

// partOf says in which directory of a layout a path is, the innermost of them.
func partOf(l prefix.Layout, path string) (part string, ok bool) {
	longest := 0
	for _, d := range []struct{ part, path string }{
		{"store", l.Store},
		{"state", l.State},
		{"logs", l.Log},
		{"configuration", l.Conf},
		{"installer", l.Work},
		{"installer's logs", l.RunLog},
		{"package set", l.Share},
		{"files for shells", l.ProfileD},
		{"generation of the installation", l.Generations()},
	} {
		if d.path != "" && len(d.path) > longest && within(path, d.path) {
			part, longest, ok = d.part, len(d.path), true
		}
	}
	switch {
	case !ok || part != "state":
	case within(path, l.Profiles()):
		part = "profiles"
	case within(path, filepath.Dir(l.GCRoots())):
		part = "GC roots"
	}
	return part, ok
}

// within reports whether path is dir or lies below it. Both are clean.
func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }
