package lock

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
)

// WithSource returns a copy of the lock in which one file serves as the source of Nix, on every
// architecture that the lock had one for.
func (l *Lock) WithSource(e Entry) (*Lock, error) {
	e.Architecture, e.Roles, e.For = Source, []Role{NixSource}, nil
	c := l.canonical()
	c.Entries = slices.DeleteFunc(c.Entries, func(old Entry) bool {
		if !slices.Contains(old.Roles, NixSource) {
			return false
		}
		e.For = append(e.For, old.For...)
		return true
	})
	slices.Sort(e.For)
	e.For = slices.Compact(e.For)
	c.Entries = append(c.Entries, e)
	if err := c.Check(); err != nil {
		return nil, err
	}
	return c.canonical(), nil
}

// File returns the path of a file of this machine that the entry is about; "" for one that has to
// be fetched.
func (e Entry) File() string {
	u, err := url.Parse(e.URL)
	if err != nil || u.Scheme != "file" {
		return ""
	}
	return u.Path
}

// format returns the oldest version of the format that has a place for all of the lock.
func (l *Lock) format() int {
	if slices.ContainsFunc(l.Entries, func(e Entry) bool { return e.URL != "" }) {
		return urlVersion
	}
	return 1
}

// checkPlace checks where the file is: in the archive, or somewhere else, and then it is a source of
// Nix, which is known by its bytes alone.
func (e Entry) checkPlace() error {
	if e.URL == "" {
		return checkPath(e.Path)
	}
	u, err := url.Parse(e.URL)
	switch {
	case err != nil:
		return errors.New("url: cannot be read") // it may hold a password
	case u.User != nil:
		return errors.New("url: there is a login in it, and everybody can read a lock")
	case u.Scheme == "file":
		if u.Host != "" || u.RawQuery != "" || u.Fragment != "" || !filepath.IsAbs(u.Path) || filepath.Clean(u.Path) != u.Path {
			return fmt.Errorf("url %q: is not a path on this machine", e.URL)
		}
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return errors.New("url: is not http, https or file")
	}
	switch {
	case e.Architecture != Source || !slices.Equal(e.Roles, []Role{NixSource}):
		return errors.New("url: only a source of Nix may come from elsewhere")
	case e.Suite != "":
		return fmt.Errorf("suite %q: has no such file", e.Suite)
	case !isWord(e.Path):
		return fmt.Errorf("path %q: is not a name", e.Path)
	}
	return nil
}
