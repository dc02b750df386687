package run_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bootstrap/internal/fault"
	"bootstrap/internal/run"

	"github.com/google/go-cmp/cmp"
)

// sh returns a command that runs script, with the programs of the host in PATH.
func sh(script string, args ...string) *run.Cmd {
	return &run.Cmd{
		Path: "/bin/sh",
		Args: append([]string{"-c", script, "sh"}, args...),
		Env:  run.BaseEnv("/nonexistent", "/tmp", "/usr/bin:/bin"),
	}
}

func TestEnvironmentIsOnlyWhatWasGiven(t *testing.T) {
	t.Setenv("LEAK", "yes")
	tests := map[string]struct {
		env  run.Env
		want string
	}{
		"nil is empty": {nil, ""},
		"base": {
			run.BaseEnv("/h", "/t", "/p"),
			"HOME=/h\nLC_ALL=C\nPATH=/p\nTMPDIR=/t\nTZ=UTC\n",
		},
		"user and more": {
			run.BaseEnv("/h", "/t", "/p").WithUser("u").With(run.Env{"TZ": "CET"}),
			"HOME=/h\nLC_ALL=C\nLOGNAME=u\nPATH=/p\nTMPDIR=/t\nTZ=CET\nUSER=u\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := (&run.Cmd{Path: "/usr/bin/env", Env: tt.env}).Output(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("environment (-want +got):\n%s", diff)
			}
		})
	}
}

func TestArgumentsArriveUntouched(t *testing.T) {
	args := []string{"a b", "$HOME", "'\"", "", "*", "ü"}
	got, err := sh(`for a; do printf '<%s>' "$a"; done`, args...).Output(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := "<a b><$HOME><'\"><><*><ü>"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStdinIsEmptyUnlessGiven(t *testing.T) {
	c := sh("cat")
	if got, err := c.Output(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("without stdin: got %q, %v", got, err)
	}
	c.Stdin = strings.NewReader("in")
	if got, err := c.Output(t.Context()); err != nil || string(got) != "in" {
		t.Errorf("with stdin: got %q, %v", got, err)
	}
}

func TestArgv0(t *testing.T) {
	c := sh("echo $0")
	c.Args = []string{"-c", "echo $0"}
	c.Argv0 = "ash"
	if got, err := c.Output(t.Context()); err != nil || string(got) != "ash\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestLogGetsBothStreamsAppended(t *testing.T) {
	c := sh(`echo out; echo err >&2; printf 'no end' >&2`)
	c.LogFile = filepath.Join(t.TempDir(), "log")
	var lines []string
	c.OnLine = func(line string) { lines = append(lines, line) }
	for range 2 {
		if err := c.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"err", "no end", "err", "no end"}, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	log, err := os.ReadFile(c.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"out\n", "err\n", "no end"} {
		if n := strings.Count(string(log), s); n != 2 {
			t.Errorf("log holds %q %d times, want 2:\n%s", s, n, log)
		}
	}
}

func TestLogThatCannotBeOpened(t *testing.T) {
	c := sh("true")
	c.LogFile = filepath.Join(t.TempDir(), "no", "log")
	if err := c.Run(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestLogThatCannotBeWritten(t *testing.T) {
	c := sh("echo x")
	c.LogFile = "/dev/full"
	if err := c.Run(t.Context()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want ENOSPC", err)
	}
}

func TestVeryLongLines(t *testing.T) {
	const size = 3 << 20
	c := sh(`head -c "$1" /dev/zero | tr '\0' x >&2; echo >&2; echo short >&2`, strconv.Itoa(size))
	var got []int
	c.OnLine = func(line string) { got = append(got, len(line)) }
	if err := c.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{size, 5}, got); diff != "" {
		t.Errorf("line lengths (-want +got):\n%s", diff)
	}
}

func TestFailures(t *testing.T) {
	notExecutable := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(notExecutable, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		cmd    *run.Cmd
		code   int
		signal syscall.Signal
		tail   []string
		is     error
	}{
		"exit code":      {cmd: sh(`echo why >&2; exit 7`), code: 7, tail: []string{"why"}},
		"signal":         {cmd: sh(`kill -SEGV $$`), code: -1, signal: syscall.SIGSEGV},
		"no such file":   {cmd: &run.Cmd{Path: "/nonexistent/prog"}, code: -1, is: syscall.ENOENT},
		"not executable": {cmd: &run.Cmd{Path: notExecutable}, code: -1, is: syscall.EACCES},
		"no such directory": {
			cmd: &run.Cmd{Path: "/bin/sh", Dir: "/nonexistent"}, code: -1, is: syscall.ENOENT,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.cmd.LogFile = filepath.Join(t.TempDir(), "log")
			err := tt.cmd.Run(t.Context())
			var e *run.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %T %v, want *run.Error", err, err)
			}
			if e.ExitCode != tt.code || e.Signal != tt.signal || e.Argv0 != tt.cmd.Path {
				t.Errorf("got %q code %d signal %v, want code %d signal %v", e.Argv0, e.ExitCode, e.Signal, tt.code, tt.signal)
			}
			if diff := cmp.Diff(tt.tail, e.Tail); diff != "" {
				t.Errorf("tail (-want +got):\n%s", diff)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v is not %v", err, tt.is)
			}
			if got := fault.LogOf(err); got != tt.cmd.LogFile {
				t.Errorf("log: got %q", got)
			}
			if !strings.Contains(err.Error(), strconv.Quote(tt.cmd.Path)) {
				t.Errorf("error does not name the program: %v", err)
			}
		})
	}
}

func TestRelativePathIsRefused(t *testing.T) {
	if err := (&run.Cmd{Path: "true"}).Run(t.Context()); err == nil {
		t.Error("a relative path was run")
	}
}

func TestTailIsTheLastLines(t *testing.T) {
	c := sh(`i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo "@$i" >&2; done; echo noise >&2; exit 1`)
	c.Text = func(line string) (string, bool) { return strings.TrimPrefix(line, "@"), line != "noise" }
	var e *run.Error
	if err := c.Run(t.Context()); !errors.As(err, &e) {
		t.Fatalf("got %v", err)
	}
	var want []string
	for i := 11; i <= 30; i++ {
		want = append(want, strconv.Itoa(i))
	}
	if diff := cmp.Diff(want, e.Tail); diff != "" {
		t.Errorf("tail (-want +got):\n%s", diff)
	}
}

func TestCancelEndsTheWholeTree(t *testing.T) {
	tests := map[string]struct{ script string }{
		"obedient child":         {`sleep 60 & echo $$ $! >"$1"; echo ready >&2; wait`},
		"child ignores SIGTERM":  {`trap '' TERM INT; sleep 60 & echo $$ $! >"$1"; echo ready >&2; while :; do wait; sleep 1; done`},
		"grandchild in session":  {`trap '' TERM; setsid sh -c 'trap "" TERM; echo $$ >"$0"; echo ready >&2; sleep 60; sleep 60' "$1" & while :; do sleep 1; done`},
		"orphan in session":      {`setsid sh -c 'trap "" TERM; echo $$ >"$0"; echo ready >&2; sleep 60; sleep 60' "$1" >/dev/null 2>&1 & while [ ! -s "$1" ]; do :; done; echo ready >&2; wait`},
		"spawner in session":     {`PIDS=$1 setsid sh -c 'while :; do setsid sh -c "echo \$\$ >>\$PIDS; sleep 60" & sleep 0.01; done' >/dev/null 2>&1 & while [ ! -s "$1" ]; do :; done; sleep 0.3; echo ready >&2; wait`},
		"grandchild holds pipes": {`(trap '' TERM; sleep 60) & echo $$ $! >"$1"; echo ready >&2; exec sleep 60`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pids := filepath.Join(t.TempDir(), "pids")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var cancelled time.Time
			c := sh(tt.script, pids)
			c.OnLine = func(line string) {
				if line == "ready" {
					cancelled = time.Now()
					cancel()
				}
			}
			c.Grace = 300 * time.Millisecond
			err := c.Run(ctx)
			if took := time.Since(cancelled); took > 2*time.Second {
				t.Errorf("took %v after the cancellation", took)
			}
			if fault.KindOf(err) != fault.Interrupted || !errors.Is(err, context.Canceled) {
				t.Errorf("got %v (kind %d)", err, fault.KindOf(err))
			}
			for _, pid := range readPIDs(t, pids) {
				waitGone(t, pid)
			}
		})
	}
}

func TestBackgroundGrandchildDoesNotHang(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	c := sh(`sleep 60 & echo $! >"$1"; echo done`, pids)
	c.Grace = 100 * time.Millisecond
	start := time.Now()
	got, err := c.Output(t.Context())
	if err != nil || string(got) != "done\n" {
		t.Errorf("got %q, %v", got, err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	for _, pid := range readPIDs(t, pids) {
		waitGone(t, pid)
	}
}

func TestCancelledBeforeStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	made := filepath.Join(t.TempDir(), "made")
	err := sh(`: >"$1"`, made).Run(ctx)
	if fault.KindOf(err) != fault.Interrupted {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(made); err == nil {
		t.Error("the command ran")
	}
}

func readPIDs(t *testing.T, path string) []int {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, f := range strings.Fields(string(data)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, pid)
	}
	if len(out) == 0 {
		t.Fatal("no pids")
	}
	return out
}

// waitGone fails the test if the process does not end or become a zombie soon.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	for range 100 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("process %d is still there", pid)
}
