package prompt_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo terminal: the test sits at master, the code under test at tty.
type terminal struct {
	t      *testing.T
	master *os.File
	tty    *os.File

	mu     sync.Mutex
	screen strings.Builder
}

// openTerminal opens a pseudo terminal (pty(7)) and collects what is drawn on it.
func openTerminal(t *testing.T, cols uint16) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	n, err := unlock(master, cols)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, master: master, tty: tty}
	go term.collect()
	t.Cleanup(func() { _ = tty.Close(); _ = master.Close() })
	return term
}

// unlock makes the terminal's other side usable and returns its number.
// It does not use [os.File.Fd], after which a Close would not end a Read.
func unlock(master *os.File, cols uint16) (number int, err error) {
	conn, err := master.SyscallConn()
	if err != nil {
		return 0, err
	}
	var e1, e2, e3 error
	err = conn.Control(func(fd uintptr) {
		e1 = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
		number, e2 = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		e3 = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: cols})
	})
	return number, errors.Join(err, e1, e2, e3)
}

func (term *terminal) collect() {
	buf := make([]byte, 4096)
	for {
		n, err := term.master.Read(buf)
		term.mu.Lock()
		term.screen.Write(buf[:n])
		term.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (term *terminal) drawn() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.screen.String()
}

func (term *terminal) press(s string) {
	term.t.Helper()
	if _, err := term.master.WriteString(s); err != nil {
		term.t.Error(err)
	}
}

// waitFor waits until text has been drawn n times.
func (term *terminal) waitFor(text string, n int) {
	term.t.Helper()
	for range 500 {
		if strings.Count(term.drawn(), text) >= n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	term.t.Errorf("%q was not drawn %d times: %q", text, n, term.drawn())
}

func (term *terminal) modes() unix.Termios {
	term.t.Helper()
	m, err := unix.IoctlGetTermios(int(term.tty.Fd()), unix.TCGETS)
	if err != nil {
		term.t.Fatal(err)
	}
	return *m
}
