package storelock_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"bootstrap/internal/storelock"
)

// tryLock locks a file as another process would, or says that somebody has it.
func tryLock(t *testing.T, path string, how int) (release func(), busy bool) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		f.Close()
		return nil, true
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() { f.Close() }, false
}

func TestSharedKeepsCollectorsOut(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	file := filepath.Join(state, "gc.lock")
	release, err := storelock.Shared(context.Background(), state, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, busy := tryLock(t, file, syscall.LOCK_EX); !busy {
		t.Error("a collector has the lock meanwhile")
	}
	if other, busy := tryLock(t, file, syscall.LOCK_SH); busy {
		t.Error("a build has to wait")
	} else {
		other()
	}
	release()
	if other, busy := tryLock(t, file, syscall.LOCK_EX); busy {
		t.Error("the lock is not given back")
	} else {
		other()
	}
}

func TestSharedWaits(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	other, _ := tryLock(t, filepath.Join(state, "gc.lock"), syscall.LOCK_EX)
	told := make(chan bool, 10)
	done := make(chan error, 1)
	go func() {
		release, err := storelock.Shared(context.Background(), state, func() { told <- true })
		if err == nil {
			release()
		}
		done <- err
	}()
	<-told
	other()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("it waits for ever")
	}
	if len(told) > 0 {
		t.Error("it says more than once that it waits")
	}
}

func TestSharedCanBeInterrupted(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	other, _ := tryLock(t, filepath.Join(state, "gc.lock"), syscall.LOCK_EX)
	defer other()
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := storelock.Shared(ctx, state, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// TestTake has a Nix that held a path while we began to wait, and then deleted the file: the lock on
// that file is nobody's.
func TestTake(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	file := filepath.Join(dir, "a.lock")
	other, _ := tryLock(t, file, syscall.LOCK_EX)
	told := make(chan bool, 1)
	done := make(chan *storelock.Paths, 1)
	go func() {
		p, err := storelock.Take(context.Background(), root, []string{"a", "b"}, func() { told <- true })
		if err != nil {
			t.Error(err)
		}
		done <- p
	}()
	<-told
	// As Nix ends: the file is deleted and marked, then the lock is given back.
	if err := os.WriteFile(file, []byte("d"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	other()
	p := <-done
	if p == nil {
		t.Fatal("no locks")
	}
	for _, name := range []string{"a.lock", "b.lock"} {
		if _, busy := tryLock(t, filepath.Join(dir, name), syscall.LOCK_EX); !busy {
			t.Errorf("%s: somebody else can have it", name)
		}
	}
	if err := p.Release(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
