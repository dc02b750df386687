package bundle

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"

	"bootstrap/internal/closure"
	"bootstrap/internal/storelock"
	"bootstrap/internal/tree"
)

// commit gives paths their names and has Nix register them, all or none.
func (i *importer) commit(ctx context.Context) (err error) {
	if err := i.other(ctx); err != nil {
		return err
	}
	fresh := i.missing()
	var names []string
	for _, p := range fresh {
		names = append(names, p.Base())
	}
	locks, err := storelock.Take(ctx, i.root, names, i.waitFor("a build of one of the paths"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, locks.Release()) }()
	// A build that was waited for has made the path, perhaps.
	meanwhile, err := i.validOf(ctx, fresh)
	if err != nil {
		return err
	}
	maps.Copy(i.valid, meanwhile)
	for _, p := range fresh {
		if meanwhile[p.Path] {
			err = tree.Remove(i.root, staging+p.Base())
		} else {
			err = i.name(p)
		}
		if err != nil {
			return err
		}
	}
	return i.register(ctx)
}

// register has Nix register what is not valid, and says what it came to.
func (i *importer) register(ctx context.Context) error {
	fresh := i.missing()
	for _, p := range fresh {
		i.result.Paths = append(i.result.Paths, p.Path)
		i.result.Bytes += p.NarSize
	}
	for _, p := range i.bundle.Paths {
		if i.valid[p.Path] {
			i.result.Had = append(i.result.Had, p.Path)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	register := i.Nix.Command("nix-store", "--register-validity", "--hash-given")
	register.Stdin = bytes.NewReader(closure.Registration(fresh))
	_, err := register.Output(ctx)
	return err
}

// name gives a path that was staged its name. What is there and is not valid is of a build that
// failed, or of an import that was killed right here.
func (i *importer) name(p closure.Path) error {
	staged := staging + p.Base()
	if _, err := i.root.Lstat(staged); errors.Is(err, fs.ErrNotExist) && i.has(p.Base(), p) {
		return nil
	}
	if err := tree.Remove(i.root, p.Base()); err != nil {
		return err
	}
	return i.root.Rename(staged, p.Base())
}

// other finds out which of the paths that are here have other contents than in the file, as those
// have that are not built in the same way twice. What is here stays.
func (i *importer) other(ctx context.Context) error {
	if len(i.valid) == 0 {
		return nil
	}
	here, err := closure.Options{Nix: i.Nix, Store: i.Store, Files: i.Files}.Of(ctx, slices.Sorted(maps.Keys(i.valid)))
	if err != nil {
		return err
	}
	for _, p := range i.bundle.Paths {
		if h := here.Path(p.Path); i.valid[p.Path] && h != nil && h.NarHash != p.NarHash {
			i.result.Other = append(i.result.Other, p.Path)
		}
	}
	return nil
}
