package run

import (
	"fmt"
	"strings"
	"syscall"
)

// Error is the end of a child that did not end well, or did not start.
type Error struct {
	Argv0    string         // absolute path of the program
	ExitCode int            // -1 if it did not exit by itself
	Signal   syscall.Signal // what killed it; 0 if nothing did
	Tail     []string       // the last lines it printed
	Err      error          // the cause as the system gave it
}

// Error returns the cause on the first line and the last lines of output below it.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "run %q: %v", e.Argv0, e.Err)
	for _, line := range e.Tail {
		b.WriteString("\n  ")
		b.WriteString(line)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
