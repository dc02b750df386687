package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patient is an installation that meets one fault. What a fault changes of the host is changed here.
type patient struct {
	*testing.T
	*ward
	program     string // bootstrap, or nobody
	home, cache string
	url         string   // of the mirror
	env         []string // beyond the usual
	args        []string // beyond the usual
	shell       string   // a line of it comes first; may be empty
	wrap        []string // words that come before the program's
	undo        []func()
}

// later has something done when the fault is over and done with.
func (p *patient) later(f func()) { p.undo = append(p.undo, f) }

func (p *patient) dismiss() {
	for _, f := range slices.Backward(p.undo) {
		f()
	}
}

// command returns the one command that is always run, with further words.
func (p *patient) command(words ...string) *exec.Cmd {
	p.Helper()
	program, err := exec.LookPath(p.program)
	must(p.T, err)
	common := []string{
		"--prefix=" + p.store(), "--cache-dir=" + p.cache, "--lock=" + p.path("lock.json"), "--host=" + p.path("nix"),
		"--mirror=" + p.url, "--snapshot=" + p.snapshot.URL, "--keyring=" + p.path("keyring.gpg"), "--yes",
	}
	all := slices.Concat(p.wrap, []string{program}, words, common, p.args)
	if p.shell != "" {
		all = append([]string{"sh", "-c", p.shell + ` && exec "$@"`, "sh"}, all...)
	}
	cmd := exec.Command(all[0], all[1:]...)
	cmd.Dir = p.dir
	cmd.Env = append([]string{
		"HOME=" + p.home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "LC_ALL=C.UTF-8", "GORACE=atexit_sleep_ms=0",
	}, p.env...)
	return cmd
}

// attempt is a run of the program.
type attempt struct {
	p      *patient
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr bytes.Buffer // complete when it has ended
	ended  bool
}

// start starts the program. Settings go into its environment.
func (p *patient) start(settings ...string) *attempt { return p.startCommand(p.command(), settings...) }

func (p *patient) startCommand(cmd *exec.Cmd, settings ...string) *attempt {
	p.Helper()
	a := &attempt{p: p, cmd: cmd}
	a.cmd.Env = append(a.cmd.Env, settings...)
	a.cmd.Stdout, a.cmd.Stderr = &a.stdout, &a.stderr
	must(p.T, a.cmd.Start())
	p.later(func() {
		if !a.ended {
			_ = a.cmd.Process.Kill()
			_ = a.cmd.Wait()
		}
	})
	return a
}

func (p *patient) run(settings ...string) *attempt {
	p.Helper()
	return p.start(settings...).wait()
}

func (a *attempt) wait() *attempt {
	a.p.Helper()
	err := a.cmd.Wait()
	a.ended = true
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		a.p.Fatal(err)
	}
	return a
}

// killed is the exit code of a process that a signal ended.
const killed = -1

// wants fails unless the run ended with that code, and said something of each pattern.
func (a *attempt) wants(code int, patterns ...string) *attempt {
	a.p.Helper()
	if got := a.cmd.ProcessState.ExitCode(); got != code {
		a.p.Fatalf("exit code %d, want %d\n%s", got, code, a.stderr.String())
	}
	for _, pattern := range patterns {
		if !regexp.MustCompile(pattern).MatchString(a.stderr.String()) {
			a.p.Fatalf("nothing like %q in\n%s", pattern, a.stderr.String())
		}
	}
	return a
}

// did fails unless exactly these stages were run to their end.
func (a *attempt) did(stages ...string) {
	a.p.Helper()
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^✓ (\w+)`).FindAllStringSubmatch(a.stderr.String(), -1) {
		got = append(got, m[1])
	}
	if !slices.Equal(got, stages) {
		a.p.Errorf("stages run: %q, want %q\n%s", got, stages, a.stderr.String())
	}
}

// stopped waits until the program has stopped at a record of the journal, see [crash].
func (a *attempt) stopped() *attempt {
	a.p.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		switch a.state() {
		case "T":
			return a
		case "Z", "":
			a.p.Fatalf("it ended before it stopped\n%s", a.wait().stderr.String())
		}
	}
	a.p.Fatal("it does not stop")
	return a
}

// state returns the letter that proc(5) has for the process.
func (a *attempt) state() string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(a.cmd.Process.Pid), "stat"))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest[:1]
}

// signal sends signals, and lets it go on if it was stopped.
func (a *attempt) signal(all ...syscall.Signal) *attempt {
	a.p.Helper()
	for _, s := range append(all, syscall.SIGCONT) {
		if err := a.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
			a.p.Fatal(err)
		}
	}
	return a
}
