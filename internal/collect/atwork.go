package collect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"bootstrap/internal/fault"
)

// atWork returns the processes that use the store. Each has a file with the store paths that are
// to stay for it, which it keeps locked as long as it lives (libstore/gc.cc in Nix 2.26), so the
// collector gets along with them; unless they are on another host, of which it knows nothing.
func (o Options) atWork() ([]int, error) {
	dir := filepath.Join(o.Layout.State, "temproots")
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	pids := []int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		held, err := locked(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if !held {
			continue
		}
		if !alive(pid) {
			return nil, fault.New(fault.Locked,
				fmt.Errorf("store %q: process %d of another host, or of another container, uses it", o.Store, pid),
				"collect when nobody else is at work: the collector sees only the processes of its own host")
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// locked reports whether somebody holds flock(2) on a file.
func locked(path string) (bool, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}
