package main

import (
	"errors"
	"os"
	"sync"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/progress"
	"bootstrap/internal/prompt"
	"bootstrap/internal/shellrc"
)

// view is what a person or a program sees of the events. It takes the terminal at the first one,
// so that a plan and a question can stand before it.
type view struct {
	open func() progress.Sink

	mu     sync.Mutex
	sink   progress.Sink // nil before the first event
	closed bool
}

// viewOptions say how events are shown.
type viewOptions struct {
	json    bool
	verbose bool // show the output of builds
}

// newView returns bars on a terminal, plain lines where there is none, or JSON for programs.
func newView(m machine, v viewOptions) *view {
	return &view{open: func() progress.Sink {
		if v.json {
			return progress.NewJSON(m.stderr, m.now)
		}
		terminal, _ := isTerminal(m.stderr)
		o := progress.Options{
			Out: m.stderr, Now: m.now, ASCII: !m.utf8(), Verbose: v.verbose,
			Color: terminal && m.getenv("NO_COLOR") == "" && m.getenv("TERM") != "dumb",
			Width: func() int { _, width := isTerminal(m.stderr); return width },
		}
		if terminal && m.getenv("TERM") != "dumb" {
			return progress.NewBars(o)
		}
		return progress.NewLines(o)
	}}
}

// Emit shows an event. After Close it still does, without taking the terminal.
func (v *view) Emit(e event.Event) {
	v.mu.Lock()
	if v.sink == nil && !v.closed {
		v.sink = v.open()
	}
	sink := v.sink
	v.mu.Unlock()
	if sink != nil {
		sink.Emit(e)
	}
}

// Close gives the terminal back, if it was taken; more than once is no error.
func (v *view) Close() error {
	v.mu.Lock()
	sink, before := v.sink, v.closed
	v.closed = true
	v.mu.Unlock()
	if sink == nil || before {
		return nil
	}
	return sink.Close()
}

// questioner returns the terminal to ask on: standard input, or the one the process was started
// from where a script is on standard input (curl … | sh).
func (m machine) questioner() (*os.File, func(), error) {
	input, _ := isTerminal(m.stdin)
	output, _ := isTerminal(m.stderr)
	session := prompt.Session{StdinTTY: input, StderrTTY: output, CI: m.getenv("CI") != ""}
	nothing := func() {}
	if prompt.Allowed(session) {
		return m.stdin, nothing, nil
	}
	if session.StderrTTY && !session.CI && !input {
		if tty, err := prompt.OpenTTY(); err == nil {
			return tty, func() { tty.Close() }, nil
		}
	}
	return nil, nothing, fault.New(fault.Usage,
		errors.New("there is nobody to ask: standard input or standard error is no terminal, or CI is set"),
		"--yes goes on without a question, --dry-run prints the plan alone")
}

// quoted returns a path as a word of a shell, as it is where it needs no quotes.
func quoted(path string) string {
	for _, c := range path {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '/' || c == '.' || c == '_' || c == '-' || c == '+' || c == '@':
		default:
			return shellrc.QuotePOSIX(path)
		}
	}
	return path
}
