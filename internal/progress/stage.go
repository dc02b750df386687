package progress

import (
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"bootstrap/internal/event"

	"github.com/mattn/go-runewidth"
)

// nameColumns is the width of the column of stage names.
const nameColumns = 9

// stage is what is known of a stage that runs, or has just ended.
type stage struct {
	name  string
	start time.Time

	mu          sync.Mutex
	unit        event.Unit
	done, total int64
	text        string // what is at hand, where that is worth a word
	meter       meter
	ended       bool
}

func newStage(name string, start time.Time) *stage {
	return &stage{name: name, start: start}
}

func (s *stage) progress(e event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Unit != s.unit || e.Total != s.total && e.Done < s.done {
		window := otherWindow
		if e.Unit == event.Bytes {
			window = bytesWindow
		}
		s.meter = meter{window: window}
	}
	s.unit, s.done, s.total, s.text = e.Unit, e.Done, e.Total, ""
	if e.Unit == event.Derivations {
		s.text = oneLine(e.Text)
	}
	s.meter.add(e.Time, e.Done)
}

// counts returns how far the stage is, in words, the most important first:
// the count, the rate of bytes, and the time that is left.
func (s *stage) counts(now time.Time) []string {
	if s.unit == "" {
		return []string{FormatDuration(now.Sub(s.start))}
	}
	out := []string{amount(s.unit, s.done, s.total)}
	if s.text != "" {
		out = append(out, s.text)
	}
	rate, ok := s.meter.rate(now)
	if !ok {
		return out
	}
	if s.unit == event.Bytes {
		out = append(out, FormatBytes(int64(rate))+"/s")
	}
	if left := s.total - s.done; left > 0 {
		eta := time.Duration(float64(left) / rate * float64(time.Second))
		switch {
		case eta < 10*time.Second: // tenths would only flicker
			out = append(out, fmt.Sprintf("eta %ds", max(1, int(eta.Round(time.Second).Seconds()))))
		case eta < 100*time.Hour:
			out = append(out, "eta "+FormatDuration(eta))
		}
	}
	return out
}

// amount returns "12.1/39.0 MiB" as "12.1 MiB/39.0 MiB", or "12/251 packages".
func amount(unit event.Unit, done, total int64) string {
	switch {
	case unit == event.Bytes && total > 0:
		return FormatBytes(done) + "/" + FormatBytes(total)
	case unit == event.Bytes:
		return FormatBytes(done)
	case total > 0:
		return fmt.Sprintf("%d/%d %s", done, total, unit)
	}
	return fmt.Sprintf("%d %s", done, unit)
}

// end returns the line that stays of a stage.
func (s *stage) end(e event.Event, st style) string {
	details := []string{FormatDuration(e.Time.Sub(s.start))}
	switch e.Kind {
	case event.Skip:
		details = nil
		if e.Text == "" {
			e.Text = "intact"
		}
	case event.Done:
		if e.Unit == "" { // what was counted on the way says how much it was
			s.mu.Lock()
			e.Unit, e.Done = s.unit, s.done
			s.mu.Unlock()
		}
		if e.Unit != "" {
			details = append(details, amount(e.Unit, e.Done, 0))
		}
	}
	if e.Text != "" {
		details = append(details, oneLine(e.Text))
	}
	return st.mark(e.Kind) + " " + row(s.name, details)
}

func row(name string, details []string) string {
	return strings.TrimRight(runewidth.FillRight(name, nameColumns)+"  "+strings.Join(details, "  "), " ")
}

// oneLine returns text fit for a line of a table.
func oneLine(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	return clean(text)
}

// clean returns text without anything that moves the cursor, except line ends.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// sentence returns a note or a warning as it is shown, with its line end.
func sentence(e event.Event, st style) string {
	var b strings.Builder
	if e.Kind == event.Warn {
		b.WriteString(st.paint(yellow, "warning:") + " ")
	}
	if e.Stage != "" {
		b.WriteString(e.Stage + ": ")
	}
	b.WriteString(strings.ReplaceAll(clean(strings.TrimRight(e.Text, "\n")), "\n", "\n  "))
	b.WriteByte('\n')
	return b.String()
}
