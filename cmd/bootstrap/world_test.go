package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// world is what the commands of one script share.
type world struct {
	dir    string // the script's directory
	before map[string]string
	seed   *seed // after mirror

	running *exec.Cmd    // after start
	said    bytes.Buffer // its stderr; complete when it has ended
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// positive refuses a "!" before a command that cannot have one.
func positive(ts *testscript.TestScript, neg bool) {
	if neg {
		ts.Fatalf("this command cannot be negated")
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg)
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	default:
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func snap(ts *testscript.TestScript, neg bool, _ []string) {
	positive(ts, neg)
	w := worldOf(ts)
	w.before = manifest(ts, w.dir)
}

func unchanged(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg)
	w := worldOf(ts)
	if w.before == nil {
		ts.Fatalf("snap comes first")
	}
	before, after := maps.Clone(w.before), manifest(ts, w.dir)
	for _, files := range []map[string]string{before, after} {
		for path := range files {
			for _, skip := range args {
				if skip = ts.MkAbs(skip); path == skip || strings.HasPrefix(path, skip+"/") {
					delete(files, path)
				}
			}
		}
	}
	if diff := cmp.Diff(before, after); diff != "" {
		ts.Fatalf("something was written or lost (-before +after):\n%s", diff)
	}
}

// manifest returns a line for each file below a directory.
func manifest(ts *testscript.TestScript, dir string) map[string]string {
	files := map[string]string{}
	ts.Check(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(data)
			line += " " + hex.EncodeToString(sum[:4])
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + target
		}
		files[path] = line
		return nil
	}))
	return files
}

// hint holds what every refusal must look like: what is wrong in one line, what to do in the next.
func hint(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg)
	text := strings.TrimSuffix(ts.ReadFile("stderr"), "\n")
	_, text, found := strings.Cut("\n"+text, "\nbootstrap: ")
	lines := strings.Split(text, "\n")
	switch {
	case !found || len(lines) < 2 || !strings.HasPrefix(lines[1], "hint: "):
		ts.Fatalf("stderr does not end in a line that says what is wrong and one that says what to do")
	case len(args) > 0 && !regexp.MustCompile(args[0]).MatchString(lines[1]):
		ts.Fatalf("the hint does not match %q", args[0])
	case strings.Contains(text, "goroutine ") || strings.Contains(text, "Usage:"):
		ts.Fatalf("more than a line and a hint")
	}
	for _, line := range lines[2:] {
		if !strings.HasPrefix(line, "hint: ") && !strings.HasPrefix(line, "log: ") {
			ts.Fatalf("a line too many: %q", line)
		}
	}
}

func fields(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg)
	var object map[string]json.RawMessage
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &object))
	if diff := cmp.Diff(slices.Sorted(slices.Values(args[1:])), slices.Sorted(maps.Keys(object))); diff != "" {
		ts.Fatalf("fields (-want +got):\n%s", diff)
	}
}

func asked(ts *testscript.TestScript, neg bool, args []string) {
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	got := worldOf(ts).seed.requests()
	found := false
	for _, r := range got {
		found = found || pattern.MatchString(r)
	}
	if found == neg {
		ts.Fatalf("it was asked for:\n%s", strings.Join(got, "\n"))
	}
}

func forget(ts *testscript.TestScript, neg bool, _ []string) {
	positive(ts, neg)
	worldOf(ts).seed.forget()
}

func await(ts *testscript.TestScript, neg bool, _ []string) {
	positive(ts, neg)
	select {
	case <-worldOf(ts).seed.stalled:
	case <-time.After(time.Minute):
		ts.Fatalf("nothing stalls")
	}
}

// start starts a program that goes on while the script does.
func start(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg)
	w := worldOf(ts)
	program, err := exec.LookPath(args[0])
	ts.Check(err)
	w.running = exec.Command(program, args[1:]...)
	w.running.Env = []string{}
	for _, name := range []string{"HOME", "PATH", "TMPDIR", "LC_ALL", "HTTP_PROXY", "HTTPS_PROXY", "GORACE"} {
		w.running.Env = append(w.running.Env, name+"="+ts.Getenv(name))
	}
	w.running.Dir, w.running.Stdout, w.running.Stderr = w.dir, io.Discard, &w.said
	ts.Check(w.running.Start())
	ts.Defer(func() { _ = w.running.Process.Kill() }) // it is gone already, unless the script failed
}

func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg)
	w := worldOf(ts)
	started := time.Now()
	ts.Check(w.running.Process.Signal(syscall.SIGINT))
	err := w.running.Wait()
	took := time.Since(started)
	_, werr := ts.Stderr().Write(w.said.Bytes())
	ts.Check(werr)
	if got := fmt.Sprint(w.running.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("%v: exit code %s, want %s", err, got, args[0])
	}
	if took > 2*time.Second {
		ts.Fatalf("it took %s to end", took)
	}
}
