package stages

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// That a stage is flushed is seen from the outside: an installation makes the system call once for
// each stage but fetch, all directories being on one file system.
func TestFlushAsksTheKernel(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed")
	}
	if out, err := exec.Command(strace, "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("nothing can be traced here: %s", out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	calls := filepath.Join(scratch(t), "calls")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // each fork of a shell is stopped at
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, strace, "-f", "-e", "trace=syncfs", "-o", calls, self, "-test.run=^TestFlushComesBeforeTheEnd$")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	trace, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	stages := len(newRun(t, options(t, scratch(t))).pipeline()) - 1
	if got := bytes.Count(trace, []byte("syncfs(")); got < stages {
		t.Errorf("%d calls for %d stages:\n%s", got, stages, trace)
	}
}
