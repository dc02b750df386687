package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"bootstrap/internal/fault"
)

// patience is how long another process may hold the list; it takes a few milliseconds each time.
const patience = 5 * time.Second

// lock is the right to change the list.
type lock struct {
	file *flock.Flock // nil where flock(2) does not work
}

// lock takes the lock, which is on a directory: the file itself is replaced, and the directories it
// is in may go with it. Where a directory cannot be locked, as on NFS, it goes on without: a line
// that gets lost in the list is written by the next run.
func (f File) lock(ctx context.Context) (*lock, error) {
	file := flock.New(f.base(), flock.SetFlag(os.O_RDONLY))
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { // a file server that does not answer holds it up for ever
		_, err := file.TryLockContext(limited, 5*time.Millisecond)
		done <- err
	}()
	var err error
	select {
	case err = <-done:
	case <-limited.Done():
		err = limited.Err()
		go func() {
			if <-done == nil {
				_ = file.Unlock()
			}
		}()
	}
	switch {
	case err == nil:
		return &lock{file: file}, nil
	case ctx.Err() != nil:
		return nil, fault.New(fault.Interrupted, errors.New("list of prefixes: interrupted"), "run the same command again")
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fault.New(fault.General, fmt.Errorf("list of prefixes: another process holds a lock on %q", f.base()),
			"see which process has it open, and run the same command again")
	}
	return &lock{}, nil
}

// base returns a directory that is there before the file and after it: HOME, or where that is not
// known the nearest that exists.
func (f File) base() string {
	if info, err := os.Stat(f.home); err == nil && info.IsDir() {
		return f.home
	}
	dir := f.dir()
	for !exists(dir) {
		dir = filepath.Dir(dir)
	}
	return dir
}

// sure reports whether nobody else can be at work.
func (l *lock) sure() bool { return l.file != nil }

func (l *lock) release() {
	if l.file != nil {
		_ = l.file.Unlock() // the kernel does it at the end of the process
	}
}
