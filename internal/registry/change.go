package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/google/renameio/v2"

	"bootstrap/internal/fault"
)

// Add puts a store directory into the list. Where it is there already nothing is written.
func (f File) Add(ctx context.Context, store string) error {
	list, err := f.Load()
	if err != nil || slices.Contains(list.Prefixes, store) {
		return err
	}
	return f.change(ctx, func(l *List) {
		if !slices.Contains(l.Prefixes, store) {
			l.Prefixes = append(l.Prefixes, store)
		}
	})
}

// Remove takes store directories out of the list. With the last one the file goes, and the
// directories that were made for it, where they are empty.
func (f File) Remove(ctx context.Context, stores ...string) error {
	named := func(store string) bool { return slices.Contains(stores, store) }
	list, err := f.Load()
	if err != nil || !slices.ContainsFunc(list.Prefixes, named) {
		return err
	}
	return f.change(ctx, func(l *List) { l.Prefixes = slices.DeleteFunc(l.Prefixes, named) })
}

// change edits the list while nobody else does.
func (f File) change(ctx context.Context, edit func(*List)) error {
	if info, err := os.Stat(f.home); f.needsHome && (err != nil || !info.IsDir()) {
		return fault.New(fault.General, fmt.Errorf("list of prefixes: HOME %q is not a directory", f.home),
			"set HOME, or XDG_STATE_HOME, to a directory of yours")
	}
	held, err := f.lock(ctx)
	if err != nil {
		return err
	}
	defer held.release()
	list, err := f.Load() // as the last one left it
	if err != nil {
		return err
	}
	edit(&list)
	if held.sure() {
		f.sweep()
	}
	if len(list.Prefixes) == 0 {
		err = f.drop(list)
	} else {
		err = f.keep(list)
	}
	if err != nil {
		return fault.New(fault.General, fmt.Errorf("list of prefixes: %w", err),
			"prefixes work without it; to have it, set XDG_STATE_HOME to a directory that you may write to")
	}
	return nil
}

// keep writes the list, and makes the directories it needs.
func (f File) keep(list List) error {
	made, err := f.makeDirs()
	if err == nil {
		list.Directories = f.own(append(list.Directories, made...))
		err = f.write(list)
	}
	if err != nil {
		removeEmpty(made)
	}
	return err
}

// drop removes the file, and the directories that were made for it.
func (f File) drop(list List) error {
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	removeEmpty(f.own(list.Directories))
	return nil
}

// write replaces the file, on the disk, as a whole or not at all.
func (f File) write(list List) error {
	list.Version = Version
	if list.Directories == nil {
		list.Directories = []string{}
	}
	data, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	file, err := renameio.NewPendingFile(f.path, renameio.WithTempDir(f.dir()), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return err
	}
	defer func() { _ = file.Cleanup() }() // it is nothing after the rename
	if _, err := file.Write(append(data, '\n')); err != nil {
		return err
	}
	if err := file.CloseAtomicallyReplace(); err != nil {
		return err
	}
	return syncDir(f.dir())
}

// sweep removes what writers that were killed have left.
func (f File) sweep() {
	left, _ := filepath.Glob(filepath.Join(f.dir(), "."+filepath.Base(f.path)+"*"))
	for _, path := range left {
		_ = os.Remove(path) // then the directory stays, which is no reason to fail
	}
}

// makeDirs makes the directory of the file, and returns those it had to make, outermost first,
// with the mode that the XDG specification asks for.
func (f File) makeDirs() (made []string, err error) {
	var missing []string
	for dir := f.dir(); !exists(dir); dir = filepath.Dir(dir) {
		missing = append(missing, dir)
	}
	slices.Reverse(missing)
	for _, dir := range missing {
		err := os.Mkdir(dir, 0o700)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			made = append(made, dir)
			err = syncDir(filepath.Dir(dir))
		}
		if err != nil {
			return made, err
		}
	}
	return made, nil
}

// removeEmpty removes directories from the innermost on, as far as they are empty. It does not
// follow links.
func removeEmpty(dirs []string) {
	for _, dir := range slices.Backward(dirs) {
		if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// syncDir makes a new name in a directory outlive a power cut.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
