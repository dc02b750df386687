package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bootstrap/internal/bundletest"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal (pty(7)) with a program at it, and what it has shown so far.
type terminal struct {
	master *os.File
	cmd    *exec.Cmd

	mu    sync.Mutex
	shown strings.Builder
}

// atTerminal starts the program as a shell at a terminal would.
func atTerminal(t *testing.T, dir string, args ...string) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	number, err := unlock(master)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	program, err := exec.LookPath("bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{master: master, cmd: exec.Command(program, args...)}
	term.cmd.Stdin, term.cmd.Stderr = tty, tty
	term.cmd.Env = []string{"HOME=" + dir, "TERM=xterm", "LC_ALL=C.UTF-8", "GORACE=atexit_sleep_ms=0"}
	term.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := term.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = term.cmd.Process.Kill() }) // it has ended, unless the test failed
	go term.watch()
	return term
}

// unlock makes the other end usable, and returns its number. It does not use [os.File.Fd], after
// which a Close would not end a Read.
func unlock(master *os.File) (number int, err error) {
	conn, err := master.SyscallConn()
	if err != nil {
		return 0, err
	}
	var e1, e2 error
	err = conn.Control(func(fd uintptr) {
		e1 = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
		number, e2 = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
	})
	return number, errors.Join(err, e1, e2)
}

func (term *terminal) watch() {
	buf := make([]byte, 4096)
	for {
		n, err := term.master.Read(buf)
		term.mu.Lock()
		term.shown.Write(buf[:n])
		term.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (term *terminal) text() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.shown.String()
}

// waitFor waits until something is shown.
func (term *terminal) waitFor(t *testing.T, text string) {
	t.Helper()
	for range 3000 {
		if strings.Contains(term.text(), text) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%q is not shown, but: %s", text, term.text())
}

// waysToLeave are those to end a program while it asks.
func waysToLeave() map[string]func(*terminal) error {
	return map[string]func(*terminal) error{
		"ctrl-C":               func(term *terminal) error { _, err := term.master.WriteString("\x03"); return err },
		"ctrl-D":               func(term *terminal) error { _, err := term.master.WriteString("\x04"); return err },
		"SIGTERM":              func(term *terminal) error { return term.cmd.Process.Signal(syscall.SIGTERM) },
		"the terminal is gone": func(term *terminal) error { return term.master.Close() },
	}
}

// isLeft makes sure that a program which asks ends at once, as one that was interrupted.
func (term *terminal) isLeft(t *testing.T, leave func(*terminal) error) {
	t.Helper()
	started := time.Now()
	if err := leave(term); err != nil {
		t.Fatal(err)
	}
	_ = term.cmd.Wait() // its exit code is looked at
	if took := time.Since(started); took > 2*time.Second {
		t.Errorf("it took %s to end", took)
	}
	if got := term.cmd.ProcessState.ExitCode(); got != 130 {
		t.Errorf("exit code %d, want 130: %s", got, term.text())
	}
}

// TestLeavingTheQuestion ends the program while it asks: it is over at once, and nothing is written.
func TestLeavingTheQuestion(t *testing.T) {
	for name, leave := range waysToLeave() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("", "ask") // short enough for a prefix
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			term := atTerminal(t, dir, "--prefix", filepath.Join(dir, "opt", "store"), "--mirror", "http://127.0.0.1:9/debian")
			term.waitFor(t, "Go on?")
			term.isLeft(t, leave)
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) > 0 {
				t.Errorf("written: %v, %v", entries, err)
			}
		})
	}
}

// TestLeavingTheChoice is the same where three places for a bundle are offered.
func TestLeavingTheChoice(t *testing.T) {
	for name, leave := range waysToLeave() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("", "ask")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			home, key, file := filepath.Join(dir, "home"), bundletest.Key(t, "maker"), filepath.Join(dir, "nix.bundle")
			share := filepath.Join(home, ".local", "share")
			if err := os.MkdirAll(share, 0o755); err != nil {
				t.Fatal(err)
			}
			bundletest.New(t, filepath.Join(dir, "made"), filepath.Join(home, "made-for-more-places"), "#!/bin/sh\n", nil).Write(file, key)
			term := atTerminal(t, home, "--prefix", "auto", "--from", file, "--from-key", key.Public().String())
			for _, text := range []string{"Where?", home + "/nix-prefixcLaGQTvg0k/store", home + "/.local/nix-prefixcLa/store", share + "/nix-pre/store"} {
				term.waitFor(t, text)
			}
			term.isLeft(t, leave)
			for _, place := range []string{home, filepath.Join(home, ".local"), share} {
				entries, err := os.ReadDir(place)
				if err != nil || len(entries) > 1 || place == share && len(entries) > 0 {
					t.Errorf("written to %s: %v, %v", place, entries, err)
				}
			}
		})
	}
}
