package destdir

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// detour shows the source at v.At although that is not a directory: in place of the one at anchor,
// the last on the way that is one, there is one in memory, with the same in it but for the way.
func (v View) detour(anchor string, source int) error {
	behind, err := hold(anchor)
	if err != nil {
		return err
	}
	defer unix.Close(behind)
	entries, err := os.ReadDir(anchor)
	if err != nil {
		return err
	}
	// Nothing can be mounted over "/" itself: it is made somewhere else, and becomes "/" then.
	on := anchor
	if anchor == "/" {
		on = nearest(v.Dir)
	}
	if err := unix.Mount("bootstrap", on, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return &fs.PathError{Op: "mount a tmpfs over", Path: on, Err: err}
	}
	// Or it would be shown in itself, where it hides a part of what is shown.
	if err := unix.Mount("", on, "", unix.MS_UNBINDABLE, ""); err != nil {
		return &fs.PathError{Op: "mount", Path: on, Err: err}
	}
	way := elements(strings.TrimPrefix(v.At, anchor))
	for _, e := range entries {
		if e.Name() != way[0] {
			show(behind, e, filepath.Join(on, e.Name()))
		}
	}
	to := filepath.Join(on, filepath.Join(way...))
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	if err := bind(source, "", to); err != nil {
		return err
	}
	if anchor == "/" {
		if err := becomeRoot(on); err != nil {
			return err
		}
	}
	return seal(anchor)
}

// show shows an entry of an open directory somewhere else. What cannot be shown, as a file system
// whose server is gone, cannot be used either, and is left out.
func show(dir int, e fs.DirEntry, to string) {
	switch {
	case e.Type()&fs.ModeSymlink != 0:
		buf := make([]byte, unix.PathMax)
		if n, err := unix.Readlinkat(dir, e.Name(), buf); err == nil {
			_ = os.Symlink(string(buf[:n]), to)
		}
		return
	case e.IsDir():
		if os.Mkdir(to, 0o755) != nil {
			return
		}
	default:
		if os.WriteFile(to, nil, 0o600) != nil {
			return
		}
	}
	if bind(dir, e.Name(), to) != nil {
		_ = os.Remove(to)
	}
}

// becomeRoot makes a mount the root of what the process sees. With chroot(2), Nix could make no
// namespaces for its builds (user_namespaces(7)).
func becomeRoot(dir string) error {
	if err := unix.Chdir(dir); err != nil {
		return &fs.PathError{Op: "enter", Path: dir, Err: err}
	}
	// The new root and the place for the old one may be the same: the old one is on top of the new
	// one then, and can be taken off (pivot_root(2), NOTES).
	if err := unix.PivotRoot(".", "."); err != nil {
		return &fs.PathError{Op: "pivot_root", Path: dir, Err: err}
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return &fs.PathError{Op: "unmount", Path: "/", Err: err}
	}
	return unix.Chdir("/")
}

// seal lets nobody write into the directory in memory, and lets it be mounted again.
func seal(dir string) error {
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
		return &fs.PathError{Op: "mount read-only", Path: dir, Err: err}
	}
	if err := unix.Mount("", dir, "", unix.MS_PRIVATE, ""); err != nil {
		return &fs.PathError{Op: "mount", Path: dir, Err: err}
	}
	return nil
}

// elements returns the names in a path.
func elements(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}
