package shellrc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
)

// newFileMode is the mode of a start-up file that did not exist.
const newFileMode = 0o644

// rcFile is a start-up file as it was read.
type rcFile struct {
	path   string // as the shell looks it up
	target string // where the bytes are: path with its symbolic links resolved
	data   []byte
	info   fs.FileInfo // nil if there is no file
}

func readFile(path string) (*rcFile, error) {
	f := &rcFile{path: path, target: path}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	f.target = target
	if f.info, err = os.Stat(target); err != nil {
		return nil, err
	}
	if !f.info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", target)
	}
	f.data, err = os.ReadFile(target)
	return f, err
}

func (f *rcFile) exists() bool { return f.info != nil }

// write replaces the file's bytes at once, keeping its mode, its owner and the links to it.
func (f *rcFile) write(data []byte) error {
	mode := fs.FileMode(newFileMode)
	if f.exists() {
		mode = f.info.Mode().Perm()
		if mode&0o200 == 0 {
			// A rename would overwrite what its owner has marked as not to be written.
			return &fs.PathError{Op: "write", Path: f.target, Err: fs.ErrPermission}
		}
	}
	p, err := renameio.NewPendingFile(f.target,
		renameio.WithTempDir(filepath.Dir(f.target)), renameio.WithStaticPermissions(mode))
	if err != nil {
		return err
	}
	defer func() { _ = p.Cleanup() }()
	if _, err := p.Write(data); err != nil {
		return err
	}
	if err := f.keepOwner(p.File); err != nil {
		return err
	}
	return p.CloseAtomicallyReplace()
}

// keepOwner gives the new file the owner of the old one: root may be working in a user's home.
func (f *rcFile) keepOwner(to *os.File) error {
	if !f.exists() {
		return nil
	}
	old, ok := f.info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	info, err := to.Stat()
	if err != nil {
		return err
	}
	now, ok := info.Sys().(*syscall.Stat_t)
	if !ok || now.Uid == old.Uid && now.Gid == old.Gid {
		return nil
	}
	return to.Chown(int(old.Uid), int(old.Gid))
}

// makeParents makes the directories path lies in and returns those it made, the outermost first.
func makeParents(path string) ([]string, error) {
	var missing []string
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		_, err := os.Stat(dir)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return nil, err
		}
		missing = append([]string{dir}, missing...)
	}
	for i, dir := range missing {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return missing[:i], err
		}
	}
	return missing, nil
}

// removeParents removes up to n directories above path, as long as they are empty.
func removeParents(path string, n int) {
	for dir := filepath.Dir(path); n > 0; n, dir = n-1, filepath.Dir(dir) {
		if os.Remove(dir) != nil {
			return // somebody else keeps something there
		}
	}
}

// dirsBeside returns how many directories were made for a file of another prefix that lies
// beside path. Whichever of them goes last takes the directories with it.
func dirsBeside(path string) int {
	n := 0
	beside, _ := filepath.Glob(filepath.Join(filepath.Dir(path), fishPrefix+"*.fish"))
	for _, other := range beside {
		data, err := os.ReadFile(other)
		if err != nil {
			continue
		}
		var o origin
		for line := range strings.Lines(string(data)) {
			o.note(strings.TrimSpace(line))
		}
		n = max(n, o.dirs)
	}
	return n
}
