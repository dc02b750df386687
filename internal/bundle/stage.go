package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"bootstrap/internal/closure"
	"bootstrap/internal/nar"
	"bootstrap/internal/tree"
)

// stage reads the bundle to its end, and makes every path that is not here under another name.
func (i *importer) stage(ctx context.Context) error {
	i.buf = make([]byte, 256<<10)
	current := -1
	var write bool
	finish := func() error {
		if current < 0 || !write {
			return nil
		}
		return i.finish(i.bundle.Paths[current])
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, err := i.bundle.Next()
		if errors.Is(err, io.EOF) {
			return finish()
		}
		if err != nil {
			return err
		}
		if e.Path != current {
			if err := finish(); err != nil {
				return err
			}
			current = e.Path
			if write, err = i.start(i.bundle.Paths[current]); err != nil {
				return err
			}
		}
		if err := i.entry(e, write); err != nil {
			return err
		}
	}
}

// start decides whether a path is written: not if it is valid, and not if an earlier run has left
// all of it. Anything else of an earlier run goes.
func (i *importer) start(p closure.Path) (write bool, err error) {
	if i.valid[p.Path] {
		return false, nil
	}
	if i.has(staging+p.Base(), p) || i.has(p.Base(), p) {
		return false, nil
	}
	return true, tree.Remove(i.root, staging+p.Base())
}

// has reports whether a name has the contents that are registered of a path.
func (i *importer) has(name string, p closure.Path) bool {
	got, size, err := nar.Sum(i.root, name)
	return err == nil && got == p.NarHash && size == p.NarSize
}

// entry makes an entry, or passes over it.
func (i *importer) entry(e Entry, write bool) error {
	name := staging + e.Name
	if !write {
		if e.Kind == tree.File {
			return i.copy(io.Discard)
		}
		return nil
	}
	switch e.Kind {
	case tree.Directory:
		return i.root.Mkdir(name, 0o700)
	case tree.Link:
		return i.root.Symlink(e.Target, name)
	}
	mode := fs.FileMode(0o444)
	if e.Executable {
		mode = 0o555
	}
	// O_EXCL follows no link, and there can be nothing: the directory is ours and new.
	f, err := i.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = i.copy(f)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return i.root.Chtimes(name, epoch(), epoch())
}

func (i *importer) copy(to io.Writer) error {
	n, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{i.bundle}, i.buf)
	if i.Done != nil {
		i.Done(n)
	}
	return err
}

// finish compares a path that is written with what is registered of it, and makes it as Nix has it.
func (i *importer) finish(p closure.Path) error {
	name := staging + p.Base()
	got, size, err := nar.Sum(i.root, name)
	if err != nil {
		return err
	}
	if got != p.NarHash || size != p.NarSize {
		return &FormatError{Entry: p.Path, Reason: fmt.Sprintf("has other contents than are registered of it: %s, not %s", got, p.NarHash)}
	}
	return tree.Seal(i.root, name)
}
