// Package holder owns the lock of a prefix: at most one run of the installer works in it.
//
// The lock is a file that names its owner. It appears with everything in it, by link(2),
// which fails where there is one already, on NFS too. Where flock(2) works the owner holds that as well,
// from before the file appears, so that of several processes on one host
// only one at a time gets to judge a file that was left behind.
// Nobody judges another host's file: only a person can.
//
// The package never waits for a lock.
package holder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"bootstrap/internal/fault"
)

// Options says which lock to take.
type Options struct {
	Path    string           // the lock file; absolute, in a directory that exists
	Prefix  string           // what is being locked, for messages
	Command string           // what holds it, for whoever is kept out
	Now     func() time.Time // the clock

	// Patience is how long flock(2) may take before it counts as not working,
	// which happens where a file server's lock manager is down. The default is 5 s.
	Patience time.Duration
	System   System
}

// Lock is a lock that is held. Its owner calls [Lock.Release].
type Lock struct {
	// Note, where it is not empty, says that a dead owner's lock was taken over.
	Note string

	path string
	held *kernelLock
	info fs.FileInfo
}

// Attempts bound how long a takeover by somebody else is waited for.
const (
	attempts = 40
	pause    = 25 * time.Millisecond
)

// errAgain says that the lock changed hands while it was looked at.
var errAgain = errors.New("the lock is changing hands")

// Acquire takes the lock, or says who has it by a [fault.Locked].
// A lock whose owner is known to be dead is taken over; [Lock.Note] then says so.
func Acquire(ctx context.Context, o Options) (*Lock, error) {
	if o.Patience == 0 {
		o.Patience = 5 * time.Second
	}
	o.System = o.System.defaults()
	me := o.System.self()
	me.Since, me.Command = o.Now().UTC(), o.Command
	note := ""
	for range attempts {
		taken, err := o.clear(ctx, me)
		if taken != "" {
			note = taken
		}
		if err == nil {
			var l *Lock
			if l, err = o.claim(ctx, me); err == nil {
				l.Note = note
				return l, nil
			}
		}
		if !errors.Is(err, errAgain) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("lock %q: %w", o.Path, context.Cause(ctx))
		case <-time.After(pause):
		}
	}
	owner, err := read(o.Path)
	if err != nil {
		return nil, fault.New(fault.Locked, fmt.Errorf("prefix %q: the lock keeps changing hands", o.Prefix), "try again in a moment")
	}
	return nil, o.locked(owner, alive)
}

// claim makes the lock file. It returns errAgain where there is one already.
func (o Options) claim(ctx context.Context, me Owner) (*Lock, error) {
	temp, err := os.CreateTemp(filepath.Dir(o.Path), ".lock-")
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	defer os.Remove(temp.Name())
	defer temp.Close()
	if err := temp.Chmod(0o644); err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	// Where flock does not work the file alone must do.
	held := o.tryFlock(ctx, temp.Name())
	me.Flock = held.ok
	info, err := o.publish(ctx, temp, me)
	if err != nil {
		return nil, errors.Join(err, held.release())
	}
	return &Lock{path: o.Path, held: held, info: info}, nil
}

// publish fills the file and gives it the lock's name, unless there is one already.
func (o Options) publish(ctx context.Context, temp *os.File, me Owner) (fs.FileInfo, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("lock %q: %w", o.Path, context.Cause(ctx))
	}
	if err := fill(temp, me); err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	info, err := temp.Stat()
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	err = os.Link(temp.Name(), o.Path)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, errAgain
	case errors.Is(err, syscall.EPERM), errors.Is(err, errors.ErrUnsupported):
		return nil, fault.New(fault.Unfit, fmt.Errorf("lock: the file system has no hard links: %w", err),
			"choose a prefix on a local file system such as ext4, xfs or btrfs")
	case err != nil:
		return nil, fmt.Errorf("lock: %w", err)
	}
	return info, nil
}

// fill writes the owner and makes sure it is on the disk.
func fill(file *os.File, o Owner) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if _, err := file.Write(append(data, '\n')); err != nil {
		return err
	}
	return file.Sync()
}

// clear removes a dead owner's lock file, and says whose it was.
// It returns nil where there is no lock file now, errAgain where that cannot be told yet,
// and a [fault.Locked] where somebody has the lock.
func (o Options) clear(ctx context.Context, me Owner) (note string, err error) {
	held := o.tryFlock(ctx, o.Path)
	defer held.release()
	if errors.Is(held.err, fs.ErrNotExist) {
		return "", nil
	}
	if ctx.Err() != nil {
		return "", fmt.Errorf("lock %q: %w", o.Path, context.Cause(ctx))
	}
	if held.ok && !held.leadsTo(o.Path) {
		return "", errAgain
	}
	owner, err := read(o.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", errAgain
	}
	if err != nil {
		if !held.ok {
			return "", o.unreadable(err)
		}
		// It was complete when it appeared, so the disk lost it in a crash.
		return o.remove("a lock file that a crash had damaged was removed")
	}
	switch v := o.System.judge(owner, me, held.ok); {
	case v != dead:
		return "", o.locked(owner, v)
	case held.ok:
		return o.remove(fmt.Sprintf("the lock of pid %d, which is gone, was taken over", owner.PID))
	case held.err == nil:
		return "", errAgain // somebody is taking it over just now
	}
	return "", o.leftBehind(owner, held.err)
}

func (o Options) remove(note string) (string, error) {
	if err := os.Remove(o.Path); err != nil {
		return "", fmt.Errorf("lock: %w", err)
	}
	return note, nil
}

// Release gives the lock back. That the file is gone already, with all of the prefix, is no error.
func (l *Lock) Release() error {
	there, err := os.Lstat(l.path)
	if err == nil && os.SameFile(there, l.info) {
		err = os.Remove(l.path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err := errors.Join(err, l.held.release()); err != nil {
		return fmt.Errorf("release lock: %w", err)
	}
	return nil
}
