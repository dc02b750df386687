package uninstall

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// maxOpen bounds how many directories are open at a time; 1024 files are all that some hosts allow.
const maxOpen = 128

// frame is a directory that is being emptied.
type frame struct {
	name    string
	dir     *os.Root // nil while there are too many below it
	info    fs.FileInfo
	entries []fs.DirEntry // still to do
	changed bool          // its mode was
	kept    bool          // something in it stays
}

// sweep removes one tree. It keeps its own stack, because a tree may be deeper than any goroutine's.
type sweep struct {
	*execution
	dir   *os.Root // what the tree is in
	path  string   // of dir
	ours  filter
	stack []*frame
}

// tree removes the directory of that name with everything in it that is ours.
// It fails only if ctx ends; what could not be removed is noted.
func (s *sweep) tree(ctx context.Context, name string, info fs.FileInfo) error {
	top, err := s.dir.Stat(".")
	if err != nil {
		s.fail(filepath.Join(s.path, name), err)
		return nil
	}
	defer func() {
		for _, f := range s.stack {
			f.close()
		}
	}()
	s.push(name, info, device(top))
	for len(s.stack) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		f := s.top()
		if len(f.entries) == 0 {
			s.pop()
			continue
		}
		e := f.entries[len(f.entries)-1]
		f.entries = f.entries[:len(f.entries)-1]
		s.entry(f, e)
	}
	return nil
}

func (s *sweep) top() *frame { return s.stack[len(s.stack)-1] }

// entry removes one entry of the directory on top of the stack, or puts it there.
func (s *sweep) entry(f *frame, e fs.DirEntry) {
	name := e.Name()
	info, err := f.dir.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil && s.ours != nil && !s.ours(len(s.stack), name, info.Mode()) {
		s.foreign = append(s.foreign, s.pathOf(name))
		f.kept = true
		return
	}
	if err == nil && info.IsDir() {
		s.push(name, info, device(f.info))
		return
	}
	if err == nil {
		err = s.unlink(f.dir, name, info)
	}
	if err != nil {
		s.fail(s.pathOf(name), err)
		f.kept = true
	}
}

// push opens a directory and makes it the one that is being emptied.
func (s *sweep) push(name string, info fs.FileInfo, dev uint64) {
	f := &frame{name: name, info: info}
	var err error
	if device(info) != dev {
		err = errMount()
	} else {
		err = f.open(s.above())
	}
	if err != nil {
		f.close()
		s.fail(s.pathOf(name), err)
		s.keep()
		return
	}
	s.stack = append(s.stack, f)
	if n := len(s.stack) - maxOpen; n >= 0 {
		s.stack[n].close()
	}
}

// open opens the directory, reads it, and makes it writable if there is anything in it.
func (f *frame) open(above *os.Root) (err error) {
	if f.info.Mode().Perm()&0o500 != 0o500 {
		if f.changed, err = unlock(above, f.name, f.info.Mode()); err != nil {
			return err
		}
	}
	if f.dir, err = enter(above, f.name, f.info); err != nil {
		return err
	}
	if f.entries, err = list(f.dir); err != nil || len(f.entries) == 0 || f.changed {
		return err
	}
	f.changed, err = unlock(f.dir, ".", f.info.Mode())
	return err
}

func (f *frame) close() {
	if f.dir != nil {
		f.dir.Close()
		f.dir = nil
	}
}

// above returns the directory the next one to push is in.
func (s *sweep) above() *os.Root {
	if len(s.stack) == 0 {
		return s.dir
	}
	return s.top().dir
}

// keep notes that something in the directory on top of the stack stays.
func (s *sweep) keep() {
	if len(s.stack) > 0 {
		s.top().kept = true
	}
}

// pop removes the directory that was emptied, or gives it back its mode if it stays.
func (s *sweep) pop() {
	f := s.top()
	if f.kept && f.changed {
		_ = f.dir.Chmod(".", modeBits(f.info.Mode()))
	}
	f.close()
	s.stack = s.stack[:len(s.stack)-1]
	if err := s.reopen(); err != nil {
		s.fail(s.pathOf(f.name), err)
		s.stack = s.stack[:0] // nothing above it can be reached either
		return
	}
	if f.kept {
		s.keep()
		return
	}
	if err := s.above().Remove(f.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.fail(s.pathOf(f.name), err)
		s.keep()
		return
	}
	s.report.Directories++
}

// reopen opens the directory on top of the stack again, if it was closed,
// and some of those above it, which are needed next.
func (s *sweep) reopen() error {
	if len(s.stack) == 0 || s.top().dir != nil {
		return nil
	}
	above := s.dir
	for i, f := range s.stack {
		dir, err := enter(above, f.name, f.info)
		if err != nil {
			return err
		}
		f.dir, above = dir, dir
		if n := i - maxOpen/2; n >= 0 {
			s.stack[n].close()
		}
	}
	return nil
}

// pathOf returns the path of an entry of the directory on top of the stack.
func (s *sweep) pathOf(name string) string {
	parts := []string{s.path}
	for _, f := range s.stack {
		parts = append(parts, f.name)
	}
	return filepath.Join(append(parts, name)...)
}
