package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// Namespaces is what came of trying to make the namespaces that Nix's sandbox is made of.
// Sysctls, LSMs, seccomp filters and nesting all have a say; only trying tells.
type Namespaces struct {
	Work bool `json:"work"` // a process got namespaces of its own and could change mounts in them
	User bool `json:"user"` // one of them was a user namespace, which takes no root
	// Proc says that /proc could be mounted there, which the kernel forbids
	// where the one outside is partly hidden, as in most containers.
	Proc      bool   `json:"proc"`
	ProcTried bool   `json:"proc_tried"`
	Reason    string `json:"reason,omitempty"` // why something of this is not so
}

// Sandbox reports whether Nix can be expected to sandbox its builds.
func (n Namespaces) Sandbox() bool { return n.Work && (n.Proc || !n.ProcTried) }

// tooLong is a path that execve(2) refuses with ENAMETOOLONG, as nothing else that is done here does.
var tooLong = "/" + strings.Repeat("x", 4096)

// tryNamespaces makes a child with namespaces of its own.
//
// The child maps its user, makes every mount private, which takes the capabilities that AppArmor
// withholds on some hosts, and then executes a program that cannot exist.
// So no program is needed on the host, and the way the last step fails shows that all others worked.
func tryNamespaces(ctx context.Context, procProbe []string) Namespaces {
	var n Namespaces
	user := attributes(true)
	err := tryClone(user)
	if err == nil {
		n.Work, n.User = true, true
	} else {
		n.Reason = fmt.Sprintf("user namespaces: %v", err)
		if os.Geteuid() != 0 {
			return n
		}
		user = attributes(false)
		if err := tryClone(user); err != nil {
			n.Reason += fmt.Sprintf("; mount namespaces: %v", err)
			return n
		}
		n.Work = true
	}
	if len(procProbe) > 0 {
		n.ProcTried = true
		if err := tryProc(ctx, procProbe, user); err != nil {
			n.Reason = fmt.Sprintf("mounting /proc in a namespace: %v", err)
		} else {
			n.Proc = true
		}
	}
	return n
}

// attributes returns how Nix starts a sandboxed builder, as libstore/unix/build/local-derivation-goal.cc does.
func attributes(user bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		// Go makes mounts private after this one.
		Unshareflags: syscall.CLONE_NEWNS,
	}
	if user {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Geteuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 100, HostID: os.Getegid(), Size: 1}}
	}
	return a
}

// tryClone returns nil if a child got as far as executing a program.
func tryClone(a *syscall.SysProcAttr) error {
	cmd := &exec.Cmd{Path: tooLong, SysProcAttr: a}
	err := cmd.Start()
	if err == nil {
		// It cannot be; but a child must not be left.
		return errors.Join(errors.New("a program that does not exist was run"), cmd.Wait())
	}
	if errors.Is(err, syscall.ENAMETOOLONG) {
		return nil
	}
	// The cause is wrapped in the path, which is of no use to anybody.
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// tryProc runs a command that calls [MountProc].
func tryProc(ctx context.Context, argv []string, a *syscall.SysProcAttr) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	// Nix mounts before it executes anything; whoever is not root in the namespace loses the
	// right to by executing (capabilities(7), "Transformation of capabilities during execve").
	for i := range a.UidMappings {
		a.UidMappings[i].ContainerID = 0
	}
	cmd.SysProcAttr = a
	cmd.Env = []string{"LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	if text := bytes.TrimSpace(out); err != nil && len(text) > 0 {
		return fmt.Errorf("%w: %.200q", err, text)
	}
	return err
}

// MountProc mounts a proc file system over /proc.
// It is called by [Options.ProcProbe], in namespaces of its own, and by nobody else:
// as root without them it would change the host.
func MountProc() error {
	if os.Getpid() != 1 {
		return errors.New("not the first process of a PID namespace")
	}
	return syscall.Mount("none", "/proc", "proc", 0, "")
}
