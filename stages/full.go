package stages

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"

	"bootstrap/internal/fault"
	"bootstrap/internal/probe"
	"bootstrap/internal/run"
)

// leastRoom is what is asked for where the estimate of what is missing comes to less.
const leastRoom = 64 << 20

// outOf makes of an error that a full disk or a used-up quota has caused one that says how much to
// free. Any other it returns as it is.
func (r *installation) outOf(err error) error {
	quota, full := exhausted(err)
	if !full || fault.KindOf(err) == fault.Interrupted {
		return err
	}
	return &fault.Error{
		Kind: fault.Unfit, Err: err, Log: fault.LogOf(err),
		Hint: r.room(quota) + ", and run the same command again: it goes on from here",
	}
}

// exhausted reports whether an error says that there is no room left, and whether by a quota.
// Children say so in words: strerror(3) of ENOSPC and EDQUOT, and SQLite's own of SQLITE_FULL.
func exhausted(err error) (quota, full bool) {
	switch {
	case err == nil:
		return false, false
	case errors.Is(err, syscall.EDQUOT):
		return true, true
	case errors.Is(err, syscall.ENOSPC):
		return false, true
	}
	text := err.Error()
	var failed *run.Error
	if errors.As(err, &failed) {
		text += "\n" + strings.Join(failed.Tail, "\n")
	}
	for line := range strings.Lines(text) {
		switch {
		case strings.Contains(line, "Disk quota exceeded"):
			quota, full = true, true
		case strings.Contains(line, "cloning") || strings.Contains(line, "namespace"):
			// clone(2) and unshare(2) say ENOSPC where there may be no more namespaces.
		case strings.Contains(line, "No space left on device"), strings.Contains(line, "database or disk is full"):
			full = true
		}
	}
	return quota, full
}

// room says what to free, and where. A quota shows in no number that a program can ask for.
func (r *installation) room(quota bool) string {
	peak, _, inodes := r.footprint()
	bytes, files := max(peak-r.taken(), leastRoom), int64(1)
	if quota {
		return fmt.Sprintf("free %s of your quota, or have it raised; `quota -s` may show it", probe.Size(bytes))
	}
	for _, dir := range []string{r.layout.Store, r.layout.State, r.layout.Work, r.CacheDir} {
		var st syscall.Statfs_t
		if syscall.Statfs(nearest(dir), &st) != nil {
			continue
		}
		if free := int64(st.Bavail) * st.Bsize; free < leastRoom {
			return fmt.Sprintf("free %s on the file system of %q", probe.Size(max(bytes-free, leastRoom)), dir)
		}
		if st.Files > 0 && int64(st.Ffree) < inodes/10 {
			files = inodes - int64(st.Ffree)
			return fmt.Sprintf("remove %d files on the file system of %q, which has no inode left for more", files, dir)
		}
	}
	// A build that failed has given back what it took.
	return fmt.Sprintf("free %s on the file system of %q", probe.Size(bytes), r.layout.Store)
}

// taken returns how many bytes the stages that are done have left in the prefix, by the estimates.
func (r *installation) taken() int64 {
	p := &Plan{}
	for _, name := range []string{Host, Toolchain, Native} {
		p.Stages = append(p.Stages, State{Name: name, Done: r.done[name] != nil})
	}
	for _, e := range r.seed() {
		p.SeedBytes += e.Size
	}
	return r.present(p)
}

// nearest returns the path, or the nearest directory above it that exists.
func nearest(path string) string {
	for !exists(path) && path != filepath.Dir(path) {
		path = filepath.Dir(path)
	}
	return path
}
