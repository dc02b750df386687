//go:build e2e

package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
)

// binding puts one directory in another's place.
type binding struct{ from, to string }

// view changes how a command is started: it, and nobody else, sees directories in places of others.
// Only root can; for others it returns nil.
func view(a *account, bindings ...binding) func(*exec.Cmd) {
	if os.Getuid() != 0 {
		return nil
	}
	args := []string{"sh", "-euc", `while [ "$1" != -- ]; do mount --bind "$1" "$2"; shift 2; done; shift; exec "$@"`, "sh"}
	for _, b := range bindings {
		args = append(args, b.from, b.to)
	}
	args = append(args, "--")
	if a.switched {
		args = append(args, "setpriv", "--reuid", strconv.Itoa(a.uid), "--regid", strconv.Itoa(a.gid), "--clear-groups", "--")
	}
	return func(cmd *exec.Cmd) {
		cmd.SysProcAttr.Credential = nil
		cmd.SysProcAttr.Unshareflags |= syscall.CLONE_NEWNS
		cmd.Args = slices.Concat(args, cmd.Args)
		cmd.Path = "/bin/sh"
	}
}

// both changes how a command is started twice: the first change is nearest to the program.
func both(first, second func(*exec.Cmd)) func(*exec.Cmd) {
	if first == nil || second == nil {
		if first == nil {
			return second
		}
		return first
	}
	return func(cmd *exec.Cmd) {
		first(cmd)
		second(cmd)
	}
}

// withoutNamespaces changes how a command is started: as the user it is started as, in a user
// namespace that no other can be made in. Neither a sandbox nor a store in another place can be
// had there. It returns nil where that cannot be arranged, as where there are no user namespaces.
func withoutNamespaces(a *account) func(*exec.Cmd) {
	change := func(cmd *exec.Cmd) {
		cmd.Args = slices.Concat([]string{
			"unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-euc",
			`echo 0 >/proc/sys/user/max_user_namespaces; exec setpriv --ambient-caps=-all --inh-caps=-all --bounding-set=-all -- "$@"`, "sh",
		}, cmd.Args)
		cmd.Path = "/usr/bin/unshare"
	}
	trial := exec.Command("/bin/sh", "-c", "! unshare --user true 2>/dev/null")
	trial.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential()}
	change(trial)
	if trial.Run() != nil {
		return nil
	}
	return change
}

// asMappedRoot changes how a command is started: the user it is started as is root to it, as in
// a container. It returns nil where there are no user namespaces.
func asMappedRoot(a *account) func(*exec.Cmd) {
	change := func(cmd *exec.Cmd) {
		cmd.Args = slices.Concat([]string{"unshare", "--user", "--map-root-user", "--"}, cmd.Args)
		cmd.Path = "/usr/bin/unshare"
	}
	trial := exec.Command("/bin/true")
	trial.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential()}
	change(trial)
	if trial.Run() != nil {
		return nil
	}
	return change
}

// put writes a file of the user's, and the directories above it.
func (w *world) put(t *testing.T, path, text string) {
	t.Helper()
	w.above(t, path)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	w.user.own(t, path)
}

// link makes a symbolic link of the user's, and the directories above it.
func (w *world) link(t *testing.T, target, path string) {
	t.Helper()
	w.above(t, path)
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	if w.user.switched {
		if err := os.Lchown(path, w.user.uid, w.user.gid); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) above(t *testing.T, path string) {
	t.Helper()
	var missing []string
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		missing = append(missing, dir)
	}
	for _, dir := range slices.Backward(missing) {
		w.mkdir(t, dir)
	}
}
