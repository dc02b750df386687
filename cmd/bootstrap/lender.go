package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/loan"
	"bootstrap/internal/registry"
)

// lender is a store that a person has named, and how its paths are recognised.
type lender struct {
	loan.Lender
	finder registry.Finder
}

// storeAt returns the store directory that a path means as --prefix has it: the path itself, or
// the one in it.
func (m machine) storeAt(path string) (string, error) {
	if path == "" {
		return "", fault.New(fault.Usage, errors.New("the store to borrow from is empty"), whichStores)
	}
	abs, err := m.absolute("store", path)
	if err != nil {
		return "", err
	}
	if filepath.Base(abs) != "store" {
		abs = filepath.Join(abs, "store")
	}
	return abs, nil
}

const whichStores = "give /nix, or a prefix as it was given to install it; `bootstrap list` shows which there are"

// lender finds the store that was named. Nothing in it is changed, and no daemon of it is called.
func (m machine) lender(asked string) (lender, error) {
	store, err := m.storeAt(asked)
	if err != nil {
		return lender{}, err
	}
	if _, err := os.Stat(store); err != nil {
		return lender{}, unreachable(asked, store, err)
	}
	real, err := filepath.EvalSymlinks(store)
	if err != nil {
		return lender{}, unreachable(asked, store, err)
	}
	if c := registry.ClassicAt(registry.ClassicRoot); real == c.Store {
		if _, err := os.Stat(filepath.Join(c.Layout.Database(), "db.sqlite")); err != nil {
			return lender{}, unreachable(asked, c.Layout.Database(), err)
		}
		return lender{
			loan.Lender{Store: c.Store, Files: c.Store, State: c.Layout.State},
			registry.Finder{Classic: c},
		}, nil
	}
	e := registry.Look(real)
	switch {
	case e.State == registry.Gone:
		return lender{}, fault.New(fault.Usage, fmt.Errorf("store %q: is of no prefix, and not the Nix in %s", asked, registry.ClassicRoot), whichStores)
	case e.State == registry.Unknown:
		return lender{}, fault.New(fault.Unfit, fmt.Errorf("store %q: %s", asked, e.Why), e.Remedy)
	case !e.Installed():
		return lender{}, fault.New(fault.Usage, fmt.Errorf("store %q: %s", asked, e.Why), e.Remedy)
	}
	l := lender{loan.Lender{Store: e.Store, Files: e.Store, State: e.Layout.State}, registry.Finder{Known: []registry.Entry{e}}}
	if e.Diverted != "" {
		l.Store = e.Diverted
	}
	return l, nil
}

// unreachable says why a store is none that can be borrowed from.
func unreachable(asked, path string, err error) error {
	what := errors.Unwrap(err)
	if what == nil {
		what = err
	}
	if errors.Is(err, fs.ErrPermission) {
		return fault.New(fault.Unfit, fmt.Errorf("store %q: %s: %w", asked, path, what), "ask whoever owns it")
	}
	return fault.New(fault.Usage, fmt.Errorf("store %q: %s: %w", asked, path, what), whichStores)
}

// fits refuses a lender whose store paths cannot be beside those of a prefix, which has files at
// one place and whose Nix knows it by another perhaps.
func (l lender) fits(o own) error {
	if l.Files == o.layout.Store {
		return fault.New(fault.Usage, fmt.Errorf("store %q: is that of the prefix itself", l.Files), whichStores)
	}
	for _, pair := range [][2]string{{l.Store, o.store}, {o.store, l.Store}} {
		if pair[0] == pair[1] || strings.HasPrefix(pair[0], pair[1]+"/") {
			return fault.New(fault.Usage,
				fmt.Errorf("store %q: its store directory %q would hide %q, which is the prefix's own", l.Files, l.Store, o.store),
				"between stores of one directory paths are copied; docs/STORES.md says how")
		}
	}
	return nil
}

// named returns the store path that a path means: one in the store, or something that leads there.
func (l lender) named(m machine, asked string) (string, error) {
	if asked == "" {
		return "", fault.New(fault.Usage, errors.New("--path: is empty"), "give a store path of the lender, or a link to one")
	}
	path, err := m.absolute("--path", asked)
	if err != nil {
		return "", err
	}
	way, werr := registry.Follow(path)
	origin, ok := l.finder.Along(way)
	switch {
	case ok && origin.Store == l.Store && origin.StorePath != "" && origin.There:
		return origin.StorePath, nil
	case ok && origin.Store == l.Store && origin.StorePath != "":
		return "", fault.New(fault.Usage, fmt.Errorf("--path %q: %s is not there", asked, origin.StorePath),
			"build it there first; what nothing roots may have been deleted")
	case ok && origin.Store != l.Store:
		return "", fault.New(fault.Usage, fmt.Errorf("--path %q: is in the store %q, not in %q", asked, origin.Store, l.Store),
			"borrow it from that store")
	case werr != nil:
		return "", fault.New(fault.Usage, fmt.Errorf("--path %q: %w", asked, errors.Unwrap(werr)), "give a store path of the lender, or a link to one")
	}
	return "", fault.New(fault.Usage, fmt.Errorf("--path %q: is no store path of %q", asked, l.Store),
		"give a store path of the lender, or a link to one")
}

// baseline returns what the default profile of the lender holds now; nothing if there is none.
func (l lender) baseline() []string {
	// Of a diverted prefix nothing is where the profile leads, and there is a store path all the same.
	way, _ := registry.Follow(filepath.Join(l.State, "profiles", "default"))
	if origin, ok := l.finder.Along(way); ok && origin.Store == l.Store && origin.StorePath != "" && origin.There {
		return []string{origin.StorePath}
	}
	return nil
}

// paths returns what is to be borrowed by name.
func (l lender) paths(m machine, asked []string) ([]string, error) {
	var paths []string
	for _, a := range asked {
		p, err := l.named(m, a)
		if err != nil {
			return nil, err
		}
		paths = append(paths, p)
	}
	return paths, nil
}
