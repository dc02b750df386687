package fetch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gofrs/flock"
)

// part is a download that is not complete.
//
// The first process to want a file holds <digest>.part, which outlives it:
// the next run continues it. A second process at the same time has a <digest>.*.tmp
// of its own, which goes when it ends; those of killed processes are swept.
type part struct {
	path string
	file *os.File     // reads, truncates and syncs; go-getter writes through one of its own
	lock *flock.Flock // nil on a file system without locks
	keep bool         // stays if it is not complete
	done bool         // is a file of the cache now
}

// errHeld says that another process has the lock.
var errHeld = errors.New("held by another process")

// open returns the part of a digest that is ours alone.
func (c cache) open(digest string) (*part, error) {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.Mkdir(c.tmp(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	c.sweep(digest)
	p, err := openLocked(filepath.Join(c.tmp(), digest+".part"), os.O_CREATE)
	if err == nil {
		p.keep = true
		return p, nil
	}
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return nil, err
	}
	return c.openTemp(digest)
}

// openTemp opens a part of a name that nobody else has.
func (c cache) openTemp(digest string) (*part, error) {
	for {
		f, err := os.CreateTemp(c.tmp(), digest+".*.tmp")
		if err != nil {
			return nil, err
		}
		p, err := openLocked(f.Name(), os.O_CREATE)
		if pe := (*fs.PathError)(nil); err != nil && err != errHeld && !errors.As(err, &pe) {
			// No locks here: the name alone keeps others out, and no run sweeps what it cannot lock.
			return &part{path: f.Name(), file: f}, nil
		}
		f.Close()
		if err != errHeld { // by a sweep that was quicker
			return p, err
		}
	}
}

// openLocked opens a file and locks it. Its errors are of type [*fs.PathError] where the file
// cannot be opened, [errHeld], or whatever a file system without locks returns.
func openLocked(path string, flags int) (*part, error) {
	flags |= os.O_RDWR | syscall.O_NOFOLLOW
	for {
		l := flock.New(path, flock.SetFlag(flags))
		ok, err := l.TryLock()
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, errHeld
		}
		f, err := os.OpenFile(path, flags, 0o600)
		if err != nil {
			l.Unlock()
			return nil, err
		}
		// Between our open and our lock, who had the lock before us may have renamed the file
		// into the cache or removed it. Then we hold the lock of a file that is none of ours.
		locked, err1 := l.Stat()
		opened, err2 := f.Stat()
		if err1 == nil && err2 == nil && os.SameFile(locked, opened) {
			return &part{path: path, file: f, lock: l}, nil
		}
		f.Close()
		l.Unlock()
	}
}

// sweep removes the temporary files of a digest that killed processes left.
func (c cache) sweep(digest string) {
	paths, _ := filepath.Glob(filepath.Join(c.tmp(), digest+".*.tmp"))
	for _, path := range paths {
		if p, err := openLocked(path, 0); err == nil {
			p.close()
		}
	}
}

// size returns the bytes that are there.
func (p *part) size() (int64, error) {
	fi, err := p.file.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// reset throws away what is there.
func (p *part) reset() error { return p.file.Truncate(0) }

// close gives up the lock, last of all, and leaves on disk only what is worth continuing.
func (p *part) close() {
	if !p.done {
		if n, err := p.size(); !p.keep || err != nil || n == 0 {
			os.Remove(p.path)
		}
	}
	p.file.Close()
	if p.lock != nil {
		p.lock.Unlock()
	}
}
