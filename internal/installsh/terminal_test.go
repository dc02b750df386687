package installsh_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal and returns the end a program sees, pty(7).
func terminal(t *testing.T) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return slave
}

// With "curl | sh" standard input is the script; questions are answered on the terminal.
func TestTerminal(t *testing.T) {
	s := release(t)
	tests := map[string]struct {
		terminal bool
		args     []string
		want     bool // the program's standard input is a terminal
	}{
		"questions":             {true, []string{"--prefix", "/x"}, true},
		"nobody is to be asked": {true, []string{"--prefix", "/x", "--yes"}, false},
		"no terminal":           {false, []string{"--prefix", "/x"}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			eachShell(t, func(t *testing.T, shell []string) {
				h := newHost(t, "curl", "sha256sum")
				cmd := exec.Command(shell[0], append(append(shell[1:], "-s", "--"), tt.args...)...)
				cmd.Dir = h.home
				cmd.Env = []string{"HOME=" + h.home, "PATH=" + h.bin, "BOOTSTRAP_RELEASES=" + s.URL + "/v1"}
				cmd.Stdin = strings.NewReader(script(t))
				cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
				if tt.terminal {
					cmd.ExtraFiles = []*os.File{terminal(t)}
					cmd.SysProcAttr.Setctty, cmd.SysProcAttr.Ctty = true, 3
				}
				var stdout, stderr bytes.Buffer
				cmd.Stdout, cmd.Stderr = &stdout, &stderr
				if err := cmd.Run(); err != nil {
					t.Fatalf("%v\n%s", err, stderr.String())
				}
				if got := strings.Contains(stdout.String(), "asks on a terminal"); got != tt.want {
					t.Errorf("asks on a terminal: %v, want %v\n%s", got, tt.want, stdout.String())
				}
			})
		})
	}
}

// Ctrl-C goes to the whole process group.
func TestInterrupted(t *testing.T) {
	eachShell(t, func(t *testing.T, shell []string) {
		s := newServer(t, map[string]string{"SHA256SUMS": "hangs"})
		h := newHost(t, "curl", "sha256sum")
		cmd := exec.Command(shell[0], append(shell[1:], "-s", "--", "--yes")...)
		cmd.Env = []string{"HOME=" + h.home, "PATH=" + h.bin, "BOOTSTRAP_RELEASES=" + s.URL + "/v1"}
		cmd.Stdin = strings.NewReader(script(t))
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-s.log:
		case <-time.After(time.Minute):
			t.Error("nothing was asked for")
		}
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // its exit code is looked at
		if got := cmd.ProcessState.ExitCode(); got != 130 {
			t.Errorf("exit code %d, want 130", got)
		}
		if got := h.left(t); got != "" {
			t.Errorf("left in the cache: %s", got)
		}
	})
}
