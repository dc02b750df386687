// Package prompt asks the person at the terminal. It is the only importer of promptui.
//
// promptui draws on whatever it is given and reads more than it needs, so this package stands
// between it and the terminal: it refuses what is no terminal, reads one byte at a time,
// knows the keys, and gives the terminal back as it was. Whether to ask at all is decided by
// [Allowed]; every answer has a flag, and that is for package main.
package prompt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"unicode"

	"bootstrap/internal/fault"

	"github.com/manifoldco/promptui"
	"github.com/mattn/go-runewidth"
)

// Session is what decides whether anybody is there to be asked.
type Session struct {
	StdinTTY  bool // standard input is a terminal, or [OpenTTY] found one
	StderrTTY bool // standard error is a terminal
	Yes       bool // the person has said yes to everything
	CI        bool // the variable CI is set
}

// Allowed tells whether a question may be asked.
func Allowed(s Session) bool {
	return s.StdinTTY && s.StderrTTY && !s.Yes && !s.CI
}

// Options are a question.
type Options struct {
	Label   string   // the question, in one line
	Items   []string // the answers, at least one, each in one line
	Default string   // the answer the cursor is on at first; the first one if empty

	In  *os.File // the terminal to read from
	Out *os.File // the terminal to draw on; may be the same as In

	ASCII bool // draw in ASCII alone
	Dumb  bool // the terminal knows no escape sequences (TERM=dumb): ask for a line instead
}

// Select asks, and returns one of the items. The arrows move, enter takes, and the first letter
// of an item takes it at once, if no other item begins with it.
//
// Ctrl-C, Ctrl-D, a terminal that is gone, and the end of ctx give an error of kind
// [fault.Interrupted]. What was typed ahead is left for the next question. The terminal is as it was
// when Select returns. There can be one question at a time in a process: promptui has globals.
func Select(ctx context.Context, o Options) (string, error) {
	pos, err := o.check()
	if err != nil {
		return "", fmt.Errorf("prompt %q: %w", o.Label, err)
	}
	keys, err := newKeys(ctx, &o, pos)
	if err != nil {
		return "", fmt.Errorf("prompt %q: %w", o.Label, err)
	}
	defer keys.close()
	if o.Dumb {
		return o.ask(ctx, keys)
	}
	restore, err := makeRaw(o.In)
	if err != nil {
		return "", fmt.Errorf("prompt %q: %w", o.Label, err)
	}
	defer restore()
	return o.choose(ctx, keys, pos)
}

// Confirm asks yes or no. o.Items is not used; o.Default is "no" if empty.
func Confirm(ctx context.Context, o Options) (bool, error) {
	o.Items = []string{"yes", "no"}
	if o.Default == "" {
		o.Default = "no"
	}
	answer, err := Select(ctx, o)
	return answer == "yes", err
}

// check returns where the cursor starts.
func (o *Options) check() (int, error) {
	if o.In == nil || o.Out == nil {
		return 0, errors.New("no terminal given")
	}
	if len(o.Items) == 0 {
		return 0, errors.New("no items")
	}
	if o.Default == "" {
		return 0, nil
	}
	pos := slices.Index(o.Items, o.Default)
	if pos < 0 {
		return 0, fmt.Errorf("default %q is not an item", o.Default)
	}
	return pos, nil
}

func (o *Options) choose(ctx context.Context, keys *keys, pos int) (string, error) {
	width := columns(o.Out)
	items := make([]string, len(o.Items))
	for i, item := range o.Items {
		items[i] = fit(item, width-6)
	}
	screen := &screen{out: o.Out}
	s := promptui.Select{
		Label:        fit(o.Label, width-4),
		Items:        items,
		Size:         len(items),
		CursorPos:    pos,
		HideHelp:     true,
		HideSelected: true,
		Templates:    o.templates(),
		Stdin:        keys,
		Stdout:       screen,
	}
	i, _, err := s.Run()
	screen.stop()
	if err != nil {
		return "", o.interrupted(ctx, keys)
	}
	mark := "✔"
	if o.ASCII {
		mark = "*"
	}
	_, err = fmt.Fprintf(o.Out, "%s %s\n", mark, fit(o.Label+" "+o.Items[i], width-3))
	return o.Items[i], err
}

func (o *Options) templates() *promptui.SelectTemplates {
	if o.ASCII {
		return &promptui.SelectTemplates{Label: "? {{ . }}", Active: "> {{ . }}", Inactive: "  {{ . }}"}
	}
	return &promptui.SelectTemplates{
		Label:    `{{ "?" | blue }} {{ . | bold }}`,
		Active:   `{{ "▸" | bold }} {{ . | underline }}`,
		Inactive: "  {{ . }}",
	}
}

func (o *Options) interrupted(ctx context.Context, keys *keys) error {
	cause := keys.err
	if ctx.Err() != nil {
		cause = ctx.Err()
	}
	return fault.New(fault.Interrupted, fmt.Errorf("prompt %q: %w", o.Label, cause), "")
}

// fit returns s in one line of at most width columns: promptui counts a line as one row,
// whatever the terminal makes of it.
func fit(s string, width int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return runewidth.Truncate(s, max(width, 1), "…")
}

// screen is the terminal as promptui writes to it. After stop it takes nothing more:
// a goroutine of promptui's may still redraw its empty line, over what others print by then.
type screen struct {
	mu      sync.Mutex
	out     *os.File
	stopped bool
}

// Write drops the bell promptui rings at every arrow key.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return len(p), nil
	}
	quiet := slices.DeleteFunc(slices.Clone(p), func(b byte) bool { return b == '\a' })
	if _, err := s.out.Write(quiet); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close leaves the terminal open; it is the caller's.
func (s *screen) Close() error { return nil }

func (s *screen) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
}
