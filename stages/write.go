package stages

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"bootstrap/internal/journal"

	"github.com/google/renameio/v2"
)

// writeFile puts a file in its place as a whole, recorded in the journal if it is new.
// A file that is like that already is left alone; one that is somebody else's is an error.
// What each generation has its own of is written there.
func (r *installation) writeFile(stage, path string, data []byte, mode fs.FileMode) error {
	own := r.at(path)
	if own != path {
		if err := r.checkPlace(path); err != nil {
			return err
		}
	}
	if err := r.put(stage, own, data, mode); err != nil || own == path || !r.gen.current {
		return err
	}
	return r.linkPlaces()
}

func (r *installation) put(stage, path string, data []byte, mode fs.FileMode) error {
	if isFile(path, data, mode) {
		return nil
	}
	dir, err := r.place(stage, journal.File, path)
	if err != nil {
		return err
	}
	// Not renameio.WriteFile, which keeps the mode of the file that was there.
	pending, err := renameio.NewPendingFile(path,
		renameio.WithPermissions(mode), renameio.IgnoreUmask(), renameio.WithTempDir(dir))
	if err != nil {
		return fmt.Errorf("file %q: %w", path, err)
	}
	_, err = pending.Write(data)
	if err == nil {
		err = pending.CloseAtomicallyReplace()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("file %q: %w", path, err), pending.Cleanup())
	}
	return nil
}

// link makes path a symbolic link to target, at once, recorded in the journal if it is new.
func (r *installation) link(stage, target, path string) error {
	if linksTo(path, target) {
		return nil
	}
	dir, err := r.place(stage, journal.Link, path)
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, fmt.Sprintf(".%s-%s", filepath.Base(path), r.Run))
	if err := os.Symlink(target, tmp); err != nil {
		return fmt.Errorf("link %q: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return errors.Join(fmt.Errorf("link %q: %w", path, err), os.Remove(tmp))
	}
	return nil
}

// place prepares for a file or a link at path, and returns the directory in which to make it
// before it is moved there: the installer's own, where that is on the same file system.
func (r *installation) place(stage string, kind journal.Kind, path string) (string, error) {
	if err := r.checkPlace(path); err != nil {
		return "", err
	}
	if err := r.mkdir(stage, journal.Directory, filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	if err := r.creates(stage, kind, path); err != nil {
		return "", err
	}
	if sameDevice(r.layout.TmpDir(), filepath.Dir(path)) {
		return r.layout.TmpDir(), nil
	}
	return filepath.Dir(path), nil
}

// ours reports whether a file that exists is one that the installer has made.
func (r *installation) ours(path string) bool {
	// Nix makes profiles, too, and leaves no record of that.
	return r.inTree(path) || r.made[path] || path == r.layout.DefaultProfile()
}

func sameDevice(a, b string) bool {
	var sa, sb syscall.Stat_t
	return syscall.Stat(a, &sa) == nil && syscall.Stat(b, &sb) == nil && sa.Dev == sb.Dev
}

// isFile reports whether path is a regular file with exactly these bytes and this mode.
func isFile(path string, data []byte, mode fs.FileMode) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != mode || info.Size() != int64(len(data)) {
		return false
	}
	old, err := os.ReadFile(path)
	return err == nil && bytes.Equal(old, data)
}

// copyFile copies a file's bytes to a new file.
func copyFile(from, to string, mode fs.FileMode) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Chmod(mode), out.Close())
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
