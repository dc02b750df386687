package stages

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// flush brings to the disk what a stage has written: store paths, the database that says they are
// valid, and files unpacked or linked elsewhere in the prefix.
//
// Nix does not fsync what it puts into the store, and the database is on the disk at once; so a
// power cut leaves files of no bytes that count as valid (nix#8907). A stage whose end is in the
// journal must not have any.
func (r *installation) flush() error {
	l := r.layout
	seen := map[uint64]bool{}
	for _, dir := range []string{l.Store, l.State, l.Conf, l.Work, l.Share, l.ProfileD} {
		var st syscall.Stat_t
		if err := syscall.Stat(dir, &st); err != nil {
			continue // no stage has made it yet
		}
		if seen[st.Dev] {
			continue
		}
		seen[st.Dev] = true
		if err := flushAt(dir); err != nil {
			return fmt.Errorf("file system of %q: write to disk: %w", dir, err)
		}
	}
	return nil
}

// flushAt writes everything of the file system of dir to the disk. Where that is not to be had,
// it is asked for all file systems, which reports no errors.
func flushAt(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	err = unix.Syncfs(int(d.Fd()))
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		unix.Sync()
		return nil
	}
	return err
}
