package stages

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"bootstrap/internal/fault"
	"bootstrap/internal/run"
)

func TestExhausted(t *testing.T) {
	said := func(lines ...string) error {
		return fmt.Errorf("stage x: %w", &run.Error{Argv0: "/bin/x", ExitCode: 1, Err: errors.New("exit status 1"), Tail: lines})
	}
	for name, tt := range map[string]struct {
		err         error
		quota, full bool
	}{
		"nothing":               {nil, false, false},
		"another error":         {fs.ErrPermission, false, false},
		"a full disk":           {&fs.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}, false, true},
		"a quota":               {&fs.PathError{Op: "write", Path: "/x", Err: syscall.EDQUOT}, true, true},
		"a compiler":            {said("cc1plus: fatal error: /x: No space left on device", "compilation terminated."), false, true},
		"a child and a quota":   {said("error: writing to file: Disk quota exceeded"), true, true},
		"SQLite":                {said("error: executing SQLite statement: database or disk is full"), false, true},
		"no more namespaces":    {said("error: cloning builder process: No space left on device"), false, false},
		"a build that is wrong": {said("main.cc:1: error: expected ';'"), false, false},
	} {
		if quota, full := exhausted(tt.err); quota != tt.quota || full != tt.full {
			t.Errorf("%s: quota %v, full %v", name, quota, full)
		}
	}
}

func TestOutOf(t *testing.T) {
	r := newRun(t, options(t, scratch(t)))
	full := fmt.Errorf("stage x: %w", syscall.EDQUOT)
	err := r.outOf(full)
	if fault.KindOf(err) != fault.Unfit || !strings.Contains(fault.HintOf(err), "of your quota") || !strings.Contains(fault.HintOf(err), "run the same command again") {
		t.Errorf("kind %d, hint %q", fault.KindOf(err), fault.HintOf(err))
	}
	err = r.outOf(fmt.Errorf("stage x: %w", syscall.ENOSPC))
	if hint := fault.HintOf(err); !strings.Contains(hint, "free ") || !strings.Contains(hint, " on the file system of ") {
		t.Errorf("hint %q", hint)
	}
	for _, other := range []error{fs.ErrPermission, fault.New(fault.Interrupted, full, "go on")} {
		if got := r.outOf(other); got != other {
			t.Errorf("%v became %v", other, got)
		}
	}
}
