package holder_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bootstrap/internal/fault"
)

func TestExactlyOneProcessWins(t *testing.T) {
	dead := me(t)
	dead.PID = 1 << 30
	for _, tt := range []struct {
		name    string
		prepare func(path string)
	}{
		{"no lock", func(string) {}},
		{"a dead owner's lock", func(path string) { leave(t, path, dead) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := lockFile(t)
			tt.prepare(path)
			var racers []*process
			for range 6 {
				racers = append(racers, start(t, path))
			}
			for _, p := range racers {
				io.WriteString(p.in, "\n")
			}
			count := map[string]int{}
			for _, p := range racers {
				count[p.line()]++
			}
			if count["won"] != 1 || count["locked"] != len(racers)-1 {
				t.Errorf("outcomes: %v", count)
			}
		})
	}
}

// A takeover that has come to the conclusion that the owner is dead and has not acted on it yet
// must not be overtaken by another one.
func TestATakeoverIsNotOvertaken(t *testing.T) {
	path := lockFile(t)
	owner := me(t)
	owner.PID, owner.Start = start(t, path).cmd.Process.Pid, 1 // its PID was used again

	// The slow one sees a /proc that keeps it waiting for what it asks about the owner.
	proc := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(proc, "sys", "kernel", "random"), 0o755))
	must(t, os.WriteFile(filepath.Join(proc, "sys", "kernel", "random", "boot_id"), []byte(owner.Boot), 0o644))
	must(t, os.MkdirAll(filepath.Join(proc, "self", "ns"), 0o755))
	must(t, os.Symlink(owner.PIDNamespace, filepath.Join(proc, "self", "ns", "pid")))
	must(t, os.MkdirAll(filepath.Join(proc, strconv.Itoa(owner.PID)), 0o755))
	fifo := filepath.Join(proc, strconv.Itoa(owner.PID), "stat")
	must(t, unix.Mkfifo(fifo, 0o644))
	leave(t, path, owner)

	slow := options(path)
	slow.System.Proc = proc
	outcome := make(chan error, 2)
	go func() {
		_, err := acquire(t, slow)
		outcome <- err
	}()
	stat, err := os.OpenFile(fifo, os.O_WRONLY, 0) // returns when the slow one reads
	must(t, err)
	go func() {
		_, err := acquire(t, options(path))
		outcome <- err
	}()
	time.Sleep(200 * time.Millisecond) // time enough to overtake, were it possible
	_, err = fmt.Fprintf(stat, "%d (x) S%s 2\n", owner.PID, strings.Repeat(" 0", 18))
	must(t, err)
	must(t, stat.Close())

	first, second := <-outcome, <-outcome
	if (first == nil) == (second == nil) {
		t.Fatalf("outcomes: %v and %v, want one winner", first, second)
	}
	checkLocked(t, errors.Join(first, second), []string{fmt.Sprintf("pid %d", os.Getpid())}, "")
}

func TestExactlyOneGoroutineWins(t *testing.T) {
	dead := me(t)
	dead.PID = 1 << 30
	for range 4 {
		path := lockFile(t)
		leave(t, path, dead)
		var won sync.Map
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				_, err := acquire(t, options(path))
				if err == nil {
					won.Store(i, true)
				} else if fault.KindOf(err) != fault.Locked {
					t.Error(err)
				}
			})
		}
		group.Wait()
		n := 0
		won.Range(func(any, any) bool { n++; return true })
		if n != 1 {
			t.Fatalf("%d winners", n)
		}
	}
}
