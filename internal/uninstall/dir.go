package uninstall

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// errLink is the cause where a directory is a symbolic link by now, or is reached by one.
var errLink = errors.New("is reached by a symbolic link")

// unlinked fails with [errLink] where a directory that exists is reached by a symbolic link.
func unlinked(dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if real != dir {
		return fmt.Errorf("directory %q %w, to %q", dir, errLink, real)
	}
	return nil
}

// openDir opens a directory of the prefix, following no symbolic link:
// not on the way to the layout's directory that holds it, save for the two that may have been links
// all along, and not from there on. The caller closes it.
func (r *Removal) openDir(path string) (*os.Root, error) {
	base := baseOf(r.Layout, path)
	if base == "" {
		base = path
	}
	if err := r.checkBase(base); err != nil {
		return nil, err
	}
	dir, err := openTop(base)
	if err != nil {
		return nil, err
	}
	rest := strings.Trim(strings.TrimPrefix(path, base), "/")
	for name := range strings.SplitSeq(rest, "/") {
		if name == "" {
			continue
		}
		next, err := down(dir, name)
		dir.Close()
		if err != nil {
			return nil, err
		}
		dir = next
	}
	return dir, nil
}

// checkBase fails with [errLink] where a directory of the layout is not where we left it.
func (r *Removal) checkBase(base string) error {
	if base != r.Layout.Share && base != r.Layout.ProfileD {
		return unlinked(base)
	}
	// What we made was a directory, even if what it is in is a link.
	if info, err := os.Lstat(base); err == nil && r.rec.made(base) && info.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("directory %q %w", base, errLink)
	}
	return nil
}

// openTop opens a directory by its path.
func openTop(path string) (*os.Root, error) {
	info, err := os.Stat(path) // opening a pipe would wait for ever
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
	}
	return os.OpenRoot(path)
}

// down opens a directory in an open one.
func down(dir *os.Root, name string) (*os.Root, error) {
	info, err := dir.Lstat(name)
	if err != nil {
		return nil, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return nil, fmt.Errorf("directory %q %w", filepath.Join(dir.Name(), name), errLink)
	}
	if !info.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: filepath.Join(dir.Name(), name), Err: syscall.ENOTDIR}
	}
	return enter(dir, name, info)
}

// enter opens the directory that info is of: not another one that took its place.
func enter(dir *os.Root, name string, info fs.FileInfo) (*os.Root, error) {
	next, err := dir.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	now, err := next.Stat(".")
	if err == nil && !os.SameFile(info, now) {
		err = fmt.Errorf("directory %q was replaced while it was opened", name)
	}
	if err != nil {
		next.Close()
		return nil, err
	}
	return next, nil
}

// unlock gives the owner of a directory every right to it, and reports whether that was a change.
func unlock(dir *os.Root, name string, mode fs.FileMode) (bool, error) {
	if mode.Perm()&0o700 == 0o700 {
		return false, nil
	}
	return true, dir.Chmod(name, modeBits(mode)|0o700)
}

// modeBits are the bits of a mode that chmod sets.
func modeBits(mode fs.FileMode) fs.FileMode {
	return mode & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
}

// list reads an open directory.
func list(dir *os.Root) ([]fs.DirEntry, error) {
	file, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return file.ReadDir(-1)
}

func device(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Dev)
	}
	return 0
}

// lastLink reports whether a file has no other name.
func lastLink(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return !ok || st.Nlink <= 1
}
