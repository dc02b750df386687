package probe_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

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
	switch os.Args[1] {
	case "true":
	case "mount-proc":
		err = probe.MountProc()
	case "no-user-namespaces":
		err = noUserNamespaces()
	case "mounted":
		err = mounted(os.Args[2], os.Args[3])
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// noUserNamespaces prints the facts where the limit on user namespaces is 0.
func noUserNamespaces() error {
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		return err
	}
	return printFacts("/no-such-opt/store")
}

// mounted prints the facts of a prefix in a small tmpfs.
func mounted(dir, flag string) error {
	flags := map[string]uintptr{"plain": 0, "noexec": unix.MS_NOEXEC, "ro": unix.MS_RDONLY}[flag]
	if err := unix.Mount("none", dir, "tmpfs", flags, "size=64k,nr_inodes=20,mode=0755"); err != nil {
		return err
	}
	return printFacts(filepath.Join(dir, "opt", "store"))
}

func printFacts(path string) error {
	l, err := prefix.Resolve(prefix.Options{Path: path})
	if err != nil {
		return err
	}
	ctx, cancel := testContext()
	defer cancel()
	return json.NewEncoder(os.Stdout).Encode(probe.Run(ctx, probe.Options{Layout: l}))
}

// inNamespaces runs the test binary as root of a user namespace and returns the facts it prints.
func inNamespaces(t *testing.T, args ...string) probe.Facts {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	run := func(args ...string) ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), exe, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:   syscall.CLONE_NEWUSER,
			Unshareflags: syscall.CLONE_NEWNS,
			UidMappings:  []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
			GidMappings:  []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		}
		cmd.Env = append(os.Environ(), quickEnd)
		cmd.Stderr = os.Stderr
		return cmd.Output()
	}
	if _, err := run("true"); err != nil {
		t.Skipf("no user namespaces here: %v", err)
	}
	out, err := run(args...)
	must(t, err)
	var f probe.Facts
	must(t, json.Unmarshal(out, &f))
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func resolve(t *testing.T, path string) prefix.Layout {
	t.Helper()
	l, err := prefix.Resolve(prefix.Options{Path: path})
	must(t, err)
	return l
}

// shortTemp returns a temporary directory whose name leaves room for a prefix.
func shortTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "p")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	dir, err = filepath.EvalSymlinks(dir)
	must(t, err)
	return dir
}

func TestRunDescribesThisHost(t *testing.T) {
	dir := shortTemp(t)
	f := probe.Run(t.Context(), probe.Options{
		Layout:   resolve(t, filepath.Join(dir, "a", "store")),
		CacheDir: dir,
		Terminal: probe.Terminal{Input: true, Width: 80},
		Nix:      filepath.Join(dir, "nix"),
	})
	if f.GOARCH != runtime.GOARCH || f.CPUs != runtime.NumCPU() || f.UID != os.Geteuid() || f.OtherNix || !f.Terminal.Input {
		t.Errorf("facts = %+v", f)
	}
	if f.Kernel.Version == "" || !strings.HasPrefix(f.Kernel.Release, strings.SplitN(f.Kernel.Version, ".", 2)[0]) {
		t.Errorf("kernel = %+v", f.Kernel)
	}
	if f.Memory.Total < 1<<20 || f.Memory.Available > f.Memory.Total {
		t.Errorf("memory = %+v", f.Memory)
	}
	if len(f.Places) != 6 {
		t.Fatalf("%d places", len(f.Places))
	}
	for _, p := range f.Places {
		if p.Ancestor != dir || !p.Writable || p.ReadOnly || p.FileSystem == "" || p.Device == 0 {
			t.Errorf("place = %+v", p)
		}
		if p.Exists != (p.Noun == "cache") {
			t.Errorf("%s exists: %v", p.Noun, p.Exists)
		}
	}
	if got := f.Refusals(probe.Need{Bytes: 1, Kernel: ">= 2.6"}); len(got) != 0 {
		t.Errorf("refusals: %v", got)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("the probe wrote: %v %v", entries, err)
	}
}

func TestOccupied(t *testing.T) {
	tests := []struct {
		name  string
		files []string // those that end in a slash are directories
		want  probe.Occupancy
	}{
		{"nothing", nil, probe.Empty},
		{"an empty store", []string{"store/"}, probe.Empty},
		{"a fresh file system", []string{"store/lost+found/"}, probe.Empty},
		{"a file in the store", []string{"store/x"}, probe.Foreign},
		{"a database without a store", []string{"var/nix/db/"}, probe.Foreign},
		{"a receipt", []string{"store/x", "var/bootstrap/receipt.json"}, probe.Ours},
		{"a journal", []string{"store/x", "var/nix/db/", "var/bootstrap/journal.jsonl"}, probe.Ours},
		{"a directory called like a receipt", []string{"store/x", "var/bootstrap/receipt.json/"}, probe.Foreign},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := shortTemp(t)
			for _, name := range tt.files {
				path := filepath.Join(dir, name)
				if strings.HasSuffix(name, "/") {
					must(t, os.MkdirAll(path, 0o755))
					continue
				}
				must(t, os.MkdirAll(filepath.Dir(path), 0o755))
				must(t, os.WriteFile(path, nil, 0o644))
			}
			f := probe.Run(t.Context(), probe.Options{Layout: resolve(t, dir)})
			if f.Occupied != tt.want {
				t.Errorf("occupied = %q, want %q", f.Occupied, tt.want)
			}
			refused := false
			for _, r := range f.Refusals(probe.Need{}) {
				refused = refused || strings.Contains(r.Error(), "did not install")
			}
			if refused != (tt.want == probe.Foreign) {
				t.Errorf("refused: %v", refused)
			}
		})
	}
}

func TestNamespacesAreWhatAProgramGets(t *testing.T) {
	exe, err := os.Executable()
	must(t, err)
	got := probe.Run(t.Context(), probe.Options{Layout: resolve(t, "/no-such-opt"), ProcProbe: []string{exe, "mount-proc"}}).Namespaces
	run := func(arg string, uid int) error {
		cmd := exec.CommandContext(t.Context(), exe, arg)
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:   syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID,
			Unshareflags: syscall.CLONE_NEWNS,
			UidMappings:  []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Geteuid(), Size: 1}},
			GidMappings:  []syscall.SysProcIDMap{{ContainerID: 100, HostID: os.Getegid(), Size: 1}},
		}
		cmd.Env = append(os.Environ(), quickEnd)
		return cmd.Run()
	}
	if works := run("true", 1000) == nil; got.User != works {
		t.Errorf("user namespaces: %+v, but trying with a program says %v", got, works)
	}
	if !got.User {
		if got.Reason == "" {
			t.Error("no reason")
		}
		return
	}
	if works := run("mount-proc", 0) == nil; !got.ProcTried || got.Sandbox() != works {
		t.Errorf("namespaces: %+v, but mounting /proc says %v", got, works)
	}
}

func TestNamespacesThatAreForbidden(t *testing.T) {
	f := inNamespaces(t, "no-user-namespaces")
	if n := f.Namespaces; n.User || !strings.Contains(n.Reason, "no space left") {
		t.Errorf("namespaces = %+v", n)
	}
	if !f.Root || !f.Namespaces.Work {
		t.Errorf("root of a container can still make mount namespaces: %+v", f.Namespaces)
	}
}

func TestAProcProbeThatFailsIsReported(t *testing.T) {
	exe, err := os.Executable()
	must(t, err)
	n := probe.Run(t.Context(), probe.Options{Layout: resolve(t, "/no-such-opt"), ProcProbe: []string{exe, "mounted", "/no-such-dir", "plain"}}).Namespaces
	if !n.Work {
		t.Skip("no namespaces here")
	}
	if n.Proc || !n.ProcTried || n.Sandbox() || !strings.Contains(n.Reason, "no such file") {
		t.Errorf("namespaces = %+v", n)
	}
}

func TestMountProcRefusesOutsideANamespace(t *testing.T) {
	if err := probe.MountProc(); err == nil {
		t.Error("no error")
	}
}

func TestSmallFileSystems(t *testing.T) {
	tests := []struct {
		flag string
		need probe.Need
		want []string
	}{
		{"plain", probe.Need{Bytes: 1024, Inodes: 1}, nil},
		{"plain", probe.Need{Bytes: 1 << 20}, []string{"too little disk: 1.0 MiB needed, 64.0 KiB free, 960.0 KiB missing"}},
		{"plain", probe.Need{Inodes: 1000}, []string{"too few inodes: 1000 needed, 19 free, 981 missing"}},
		{"noexec", probe.Need{}, []string{"mounted noexec"}},
		{"ro", probe.Need{}, []string{"mounted read-only"}},
	}
	for _, tt := range tests {
		t.Run(tt.flag+fmt.Sprint(tt.need.Bytes, tt.need.Inodes), func(t *testing.T) {
			f := inNamespaces(t, "mounted", shortTemp(t), tt.flag)
			if p, _ := f.Place("store"); p.FileSystem != "tmpfs" || p.Remote {
				t.Errorf("file system %q, remote %v", p.FileSystem, p.Remote)
			}
			checkRefusals(t, f.Refusals(tt.need), tt.want)
		})
	}
}

func TestADirectoryOfSomebodyElse(t *testing.T) {
	dir := shortTemp(t)
	must(t, os.Chmod(dir, 0o555))
	layout := resolve(t, filepath.Join(dir, "store"))
	var f probe.Facts
	asNobody(t, func() { f = probe.Run(t.Context(), probe.Options{Layout: layout}) })
	checkRefusals(t, f.Refusals(probe.Need{}), []string{"cannot be created in " + fmt.Sprintf("%q", dir) + ": permission denied"})
}

// asNobody calls f in a thread that is not root, for a root of the file system can write anywhere.
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
		const nobody = 65534
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
			t.Error(errno)
			return
		}
		f()
	}()
	<-done
}

func TestAFileInTheWay(t *testing.T) {
	dir := shortTemp(t)
	layout := resolve(t, filepath.Join(dir, "file"))
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	f := probe.Run(t.Context(), probe.Options{Layout: layout})
	checkRefusals(t, f.Refusals(probe.Need{}), []string{"is not a directory"})
}

func TestAProcFileSystemHoldsNoStore(t *testing.T) {
	f := probe.Run(t.Context(), probe.Options{Layout: resolve(t, "/proc/sys")})
	got := f.Refusals(probe.Need{})
	if len(got) == 0 {
		t.Error("not refused")
	}
}
