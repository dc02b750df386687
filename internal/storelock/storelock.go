// Package storelock takes the locks that Nix itself takes on its store, so that a Nix that works
// there meanwhile waits, or is waited for.
//
// The locks are advisory ones of flock(2), in files that Nix makes as well
// (src/libstore/{gc,pathlocks}.cc and src/libstore/unix/pathlocks.cc in Nix 2.26).
package storelock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// often is how often somebody who waits looks again.
const often = 200 * time.Millisecond

// Shared keeps garbage collectors out until release is called: what nothing refers to may not be
// deleted while it is read or written. Waiting is called once if one is at work. Where nobody ever
// opened the store for writing, and this process may not either, there is nothing to keep out.
func Shared(ctx context.Context, state string, waiting func()) (release func(), err error) {
	path := filepath.Join(state, "gc.lock")
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		if f, err = os.Open(path); err != nil {
			return func() {}, nil // a reader, of a store that somebody else keeps
		}
	}
	if err != nil {
		return nil, err
	}
	if err := flock(ctx, f, syscall.LOCK_SH, waiting); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { f.Close() }, nil
}

// Paths are locks on store paths, as those that are about to make them have.
type Paths struct {
	root  *os.Root
	locks []lock
}

type lock struct {
	name string
	f    *os.File
}

// Take locks store paths by their names in the store directory, which must be sorted: two that want
// the same would else wait for each other. The files are beside the paths and are called <path>.lock.
func Take(ctx context.Context, root *os.Root, names []string, waiting func()) (*Paths, error) {
	p := &Paths{root: root}
	for _, name := range names {
		l, err := p.take(ctx, name+".lock", waiting)
		if err != nil {
			return nil, errors.Join(err, p.Release())
		}
		p.locks = append(p.locks, l)
	}
	return p, nil
}

func (p *Paths) take(ctx context.Context, name string, waiting func()) (lock, error) {
	for {
		f, err := p.root.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return lock{}, err
		}
		if err := flock(ctx, f, syscall.LOCK_EX, waiting); err != nil {
			return lock{}, errors.Join(err, f.Close())
		}
		// One that has text in it was deleted by its last owner while we waited.
		info, err := f.Stat()
		if err != nil {
			return lock{}, errors.Join(err, f.Close())
		}
		if info.Size() == 0 {
			return lock{name, f}, nil
		}
		if err := f.Close(); err != nil {
			return lock{}, err
		}
	}
}

// Release gives the locks back and deletes their files, as Nix does.
func (p *Paths) Release() error {
	var errs []error
	for _, l := range p.locks {
		errs = append(errs, p.root.Remove(l.name))
		_, err := l.f.WriteString("d") // whoever waits for it must take a new file
		errs = append(errs, err, l.f.Close())
	}
	p.locks = nil
	return errors.Join(errs...)
}

func flock(ctx context.Context, f *os.File, how int, waiting func()) error {
	told := false
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.ENOLCK), errors.Is(err, syscall.ENOTSUP):
			return nil // Nix goes on as well on a file system without locks
		case errors.Is(err, syscall.EINTR):
			continue
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return fmt.Errorf("lock %q: %w", f.Name(), err)
		}
		if !told && waiting != nil {
			waiting()
			told = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(often):
		}
	}
}
