//go:build e2e

package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// command is a program to run.
type command struct {
	argv    []string
	dir     string
	env     []string // all of it
	stdin   string
	account *account
	change  func(*exec.Cmd) // how else it is started; may be nil
}

// result is what became of it.
type result struct {
	argv           []string
	code           int            // -1 if a signal ended it
	signal         syscall.Signal // that signal
	stdout, stderr string
	took           time.Duration
}

// process is a command that was started.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr output
	started        time.Time
	gone           bool // it has ended, and so has its group: the number may be another one's
}

// output may be read while it is still being written.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// start starts a command as the leader of a process group, as an interactive shell does.
// What of it is left when the test ends is killed.
func (c command) start(t *testing.T) *process {
	t.Helper()
	p := &process{cmd: exec.Command(c.argv[0], c.argv[1:]...), started: time.Now()}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdin = c.dir, c.env, strings.NewReader(c.stdin)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	// A child that outlives the program would keep the pipes open.
	p.cmd.WaitDelay = 5 * time.Second
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM, Credential: c.account.credential()}
	if c.change != nil {
		c.change(p.cmd)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("%q: %v", c.argv, err)
	}
	t.Cleanup(func() {
		if !p.gone {
			_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		}
	})
	return p
}

// wait waits for the end of a process.
func (p *process) wait(t *testing.T) result {
	t.Helper()
	err := p.cmd.Wait()
	p.gone = errors.Is(syscall.Kill(-p.cmd.Process.Pid, 0), syscall.ESRCH)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		t.Fatalf("%q: %v", p.cmd.Args, err)
	}
	r := result{
		argv: p.cmd.Args, code: p.cmd.ProcessState.ExitCode(),
		stdout: p.stdout.String(), stderr: p.stderr.String(), took: time.Since(p.started),
	}
	if ws, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		r.signal = ws.Signal()
	}
	return r
}

// running reports whether a process has not ended; it may be a zombie.
func (p *process) running() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// run runs a command to its end.
func (c command) run(t *testing.T) result {
	t.Helper()
	return c.start(t).wait(t)
}

// must runs a command that has to end well, and returns its standard output.
func (c command) must(t *testing.T) string {
	t.Helper()
	return c.run(t).want(t, 0).stdout
}

// want ends the test unless the exit code is that one.
func (r result) want(t *testing.T, code int) result {
	t.Helper()
	if r.code != code {
		t.Fatalf("%s\nexit code %d, not %d\n%s", r, r.code, code, r.tail())
	}
	return r
}

func (r result) String() string {
	how := fmt.Sprintf("exit code %d", r.code)
	if r.signal != 0 {
		how = "signal: " + r.signal.String()
	}
	return fmt.Sprintf("%s: %s after %s", strings.Join(r.argv, " "), how, r.took.Round(time.Millisecond))
}

// tail returns the last lines of what a command said, and of the logs that it names.
func (r result) tail() string {
	var b strings.Builder
	for _, part := range []struct{ name, text string }{{"stdout", r.stdout}, {"stderr", r.stderr}} {
		if part.text != "" {
			fmt.Fprintf(&b, "--- %s\n%s\n", part.name, lastLines(part.text, 40))
		}
	}
	for line := range strings.Lines(r.stderr) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "log: "); ok {
			data, _ := os.ReadFile(path)
			fmt.Fprintf(&b, "--- %s\n%s\n", path, lastLines(string(data), 60))
		}
	}
	return b.String()
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// lookPath returns where a program of this machine is, or skips the test.
func lookPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("skipped: %s is not installed", name)
	}
	return path
}
