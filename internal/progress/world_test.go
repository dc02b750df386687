package progress_test

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bootstrap/internal/event"
	"bootstrap/internal/progress"

	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-runewidth"
)

// clock is a clock that stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// vt is a terminal that understands what the bars use, and breaks its lines anew when its width changes,
// as nearly all do. Its cursor is always at the end between two writes.
type vt struct {
	mu    sync.Mutex
	cols  int
	lines []string
	raw   strings.Builder
	count int // of writes
}

var sequence = regexp.MustCompile(`^\x1b\[(\d*)([AJm])`)

func (v *vt) Width() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.cols
}

func (v *vt) resize(cols int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cols = cols
}

func (v *vt) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.raw.Write(p)
	v.count++
	rest, line := string(p), ""
	for rest != "" {
		if m := sequence.FindStringSubmatch(rest); m != nil {
			if m[2] == "A" {
				n, _ := strconv.Atoi(m[1])
				v.up(n)
			}
			rest = rest[len(m[0]):]
			continue
		}
		if rest[0] == '\n' {
			v.lines = append(v.lines, line)
			line, rest = "", rest[1:]
			continue
		}
		r := []rune(rest)[0]
		line, rest = line+string(r), rest[len(string(r)):]
	}
	if line != "" {
		panic("a write did not end in a line end")
	}
	return len(p), nil
}

// up removes the last n rows, as going up and clearing does.
func (v *vt) up(n int) {
	for ; n > 0 && len(v.lines) > 0; n-- {
		last := len(v.lines) - 1
		rows := v.wrap(v.lines[last])
		if len(rows) == 1 {
			v.lines = v.lines[:last]
		} else {
			v.lines[last] = strings.Join(rows[:len(rows)-1], "")
		}
	}
}

func (v *vt) wrap(line string) []string {
	rows, width := []string{""}, 0
	for _, r := range line {
		w := runewidth.RuneWidth(r)
		if width+w > v.cols {
			rows, width = append(rows, ""), 0
		}
		rows[len(rows)-1] += string(r)
		width += w
	}
	return rows
}

// screen returns the rows as a person sees them.
func (v *vt) screen() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var b strings.Builder
	for _, line := range v.lines {
		for _, row := range v.wrap(line) {
			b.WriteString(strings.TrimRight(row, " ") + "\n")
		}
	}
	return b.String()
}

// world is bars on a terminal of its own, with a time of its own.
type world struct {
	*clock
	t     *testing.T
	vt    *vt
	ticks chan time.Time
	sent  int // ticks
	bars  *progress.Bars
}

func newWorld(t *testing.T, cols int, change ...func(*progress.Options)) *world {
	t.Helper()
	w := &world{clock: newClock(), t: t, vt: &vt{cols: cols}, ticks: make(chan time.Time)}
	o := progress.Options{Out: w.vt, Now: w.Now, Width: w.vt.Width, Ticks: w.ticks}
	for _, f := range change {
		f(&o)
	}
	w.bars = progress.NewBars(o)
	t.Cleanup(func() { _ = w.bars.Close(); close(w.ticks) })
	return w
}

func (w *world) emit(kind event.Kind, stage, text string) {
	w.bars.Emit(event.Event{Kind: kind, Stage: stage, Text: text})
}

func (w *world) progress(stage string, unit event.Unit, done, total int64) {
	w.bars.Emit(event.Event{Kind: event.Progress, Stage: stage, Unit: unit, Done: done, Total: total})
}

// frame draws. Two goroutines hold a tick each on its way to where it is drawn, and a stage that has
// ended takes three frames to settle: after the sixth tick was taken, three were drawn.
func (w *world) frame() {
	for range 6 {
		w.ticks <- w.Now()
		w.sent++
	}
}

// settle waits until every tick has become a frame. There must have been a bar since the first.
func (w *world) settle() {
	w.t.Helper()
	for range 500 {
		w.vt.mu.Lock()
		drawn := w.vt.count
		w.vt.mu.Unlock()
		if drawn == w.sent {
			return
		}
		time.Sleep(time.Millisecond)
	}
	w.t.Fatal("not every tick was drawn")
}

func (w *world) want(want string) {
	w.t.Helper()
	w.frame()
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), w.vt.screen()); diff != "" {
		w.t.Errorf("screen (-want +got):\n%s", diff)
	}
}
