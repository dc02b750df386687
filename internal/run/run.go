// Package run starts child processes and ends them.
//
// A child gets nothing it was not given: no environment, no descriptor, no terminal input.
// It leads a process group of its own, so that everything it started ends with it,
// and everything it says goes to a log file.
//
// The package never looks anything up in PATH, never goes through a shell and never prints.
package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"bootstrap/internal/fault"
)

// DefaultGrace is how long a child may take to end after it was asked to.
// With what is needed around it, a cancelled run is over within two seconds.
const DefaultGrace = 1500 * time.Millisecond

// reapDelay is how long after the kill the pipes may stay open.
const reapDelay = 250 * time.Millisecond

// Cmd is a command to be run. It may be run more than once, but not at the same time.
type Cmd struct {
	Path  string   // absolute path of the program
	Args  []string // what follows the program's name
	Argv0 string   // the program's own name, for multi-call programs; Path if empty
	Env   Env      // the whole environment
	Dir   string   // working directory; "/" if empty

	Stdin  io.Reader // /dev/null if nil
	Stdout io.Writer // also gets the standard output; may be nil
	// OnLine gets each line of the standard error, without its end. May be nil.
	// It is called from one goroutine at a time.
	OnLine func(line string)

	// LogFile gets the whole standard output and standard error appended, as they come.
	// No log is written if it is empty.
	LogFile string
	// Text says how a line of standard error reads in an error, and whether it belongs there.
	// Every line does, as it is, if Text is nil.
	Text func(line string) (text string, keep bool)

	// Grace is the time between SIGTERM and SIGKILL; [DefaultGrace] if zero.
	Grace time.Duration
	// DeathSignal is what the child gets should this process die; SIGKILL if zero.
	// A child that has to clean up after itself, as Nix does for its builders, wants SIGTERM.
	DeathSignal syscall.Signal
}

// Output runs the command and returns its standard output.
func (c *Cmd) Output(ctx context.Context) ([]byte, error) {
	var out bytes.Buffer
	d := *c
	d.Stdout = &out
	if c.Stdout != nil {
		d.Stdout = io.MultiWriter(&out, c.Stdout)
	}
	err := d.Run(ctx)
	return out.Bytes(), err
}

// Run runs the command and waits for it and everything in its process group to end.
//
// When ctx is done, the group gets SIGTERM, and once the child has ended, but after [Cmd.Grace]
// at the latest, the group and all its descendants get SIGKILL; the error is then of kind [fault.Interrupted] and wraps ctx's.
// A child that fails gives an error that wraps a [*Error] and carries the log's path.
func (c *Cmd) Run(ctx context.Context) error {
	if !filepath.IsAbs(c.Path) {
		return fmt.Errorf("run %q: path is not absolute", c.Path)
	}
	if err := ctx.Err(); err != nil {
		return c.interrupted(ctx)
	}
	out, err := newOutput(c)
	if err != nil {
		return fmt.Errorf("run %q: %w", c.Path, err)
	}
	err = c.wait(ctx, out)
	logErr := out.close()
	switch {
	case ctx.Err() != nil && err != nil:
		return c.interrupted(ctx)
	case err != nil:
		return &fault.Error{Kind: fault.General, Err: c.failure(err, out), Log: c.LogFile}
	case logErr != nil:
		return fmt.Errorf("run %q: log: %w", c.Path, logErr)
	}
	return nil
}

// wait starts the child and returns when it and its pipes are done with.
func (c *Cmd) wait(ctx context.Context, out *output) error {
	// The death signal is bound to the thread that forks, not to the process
	// (prctl(2), PR_SET_PDEATHSIG), so the thread must live as long as the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	grace := c.Grace
	if grace <= 0 {
		grace = DefaultGrace
	}
	cmd := c.command(ctx, out)
	var deadline *time.Timer
	var started tree
	cmd.Cancel = func() error {
		started = hold(cmd.Process.Pid)
		deadline = time.AfterFunc(grace, started.kill)
		return ignoreGone(syscall.Kill(-started.leader, syscall.SIGTERM))
	}
	cmd.WaitDelay = grace + reapDelay
	if err := cmd.Start(); err != nil {
		return err
	}
	err := cmd.Wait()
	if deadline != nil {
		deadline.Stop()
	}
	// Whatever is left of the group held on to our pipes or does work nobody waits for.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	started.killBelow()
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil // the child itself ended well
	}
	return err
}

func (c *Cmd) command(ctx context.Context, out *output) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	if c.Argv0 != "" {
		cmd.Args[0] = c.Argv0
	}
	cmd.Env = c.Env.list()
	cmd.Dir = c.Dir
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.Stdin = c.Stdin
	cmd.Stdout = out.stdout
	cmd.Stderr = out.stderr
	death := c.DeathSignal
	if death == 0 {
		death = syscall.SIGKILL
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: death}
	return cmd
}

func (c *Cmd) interrupted(ctx context.Context) error {
	kind := fault.Interrupted
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		kind = fault.General
	}
	return &fault.Error{Kind: kind, Err: fmt.Errorf("run %q: %w", c.Path, ctx.Err()), Log: c.LogFile}
}

func (c *Cmd) failure(err error, out *output) error {
	e := &Error{Argv0: c.Path, Err: err, Tail: out.tail.lines(), ExitCode: -1}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			e.Signal = ws.Signal()
		} else {
			e.ExitCode = exit.ExitCode()
		}
	}
	var path *os.PathError
	if errors.As(err, &path) {
		e.Err = path.Err // the path is in Argv0
	}
	return e
}

func ignoreGone(err error) error {
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}
