package holder

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/gofrs/flock"
)

// kernelLock is an attempt at flock(2).
type kernelLock struct {
	file *flock.Flock // nil where the attempt was given up
	ok   bool         // it is held
	err  error        // why it cannot be had at all, as against: somebody else has it
}

// tryFlock takes flock(2) on an existing file, if nobody has it,
// and gives up on a file server that does not answer.
func (o Options) tryFlock(ctx context.Context, path string) *kernelLock {
	file := flock.New(path, flock.SetFlag(os.O_RDONLY)) // never O_CREATE
	done := make(chan *kernelLock, 1)
	go func() {
		ok, err := file.TryLock()
		done <- &kernelLock{file: file, ok: ok, err: err}
	}()
	var err error
	select {
	case k := <-done:
		return k
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-time.After(o.Patience):
		err = errors.New("flock does not return")
	}
	go func() { (<-done).release() }()
	return &kernelLock{err: err}
}

// release gives the lock back, if it is held.
func (k *kernelLock) release() error {
	if k.file == nil {
		return nil
	}
	return k.file.Unlock()
}

// leadsTo reports whether what was locked is still what the path leads to.
func (k *kernelLock) leadsTo(path string) bool {
	locked, err := k.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(locked, there)
}
