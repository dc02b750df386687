package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"

	"bootstrap/internal/enter"
	"bootstrap/internal/fault"
	"bootstrap/internal/prefix"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// enterFlags are those of commands that go into a prefix that is installed.
type enterFlags struct {
	prefixFlags
	pure bool
}

func (f *enterFlags) register(s *pflag.FlagSet) {
	f.prefixFlags.register(s)
	s.Lookup("prefix").Usage = "the prefix, as it was given to install it (default: $" + prefixVariable + ")"
}

func (f *enterFlags) registerPure(s *pflag.FlagSet) {
	s.BoolVar(&f.pure, "pure", false, "begin with HOME, USER, LOGNAME, TERM, LANG, SHELL and the system's PATH only")
}

// prefixVariable says which prefix is in an environment; the env files set it.
const prefixVariable = "BOOTSTRAP_PREFIX"

// installed returns the directories of a prefix that can be entered.
func (f *enterFlags) installed(m machine) (prefix.Layout, error) {
	if f.prefix == "" {
		f.prefix = m.getenv(prefixVariable)
	}
	at, err := f.locate(m)
	if err != nil {
		return prefix.Layout{}, err
	}
	if _, err := os.Stat(at.layout.EnvFile("sh")); err != nil || at.receipt == nil {
		return prefix.Layout{}, fault.New(fault.Usage, fmt.Errorf("prefix %q: nothing that is complete is installed there", at.layout.Store),
			"give the --prefix it was installed with; `bootstrap --prefix` installs, or goes on")
	}
	return at.layout, nil
}

func (f *enterFlags) environment(m machine) []string {
	if f.pure {
		return enter.Pure(m.environ())
	}
	return m.environ()
}

// become starts a process in place of this one: the same pid, so that signals and the exit code
// are its own. It returns only if that failed.
func (m machine) become(p enter.Process) error {
	if m.within != nil {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := outlived(syscall.SIGHUP); err != nil {
			return err
		}
	}
	if p.Script != "" {
		if err := offer(p.Script); err != nil {
			return err
		}
	}
	err := syscall.Exec(p.Path, p.Args, p.Env)
	return fault.New(fault.General, fmt.Errorf("run %q: %w", p.Path, err), "is there a /bin/sh on this machine?")
}

// offer makes a text be what [enter.ScriptFD] has to read, without a file.
func offer(text string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	if len(text) > pipeBytes {
		return errors.Join(errors.New("the script is too long for a pipe"), r.Close(), w.Close())
	}
	if _, err := strings.NewReader(text).WriteTo(w); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if int(r.Fd()) == enter.ScriptFD {
		_, err := unix.FcntlInt(r.Fd(), unix.F_SETFD, 0)
		return err
	}
	// The copy has no O_CLOEXEC, which the pipe itself has.
	return unix.Dup3(int(r.Fd()), enter.ScriptFD, 0)
}

// pipeBytes is how much a pipe holds at least (pipe(7)): nobody reads it before it is complete.
const pipeBytes = 4096
