package stages

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"bootstrap/internal/journal"

	"github.com/google/renameio/v2"
)

// writeFile puts a file in its place as a whole, recorded in the journal if it is new.
// A file that has these bytes already is left alone.
func (r *installation) writeFile(stage, path string, data []byte, mode fs.FileMode) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		return nil
	}
	if err := r.mkdir(stage, journal.Directory, filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := r.creates(stage, journal.File, path); err != nil {
		return err
	}
	if err := renameio.WriteFile(path, data, mode, renameio.IgnoreUmask()); err != nil {
		return fmt.Errorf("file %q: %w", path, err)
	}
	return nil
}

// link makes path a symbolic link to target, at once, recorded in the journal if it is new.
func (r *installation) link(stage, target, path string) error {
	if old, err := os.Readlink(path); err == nil && old == target {
		return nil
	}
	if err := r.mkdir(stage, journal.Directory, filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := r.creates(stage, journal.Link, path); err != nil {
		return err
	}
	if err := renameio.Symlink(target, path); err != nil {
		return fmt.Errorf("link %q: %w", path, err)
	}
	return nil
}

// linksTo reports whether path is a symbolic link to target.
func linksTo(path, target string) bool {
	got, err := os.Readlink(path)
	return err == nil && got == target
}

// exists reports whether there is anything at path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func isNotEmpty(err error) bool {
	return errors.Is(err, syscall.ENOTEMPTY)
}
