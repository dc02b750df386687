package holder_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bootstrap/internal/fault"
	"bootstrap/internal/holder"
)

// childVariable makes the test binary a process that takes the lock it names.
const childVariable = "HOLDER_TEST_LOCK"

func TestMain(m *testing.M) {
	if path := os.Getenv(childVariable); path != "" {
		child(path)
		return
	}
	os.Exit(m.Run())
}

// child takes the lock when it is told to and keeps it until its standard input ends.
func child(path string) {
	in := bufio.NewReader(os.Stdin)
	fmt.Println("ready")
	in.ReadString('\n')
	l, err := holder.Acquire(context.Background(), options(path))
	switch {
	case fault.KindOf(err) == fault.Locked:
		fmt.Println("locked")
	case err != nil:
		fmt.Println("error", err)
	default:
		fmt.Println("won")
		in.ReadString('\n')
		l.Release()
	}
}

func options(path string) holder.Options {
	return holder.Options{Path: path, Prefix: "/opt/store", Command: "bootstrap --prefix /opt", Now: time.Now}
}

// process is a child that has been started.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func start(t *testing.T, path string) *process {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	p := &process{cmd: exec.Command(exe)}
	// Programs built with -race otherwise sleep for a second before they end.
	p.cmd.Env = append(os.Environ(), childVariable+"="+path, "GORACE=atexit_sleep_ms=0")
	p.in, err = p.cmd.StdinPipe()
	must(t, err)
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	p.out = bufio.NewScanner(out)
	must(t, p.cmd.Start())
	t.Cleanup(func() {
		p.in.Close()
		p.cmd.Process.Kill()
		p.cmd.Wait()
	})
	if got := p.line(); got != "ready" {
		t.Fatalf("child said %q", got)
	}
	return p
}

func (p *process) line() string {
	p.out.Scan()
	return p.out.Text()
}

// take makes the child try for the lock and returns what came of it.
func (p *process) take() string {
	io.WriteString(p.in, "\n")
	return p.line()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func lockFile(t *testing.T) string { return filepath.Join(t.TempDir(), "lock") }

func acquire(t *testing.T, o holder.Options) (*holder.Lock, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	l, err := holder.Acquire(ctx, o)
	if err == nil {
		t.Cleanup(func() { l.Release() })
	}
	return l, err
}

// me returns the owner that this process writes into a lock.
func me(t *testing.T) holder.Owner {
	t.Helper()
	path := lockFile(t)
	l, err := acquire(t, options(path))
	must(t, err)
	data, err := os.ReadFile(path)
	must(t, err)
	must(t, l.Release())
	var o holder.Owner
	must(t, json.Unmarshal(data, &o))
	return o
}

func leave(t *testing.T, path string, o holder.Owner) {
	t.Helper()
	data, err := json.Marshal(o)
	must(t, err)
	must(t, os.WriteFile(path, data, 0o644))
}

func TestAcquireNamesItsOwnerAndReleaseLeavesNothing(t *testing.T) {
	path := lockFile(t)
	l, err := acquire(t, options(path))
	must(t, err)
	if l.Note != "" {
		t.Errorf("note = %q", l.Note)
	}
	data, err := os.ReadFile(path)
	must(t, err)
	var o holder.Owner
	must(t, json.Unmarshal(data, &o))
	if o.PID != os.Getpid() || o.Start == 0 || o.Command != "bootstrap --prefix /opt" || o.Since.IsZero() {
		t.Errorf("owner = %+v", o)
	}
	must(t, l.Release())
	entries, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	if len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
	if _, err := acquire(t, options(path)); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestReleaseOfARemovedPrefix(t *testing.T) {
	path := lockFile(t)
	l, err := acquire(t, options(path))
	must(t, err)
	must(t, os.Remove(path))
	must(t, l.Release())
}

func TestALivingOwnerKeepsOthersOut(t *testing.T) {
	path := lockFile(t)
	p := start(t, path)
	if got := p.take(); got != "won" {
		t.Fatalf("child said %q", got)
	}
	o := options(path)
	o.Now = func() time.Time { return time.Now().Add(200 * time.Second) }
	_, err := acquire(t, o)
	pid := strconv.Itoa(p.cmd.Process.Pid)
	checkLocked(t, err, []string{"pid " + pid, "on this host", "for 3m2", "bootstrap --prefix /opt", "/opt/store"}, "kill "+pid)

	p.in.Close()
	must(t, p.cmd.Wait())
	l, err := acquire(t, options(path))
	must(t, err)
	if l.Note != "" {
		t.Errorf("note after a proper end = %q", l.Note)
	}
}

func checkLocked(t *testing.T, err error, want []string, hint string) {
	t.Helper()
	if fault.KindOf(err) != fault.Locked || err == nil {
		t.Fatalf("error = %v, want a fault.Locked", err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error = %q, want %q in it", err, w)
		}
	}
	if got := fault.HintOf(err); !strings.Contains(got, hint) {
		t.Errorf("hint = %q, want %q in it", got, hint)
	}
}

func TestAKilledOwnerIsTakenOver(t *testing.T) {
	path := lockFile(t)
	p := start(t, path)
	if got := p.take(); got != "won" {
		t.Fatalf("child said %q", got)
	}
	must(t, p.cmd.Process.Kill())
	// It ends, and stays a zombie because nobody takes note of it.
	must(t, unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil))
	l, err := acquire(t, options(path))
	must(t, err)
	if want := fmt.Sprintf("pid %d", p.cmd.Process.Pid); !strings.Contains(l.Note, want) {
		t.Errorf("note = %q, want %q in it", l.Note, want)
	}
}

func TestTheSameProcessIsKeptOutToo(t *testing.T) {
	path := lockFile(t)
	_, err := acquire(t, options(path))
	must(t, err)
	_, err = acquire(t, options(path))
	checkLocked(t, err, []string{fmt.Sprintf("pid %d", os.Getpid())}, "kill")
}

func TestJudgement(t *testing.T) {
	self := me(t)
	// The machine is described by files, so that the test does not depend on this one having an identity.
	dir := t.TempDir()
	machine := filepath.Join(dir, "machine-id")
	must(t, os.WriteFile(machine, []byte("0123\n"), 0o644))
	system := holder.System{Hostname: "here", MachineID: machine}
	self.Host, self.Machine, self.Flock = "here", "0123", true

	tests := []struct {
		name  string
		edit  func(*holder.Owner)
		taken bool
		want  string // in the message, where it is not taken
	}{
		{"this very process", func(*holder.Owner) {}, false, "on this host"},
		{"its PID, used again", func(o *holder.Owner) { o.Start-- }, true, ""},
		{"a PID that is not there", func(o *holder.Owner) { o.PID = 1 << 30 }, true, ""},
		{"another host", func(o *holder.Owner) { o.Host, o.Machine, o.Boot = "there", "4567", "x" }, false, `on host "there"`},
		{"another host, with no such PID here", func(o *holder.Owner) { o.Host, o.Machine, o.Boot, o.PID = "there", "4567", "x", 1<<30 }, false, `on host "there"`},
		{"another host of the same name", func(o *holder.Owner) { o.Machine, o.Boot = "4567", "x" }, false, `on host "here"`},
		{"this machine before it was started again", func(o *holder.Owner) { o.Boot = "x" }, true, ""},
		{"another container, dead", func(o *holder.Owner) { o.PIDNamespace = "pid:[1]" }, true, ""},
		{"another container, on a file system without flock", func(o *holder.Owner) { o.PIDNamespace, o.Flock = "pid:[1]", false }, false, "pid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if self.Boot == "" && strings.Contains(tt.name, "container") {
				t.Skip("this kernel has no boot_id")
			}
			owner := self
			tt.edit(&owner)
			path := lockFile(t)
			leave(t, path, owner)
			o := options(path)
			o.System = system
			l, err := acquire(t, o)
			if tt.taken {
				must(t, err)
				if l.Note == "" {
					t.Error("taken over without a note")
				}
				return
			}
			checkLocked(t, err, []string{tt.want}, "")
			if _, err := os.Stat(path); err != nil {
				t.Errorf("the lock of somebody else: %v", err)
			}
		})
	}
}

func TestADamagedLockIsTakenOver(t *testing.T) {
	for _, text := range []string{"", "{", "{}", "\x00\x00"} {
		path := lockFile(t)
		must(t, os.WriteFile(path, []byte(text), 0o644))
		l, err := acquire(t, options(path))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if l.Note == "" {
			t.Errorf("%q: no note", text)
		}
	}
}

func TestAcquireStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := lockFile(t)
	if _, err := holder.Acquire(ctx, options(path)); err == nil {
		t.Fatal("no error")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a lock was left behind")
	}
}

func TestAcquireInADirectoryThatIsNotThere(t *testing.T) {
	_, err := acquire(t, options(filepath.Join(t.TempDir(), "none", "lock")))
	if err == nil || fault.KindOf(err) == fault.Locked {
		t.Errorf("error = %v", err)
	}
}
