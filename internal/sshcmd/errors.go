package sshcmd

import (
	"errors"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/run"
)

// refused is the exit code of ssh where it is ssh that failed, and not what it ran (ssh(1)).
const refused = 255

// troubles are what ssh says (OpenSSH 9.2, 10.0: sshconnect.c, ssh.c, clientloop.c), and what that means.
var troubles = []struct {
	said, means, hint string
	kind              fault.Kind
}{
	{"Host key verification failed", "its host key is not the one that is known", "if the host was set up anew, and you know its new key, remove the builder and add it again; else somebody may be in between", fault.Verify},
	{"Connection refused", "connection refused", "see that sshd runs there, and on the port that ssh takes for this host", fault.Unfit},
	{"Could not resolve hostname", "there is no host of that name", "give a name that `ssh` knows, from ~/.ssh/config or from the network", fault.Unfit},
	{"timed out", "it does not answer", "see that the host is up, and that a firewall lets you through", fault.Unfit},
	{"No route to host", "there is no way to it", "see that the host is up, and the network between", fault.Unfit},
	{"Network is unreachable", "there is no way to it", "see that the host is up, and the network between", fault.Unfit},
	{"Permission denied (", "it does not let you in", "see that `ssh -o BatchMode=yes` gets in without a password; --identity names a key", fault.Unfit},
	{"Too many authentication failures", "it does not let you in: too many keys were offered", "name one with --identity, and set IdentitiesOnly in ~/.ssh/config", fault.Unfit},
}

// ErrHost is in the chain of an error of ssh itself, as against one of the program on the host.
var ErrHost = errors.New("ssh failed")

// hostError is why a host is not reached.
type hostError string

func (e hostError) Error() string        { return string(e) }
func (e hostError) Is(target error) bool { return target == ErrHost }

// explain says why a command on a host failed. Of what was run there, the error is left as it is.
func explain(err error) error {
	const try = "try it with `ssh`"
	var e *run.Error
	switch {
	case err == nil:
		return fault.New(fault.Unfit, hostError("it shows no host key"), try)
	case !errors.As(err, &e):
		return fault.New(fault.Unfit, err, try)
	case e.ExitCode != refused:
		return err
	}
	said := strings.Join(e.Tail, "\n")
	for _, t := range troubles {
		if strings.Contains(said, t.said) {
			return fault.New(t.kind, hostError(t.means), t.hint)
		}
	}
	last := "ssh ended without a word"
	if len(e.Tail) > 0 {
		last = strings.TrimSpace(e.Tail[len(e.Tail)-1])
	}
	return fault.New(fault.Unfit, hostError(last), try)
}
