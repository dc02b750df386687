package stages

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// scratchPattern is how directories are called in which package sets are looked at.
const scratchPattern = "bootstrap-packages-"

// newScratch makes a directory in which a package set is looked at, and returns what removes it. It is locked for
// as long as this process lives: what one that was killed has left is removed by the next.
func newScratch(parent string) (dir string, remove func() error, err error) {
	sweepScratch(parent)
	dir, err = os.MkdirTemp(parent, scratchPattern)
	if err != nil {
		return "", nil, err
	}
	f, err := lockScratch(dir)
	if err != nil {
		return "", nil, errors.Join(err, os.Remove(dir))
	}
	return dir, func() error { return errors.Join(removeTree(dir), f.Close()) }, nil
}

func lockScratch(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// sweepScratch removes directories of this user that nobody has locked. One that is young may just not be locked yet.
func sweepScratch(parent string) {
	left, _ := filepath.Glob(filepath.Join(parent, scratchPattern+"*"))
	for _, dir := range left {
		var st unix.Stat_t
		if unix.Lstat(dir, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() ||
			time.Since(time.Unix(st.Mtim.Unix())) < time.Minute {
			continue
		}
		if f, err := lockScratch(dir); err == nil {
			_ = errors.Join(removeTree(dir), f.Close()) // not being able to is no reason not to go on
		}
	}
}
