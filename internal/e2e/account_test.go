//go:build e2e

package e2e_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// account is somebody whom a command runs as.
type account struct {
	name     string
	uid, gid int
	switched bool // it is not who the tests run as
}

// credential returns how a process becomes the account; nil if it need not.
func (a *account) credential() *syscall.Credential {
	if a == nil || !a.switched {
		return nil
	}
	return &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
}

// self returns who the tests run as.
func self(t *testing.T) *account {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return &account{name: u.Username, uid: os.Getuid(), gid: os.Getgid()}
}

const userName = "bootstrap-e2e"

// ordinary returns a user without any rights: who the tests run as, or, as root, one made for them
// and removed in the end.
func ordinary(t *testing.T) *account {
	t.Helper()
	if os.Getuid() != 0 {
		return self(t)
	}
	return made(t, userName)
}

// made returns the user of that name, who is made for the tests and removed in the end.
func made(t *testing.T, name string) *account {
	t.Helper()
	if _, err := user.Lookup(name); err != nil {
		out, err := exec.Command("useradd", "--system", "--user-group", "--no-create-home",
			"--home-dir", "/nonexistent", "--shell", "/bin/sh", name).CombinedOutput()
		if err != nil {
			t.Fatalf("useradd: %v\n%s", err, out)
		}
		t.Cleanup(func() {
			if out, err := exec.Command("userdel", name).CombinedOutput(); err != nil {
				t.Errorf("userdel: %v\n%s", err, out)
			}
		})
	}
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	a := &account{name: name, switched: true}
	if a.uid, err = strconv.Atoi(u.Uid); err != nil {
		t.Fatal(err)
	}
	if a.gid, err = strconv.Atoi(u.Gid); err != nil {
		t.Fatal(err)
	}
	return a
}

// own gives a tree to the account.
func (a *account) own(t *testing.T, root string) {
	t.Helper()
	if !a.switched {
		return
	}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, a.uid, a.gid)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// cannotSandbox changes how a command is started: as root of a user namespace in which there can
// be no further one, and without the right to mount. So is root in most containers, and no build
// of Nix's can be sandboxed. Nothing outside of the process changes.
// Where no user namespace can be made, sandboxes cannot be either, and nothing is to be done.
func cannotSandbox(a *account) func(*exec.Cmd) {
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: a.uid, Size: 1}}
	groups := []syscall.SysProcIDMap{{ContainerID: 0, HostID: a.gid, Size: 1}}
	if a.uid == 0 {
		ids = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1 << 30}}
		groups = ids
	}
	change := func(cmd *exec.Cmd) {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = ids, groups
		cmd.SysProcAttr.GidMappingsEnableSetgroups = a.uid == 0
		script := `echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --bounding-set -sys_admin --inh-caps -sys_admin -- "$@"`
		cmd.Args = append([]string{"sh", "-c", script, "sh"}, cmd.Args...)
		cmd.Path = "/bin/sh"
	}
	trial := exec.Command("true")
	trial.SysProcAttr = &syscall.SysProcAttr{}
	change(trial)
	if trial.Run() == nil {
		return change
	}
	if a.uid != 0 {
		return nil
	}
	return func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", "--"}, cmd.Args...)
		cmd.Path = "/usr/bin/setpriv"
	}
}

// cannotConnect gives a command a network without interfaces. Only root can; nil for others.
func cannotConnect() func(*exec.Cmd) {
	if os.Getuid() != 0 {
		return nil
	}
	trial := exec.Command("true")
	trial.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if trial.Run() != nil {
		return nil
	}
	return func(cmd *exec.Cmd) { cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNET }
}

// processesIn returns the processes that run a program below a directory.
func processesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		exe, _ := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		if strings.HasPrefix(exe, dir+"/") {
			found = append(found, fmt.Sprintf("%d %s", pid, exe))
		}
	}
	return found
}

// descendants returns the processes below one.
func descendants(pid int) []int {
	children := map[int][]int{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		// pid (comm) state ppid; comm may hold anything.
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 {
			if parent, err := strconv.Atoi(fields[1]); err == nil {
				children[parent] = append(children[parent], child)
			}
		}
	}
	found := children[pid]
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found
}
