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
	once sync.Once
	sink progress.Sink
}

// newView returns bars on a terminal, plain lines where there is none, or JSON for programs.
func newView(m machine, f *installFlags) *view {
	return &view{open: func() progress.Sink {
		if f.json {
			return progress.NewJSON(m.stderr, m.now)
		}
		terminal, _ := isTerminal(m.stderr)
		o := progress.Options{
			Out: m.stderr, Now: m.now, ASCII: !m.utf8(), Verbose: f.verbose,
			Color: terminal && m.getenv("NO_COLOR") == "" && m.getenv("TERM") != "dumb",
			Width: func() int { _, width := isTerminal(m.stderr); return width },
		}
		if terminal && m.getenv("TERM") != "dumb" {
			return progress.NewBars(o)
		}
		return progress.NewLines(o)
	}}
}

// Emit shows an event.
func (v *view) Emit(e event.Event) {
	v.once.Do(func() { v.sink = v.open() })
	v.sink.Emit(e)
}

// Close gives the terminal back, if it was taken; more than once is no error.
func (v *view) Close() error {
	v.once.Do(func() {})
	if v.sink == nil {
		return nil
	}
	sink := v.sink
	v.sink = nil
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
