package uninstall

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// removeEmpty removes a directory of ours, or notes what keeps it.
// Following links on the way to it is harmless, and needed where they were there before us.
func (e *execution) removeEmpty(path string) {
	parent, err := openTop(filepath.Dir(path))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			e.fail(path, err)
		}
		return
	}
	defer parent.Close()
	name := filepath.Base(path)
	info, err := parent.Lstat(name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			e.fail(path, err)
		}
		return
	}
	if !info.IsDir() {
		e.foreign = append(e.foreign, path)
		return
	}
	if dir, err := enter(parent, name, info); err == nil {
		defer dir.Close()
		if entries, err := list(dir); err == nil && len(entries) > 0 {
			e.leftover(path, entries)
			return
		}
	}
	if err := parent.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.fail(path, err)
		return
	}
	e.report.Directories++
}

// leftover notes what is left in a directory of ours.
func (e *execution) leftover(dir string, entries []fs.DirEntry) {
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if !e.rec.dirs[path] || !entry.IsDir() {
			e.foreign = append(e.foreign, path)
		}
	}
}

// journal removes the last files, the work directory, and the directories above it.
func (e *execution) journal() {
	if err := e.removeLast(); err != nil {
		e.fail(e.Layout.Work, err)
		return
	}
	if e.rec.trees[e.Layout.Work] {
		e.removeEmpty(e.Layout.Work)
	}
	for _, dir := range e.rec.deepestFirst() {
		if within(e.Layout.Work, dir) {
			e.removeEmpty(dir)
		}
	}
}

func (e *execution) removeLast() error {
	dir, err := e.openDir(e.Layout.Work)
	if err != nil {
		return missingIsFine(err)
	}
	defer dir.Close()
	for _, path := range last(e.Layout) {
		name := filepath.Base(path)
		info, err := dir.Lstat(name)
		if err == nil {
			err = e.unlink(dir, name, info)
		}
		if err := missingIsFine(err); err != nil {
			return err // the journal after it must stay
		}
	}
	return nil
}
