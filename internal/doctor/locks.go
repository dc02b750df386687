package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// lockKind is one of the two ways in which Nix locks files.
type lockKind struct {
	name, user string
	take       func(*os.File) error // without waiting
}

// The kinds have a file each: on NFS both are one kind, and one process would keep itself out.
func lockKinds() []lockKind {
	return []lockKind{
		{"flock", "store paths", func(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }},
		{"fcntl", "the database", func(f *os.File) error {
			return unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
		}},
	}
}

// What a process says of a lock.
const (
	lockFree = "free" // it got it
	lockBusy = "busy" // somebody else has it
)

func holdLocks(path string, stdin io.Reader, stdout io.Writer) error {
	for _, k := range lockKinds() {
		file, err := os.OpenFile(path+"."+k.name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := k.take(file); err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
	fmt.Fprintln(stdout, "held")
	_, err := io.Copy(io.Discard, stdin)
	return err
}

func reportLocks(path string, stdout io.Writer) error {
	for _, k := range lockKinds() {
		file, err := os.OpenFile(path+"."+k.name, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		switch err := k.take(file); {
		case err == nil:
			fmt.Fprintln(stdout, k.name, lockFree)
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES):
			fmt.Fprintln(stdout, k.name, lockBusy)
		default:
			fmt.Fprintln(stdout, k.name, err)
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
	return nil
}

const whyLocks = "Nix keeps processes apart by locks on files; without them two builds damage the store, and locks that hang stop everything"

// tryLocks takes locks in one process, and looks at them from another.
func (o Options) tryLocks(ctx context.Context, dir string) Check {
	c := ok("locks", whyLocks, "flock and fcntl keep another process out, and let it in afterwards")
	wait := o.System.LockPatience
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err := o.lockTwice(limited, dir+"/lock")
	switch {
	case err == nil:
		return c
	case limited.Err() != nil && ctx.Err() == nil:
		c.Found = "a process that takes one hangs (more than " + wait.String() + ")"
		return c.but(Refused, "have the lock manager of the file server looked at (NFS: rpc.statd; Lustre: mount with flock), or choose a --prefix on a local disk")
	}
	c.Found = cause(err)
	return c.but(Refused, "choose a --prefix on a file system with locks (Lustre: mounted with flock, NFS: not with nolock), such as a local disk")
}

func (o Options) lockTwice(ctx context.Context, path string) error {
	// Not io.Pipe: os/exec waits for whoever reads from it, also when the child has ended.
	input, release, err := os.Pipe()
	if err != nil {
		return err
	}
	defer release.Close()
	held := &signalWriter{done: make(chan struct{})}
	holder := o.self("hold", path)
	holder.Stdin, holder.Stdout, holder.Grace = input, held, time.Second/4
	ended := make(chan error, 1)
	go func() {
		defer input.Close() // the child may outlive the wait for it
		ended <- holder.Run(ctx)
	}()
	select {
	case <-held.done:
	case err := <-ended:
		return errors.Join(err, ctx.Err())
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := o.expectLocks(ctx, path, lockBusy, "does not keep another process out"); err != nil {
		return err
	}
	release.Close()
	select {
	case err := <-ended:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	return o.expectLocks(ctx, path, lockFree, "stays when the process that had it has ended")
}

// expectLocks asks another process about the locks. It does not wait for one that cannot be killed.
func (o Options) expectLocks(ctx context.Context, path, want, otherwise string) error {
	type answer struct {
		text []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		cmd := o.self("lock", path)
		cmd.Grace = time.Second / 4
		text, err := cmd.Output(ctx)
		answers <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case a := <-answers:
		if a.err != nil {
			return a.err
		}
		return judgeLocks(string(a.text), want, otherwise)
	}
}

// judgeLocks compares what a process said of the locks with what it should have.
func judgeLocks(text, want, otherwise string) error {
	said := map[string]string{}
	for line := range strings.Lines(text) {
		name, state, _ := strings.Cut(strings.TrimSpace(line), " ")
		said[name] = state
	}
	for _, k := range lockKinds() {
		switch state := said[k.name]; state {
		case want:
		case lockFree, lockBusy:
			return fmt.Errorf("%s, for %s, %s", k.name, k.user, otherwise)
		default:
			return fmt.Errorf("%s, for %s: %s", k.name, k.user, state)
		}
	}
	return nil
}

// signalWriter says once that something was written to it.
type signalWriter struct {
	once sync.Once
	done chan struct{}
}

func (w *signalWriter) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.done) })
	return len(p), nil
}
