package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"bootstrap/internal/destdir"
	"bootstrap/internal/fault"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// With --destdir there are three processes. The one that was started waits. Its child gets a view
// ([destdir.View]) in which the files of the prefix are at their place, and becomes the third by
// executing this program again, with the arguments of the first: what that does, it does as if
// there were no --destdir.

// within is what the third process knows of the first.
type within struct {
	dir       string // that stands for "/"
	confirmed bool   // the plan was shown, and answered with a yes
}

// The hidden arguments behind which the second and the third process find what they are told.
const (
	viewVerb   = "internal-view"
	withinVerb = "internal-within"
)

// What has been said of the plan, as an argument.
const (
	toAsk       = "ask"
	isConfirmed = "confirmed"
	isTrial     = "trial" // nothing is to be done: only to see whether there can be a view
)

// self is this program, whatever has become of its file.
const self = "/proc/self/exe"

// lifeline is the descriptor of a pipe from the first process, which has something to read, or its
// end, once that is to end or is gone. Signals would not do: those of a terminal reach the third by
// themselves, and the second of them ends a process at once.
const lifeline = 3

// viewCommand is the second process.
func viewCommand(m machine) *cobra.Command {
	return &cobra.Command{
		Use: viewVerb, Hidden: true, DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) < 3 {
				return errors.New("not for people")
			}
			v, said, rest := destdir.View{Dir: args[0], At: args[1]}, args[2], args[3:]
			// Rights are a thread's own, and those of the one that executes a program count.
			runtime.LockOSThread()
			if err := v.Show(said == isTrial); err != nil || said == isTrial {
				return err
			}
			if m.cwd != "" { // by its name: what it is now may be out of sight
				if err := os.Chdir(m.cwd); err != nil {
					return err
				}
			}
			if err := destdir.Renounce(); err != nil {
				return fmt.Errorf("renounce rights: %w", err)
			}
			argv := append([]string{m.program, withinVerb, v.Dir, said}, rest...)
			if err := outlived(syscall.SIGKILL); err != nil {
				return err
			}
			return os.NewSyscallError("execute this program again", syscall.Exec(self, argv, m.environ()))
		},
	}
}

// takeWithin takes from the arguments what the third process is told.
func (m machine) takeWithin() machine {
	if len(m.args) >= 3 && m.args[0] == withinVerb {
		m.within = &within{dir: m.args[1], confirmed: m.args[2] == isConfirmed}
		m.args = m.args[3:]
	}
	return m
}

// outlived has a signal sent to the program that this thread is going to execute, if the process
// that waits for it dies. What was asked for when this process was started is one thread's alone.
func outlived(signal syscall.Signal) error {
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(signal), 0, 0, 0))
}

// follow ends a context with the first process.
func (w *within) follow(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	unix.CloseOnExec(lifeline)
	go func() {
		defer cancel()
		_, _ = os.NewFile(lifeline, "lifeline").Read(make([]byte, 1))
	}()
	return ctx
}

// exitCode is that of the third process, which has said itself what there was to say.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// viewer returns the second process.
func (m machine) viewer(v destdir.View, said string) *exec.Cmd {
	return &exec.Cmd{
		Path: self, Args: append([]string{m.program, viewVerb, v.Dir, v.At, said}, m.args...),
		Env: m.environ(), Dir: m.cwd, SysProcAttr: v.Attributes(),
	}
}

// possible returns why there can be no view here.
func (m machine) possible(a apart) *fault.Error {
	var said bytes.Buffer
	cmd := m.viewer(a.View, isTrial)
	cmd.Stderr = &said
	// The death signal comes with the end of the thread, not of the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	if err == nil {
		return nil
	}
	reason := err.Error()
	var errno syscall.Errno
	if errors.As(err, &errno) {
		reason = "making namespaces: " + errno.Error()
	}
	if first, _, _ := strings.Cut(said.String(), "\n"); first != "" {
		reason = strings.TrimPrefix(first, "bootstrap: ")
	}
	return fault.New(fault.Unfit,
		fmt.Errorf("prefix %q with its files in %q: that takes user namespaces: %s", a.layout.Store, a.Files(), reason),
		"run it on a machine, or in a container, where a user may make them; or leave --destdir out, where you may write to the prefix itself")
}

// enter runs this program once more, with the same arguments, where the files are at their place,
// and ends as that does.
func (m machine) enter(ctx context.Context, a apart, said string) error {
	if refusal := m.possible(a); refusal != nil {
		return refusal
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ours.Close()
	cmd := m.viewer(a.View, said)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = m.stdin, m.stdout, m.stderr
	cmd.ExtraFiles = []*os.File{theirs} // the first of them is descriptor 3
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return err
	}
	done := make(chan struct{})
	var company sync.WaitGroup
	company.Go(func() { accompany(ctx, cmd.Process, ours, done) })
	defer company.Wait() // it has to do with ours, which is closed after that
	defer close(done)
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return exitCode(128 + int(ws.Signal()))
	}
	return exitCode(exit.ExitCode())
}

// accompany lets a process end in order once ctx ends. If it becomes a program of somebody else's,
// that is left to itself: it gets the signals that are meant for it.
func accompany(ctx context.Context, p *os.Process, line *os.File, done <-chan struct{}) {
	fd := int32(line.Fd())
	let := make(chan struct{})
	go func() {
		// A pipe that nobody reads any more is an error to poll(2), in whatever events one has interest.
		fds := []unix.PollFd{{Fd: fd}}
		for {
			if _, err := unix.Poll(fds, -1); !errors.Is(err, unix.EINTR) {
				break
			}
		}
		close(let)
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
		_, _ = line.Write([]byte{0}) // that it is closed would not be seen as long as it is polled
		return
	case <-let:
	}
	// What a terminal sends comes to all of its processes at once.
	signal.Ignore(syscall.SIGINT, syscall.SIGQUIT)
	signals := make(chan os.Signal, 1)
	signal.Ignore(syscall.SIGTERM, syscall.SIGHUP)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP)
	for {
		select {
		case <-done:
			return
		case s := <-signals:
			_ = p.Signal(s)
		}
	}
}
