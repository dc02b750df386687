package doctor_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"bootstrap/internal/doctor"
	"bootstrap/internal/prefix"
	"bootstrap/internal/probe"
)

// quickEnd keeps programs built with -race from sleeping for a second before they end.
const quickEnd = "GORACE=atexit_sleep_ms=0"

// TestMain makes the test binary several programs, by its first argument.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 {
		os.Exit(m.Run())
	}
	var err error
	switch args := os.Args[2:]; os.Args[1] {
	case "true":
	case "try":
		err = doctor.Serve(args, os.Stdin, os.Stdout)
	case "without-seccomp":
		if err = forbidFilters(); err == nil {
			err = doctor.Serve(args, os.Stdin, os.Stdout)
		}
	case "hang":
		time.Sleep(time.Hour)
	case "lax": // locks that keep nobody out
		if args[0] == "hold" {
			err = doctor.Serve(args, os.Stdin, os.Stdout)
		} else {
			fmt.Print("flock free\nfcntl free\n")
		}
	case "lockless":
		err = fmt.Errorf("flock: %w", unix.ENOLCK)
	case "on-mount":
		err = onMount(args[0], args[1], args[2])
	case "limited":
		err = limited(args[0])
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// forbidFilters has the kernel refuse every further filter for system calls.
func forbidFilters() error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	const equal, load = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	program := []unix.SockFilter{
		{Code: load, K: 0}, // struct seccomp_data: the number of the call, …
		{Code: equal, K: unix.SYS_PRCTL, Jf: 3},
		{Code: load, K: 16}, // … its first argument
		{Code: equal, K: unix.PR_SET_SECCOMP, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x00050000 | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x7fff0000},
	}
	loaded := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&loaded)), 0, 0)
}

// onMount prints what Look and Try come to in a file system that is mounted for them.
func onMount(dir, flag, data string) error {
	flags := map[string]uintptr{"plain": 0, "noexec": unix.MS_NOEXEC, "ro": unix.MS_RDONLY}[flag]
	if err := unix.Mount("none", dir, "tmpfs", flags, data); err != nil {
		return err
	}
	return printChecks(filepath.Join(dir, "opt"), dir)
}

// limited prints them where no file may be larger than 1 MiB.
func limited(dir string) error {
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}); err != nil {
		return err
	}
	return printChecks(dir, dir)
}

func printChecks(path, tmp string) error {
	o, err := options(path, tmp)
	if err != nil {
		return err
	}
	ctx, cancel := testContext()
	defer cancel()
	checks := append(doctor.Look(ctx, o), doctor.Try(ctx, o)...)
	return json.NewEncoder(os.Stdout).Encode(checks)
}

// options examines the real host for a prefix.
func options(path, tmp string) (doctor.Options, error) {
	l, err := prefix.Resolve(prefix.Options{Path: path})
	if err != nil {
		return doctor.Options{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return doctor.Options{}, err
	}
	ctx, cancel := testContext()
	defer cancel()
	return doctor.Options{
		Layout: l, Facts: probe.Run(ctx, probe.Options{Layout: l}), Self: []string{self, "try"},
		Getenv: env(map[string]string{"TMPDIR": tmp, "HOME": tmp}),
	}, nil
}

func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

// here returns options for a prefix in an empty directory.
func here(t *testing.T) (string, doctor.Options) {
	t.Helper()
	dir := shortTemp(t)
	o, err := options(filepath.Join(dir, "opt"), dir)
	must(t, err)
	return dir, o
}

// named returns the one check of that name.
func named(t *testing.T, checks []doctor.Check, name string) doctor.Check {
	t.Helper()
	var found []doctor.Check
	for _, c := range checks {
		if c.Name == name {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d checks are called %q in %+v", len(found), name, checks)
	}
	return found[0]
}

// child runs the test binary and returns the checks it prints.
func child(t *testing.T, attributes *syscall.SysProcAttr, args ...string) []doctor.Check {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.SysProcAttr, cmd.Env, cmd.Stderr = attributes, append(os.Environ(), quickEnd), os.Stderr
	out, err := cmd.Output()
	must(t, err)
	var checks []doctor.Check
	must(t, json.Unmarshal(out, &checks))
	return checks
}

// inNamespaces does so as root of a user namespace, with mounts of its own.
func inNamespaces(t *testing.T, args ...string) []doctor.Check {
	t.Helper()
	attributes := func() *syscall.SysProcAttr {
		return &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWUSER, Unshareflags: syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		}
	}
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self, "true")
	cmd.SysProcAttr, cmd.Env = attributes(), append(os.Environ(), quickEnd)
	if err := cmd.Run(); err != nil {
		t.Skipf("no user namespaces here: %v", err)
	}
	return child(t, attributes(), args...)
}

// asNobody calls f in a thread that is not root, for root can write anywhere.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			t.Error(errno)
			return
		}
		f()
	}()
	<-done
}
