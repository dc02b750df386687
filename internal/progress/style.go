package progress

import (
	"bootstrap/internal/event"

	"github.com/mattn/go-runewidth"
)

// The colours, as SGR parameters (ECMA-48, 5th edition, 8.3.117).
const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

// stopped is how a stage ends that nobody ended.
const stopped event.Kind = "stopped"

// style is how things look.
type style struct {
	ascii bool
	color bool
}

// mark returns the sign of how a stage ended, one column wide.
func (st style) mark(kind event.Kind) string {
	pick := func(utf8, ascii string) string {
		if st.ascii {
			return ascii
		}
		return utf8
	}
	switch kind {
	case event.Done:
		return st.paint(green, pick("✓", "+"))
	case event.Fail:
		return st.paint(red, pick("✗", "x"))
	case event.Skip:
		return "="
	case event.Start:
		return ">"
	case event.Progress:
		return pick("…", ".")
	}
	return "-"
}

func (st style) paint(color, s string) string {
	if !st.color {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}

// truncate returns s, which has no colours, in at most width columns.
func (st style) truncate(s string, width int) string {
	tail := "…"
	if st.ascii {
		tail = "~"
	}
	return runewidth.Truncate(s, max(width, 0), tail)
}
