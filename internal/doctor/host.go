package doctor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"bootstrap/internal/probe"
	"bootstrap/internal/run"

	"golang.org/x/sys/unix"
)

// namespaces says which namespaces a process could really make.
func (o Options) namespaces() []Check {
	n := o.Facts.Namespaces
	user := ok("user namespaces", "without them, and without root, builds are not shut off from the host's files",
		"a process got one")
	remedy := "nothing: a prefix needs none; builds run without a sandbox (sysctls, AppArmor or a container may forbid them)"
	if !n.User {
		user.Found = n.Reason
		user = user.but(Warning, remedy)
	}
	mount := ok("mount namespaces", "Nix's sandbox is made of mounts that only the build sees, /proc among them",
		"a process got one and could change mounts in it")
	switch {
	case !n.Work:
		mount.Found = "no process could make one"
		mount = mount.but(Warning, remedy)
	case n.ProcTried && !n.Proc:
		mount.Found = n.Reason
		mount = mount.but(Warning, "nothing: builds run without a sandbox; a container has to be started with its /proc unmasked to change that")
	}
	return []Check{user, mount}
}

// filter says whether a filter for system calls can be loaded, by loading one in another process.
func (o Options) filter(ctx context.Context) Check {
	c := ok("seccomp", "Nix loads a filter for system calls before each build", "a filter could be loaded")
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := o.self("seccomp").Output(limited); err != nil {
		c.Found = "no filter could be loaded: " + cause(err)
		return c.but(Refused, "run it where the kernel has seccomp (CONFIG_SECCOMP_FILTER), or outside of what intercepts system calls")
	}
	return c
}

// terminals says whether a pseudo-terminal can be opened, by opening one.
func (o Options) terminals() Check {
	c := ok("pseudo-terminals", "Nix reads what a build says through one, and starts no build without", "one could be opened")
	dev := o.Devices
	if dev == "" {
		dev = "/dev"
	}
	if err := openTerminal(dev); err != nil {
		c.Found = "none could be opened: " + err.Error()
		return c.but(Refused, "have devpts mounted on /dev/pts, with /dev/ptmx leading to it (mount -t devpts devpts /dev/pts)")
	}
	return c
}

// openTerminal opens both ends of a pseudo-terminal, as pts(4) says.
func openTerminal(dev string) error {
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	master, err := unix.Open(filepath.Join(dev, "ptmx"), flags, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(dev, "ptmx"), err)
	}
	defer unix.Close(master)
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return fmt.Errorf("unlock: %w", err)
	}
	number, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		return fmt.Errorf("its number: %w", err)
	}
	name := filepath.Join(dev, "pts", fmt.Sprint(number))
	slave, err := unix.Open(name, flags, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return unix.Close(slave)
}

// smallLimit is more than the largest file of the trials, which is this program, and than the
// largest of the compiler's.
const smallLimit = 64 << 20

// fileSize says how large a file may get. A process that writes beyond is killed.
func (o Options) fileSize() Check {
	c := ok("file size limit", "a process that writes a larger file is killed, in the middle of a build", "none")
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_FSIZE, &limit) != nil || limit.Cur > math.MaxInt64 {
		return c
	}
	c.Found = probe.Size(int64(limit.Cur))
	if limit.Cur < smallLimit {
		return c.but(Refused, "raise it before you run bootstrap: ulimit -f unlimited")
	}
	return c.but(Warning, "raise it before you run bootstrap, if it can be: ulimit -f unlimited")
}

// memory says what a build can use, and how many compilers that is enough for.
func (o Options) memory() Check {
	m, cpus := o.Facts.Memory, o.Facts.CPUs
	c := ok("memory", "a compiler that finds no memory is killed, and with it the build",
		"%s available, %s, %s at a time", probe.Size(m.Available), count(cpus, "processor"), count(o.Jobs, "compiler"))
	switch {
	case m.Available == 0:
		c.Found = fmt.Sprintf("not known, %s, %s at a time", count(cpus, "processor"), count(o.Jobs, "compiler"))
	case o.Asked && o.Jobs > 1 && m.Available/int64(o.Jobs) < 1<<30:
		return c.but(Warning, fmt.Sprintf("leave --jobs out, or make it %d: each may take 1 GiB", max(1, m.Available>>30)))
	case m.Available < 1<<30:
		return c.but(Warning, "end what else takes memory: one compiler may take 1 GiB")
	case !o.Asked && o.Jobs < cpus:
		return c.but(Warning, "nothing: there are fewer at a time than processors, as memory is short; --jobs asks for another number")
	}
	return c
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// patience is how long a child that should be done at once may take.
const patience = 5 * time.Second

// self returns a command that runs this program to try something; see [Serve].
func (o Options) self(args ...string) *run.Cmd {
	return &run.Cmd{
		Path: o.Self[0], Args: append(append([]string{}, o.Self[1:]...), args...),
		Env: run.Env{"LC_ALL": "C", "GORACE": "atexit_sleep_ms=0"},
	}
}

// cause returns the last thing a child said, or else how it ended.
func cause(err error) string {
	var failed *run.Error
	if errors.As(err, &failed) {
		if len(failed.Tail) > 0 {
			return strings.TrimSpace(failed.Tail[len(failed.Tail)-1])
		}
		return failed.Err.Error()
	}
	return err.Error()
}
