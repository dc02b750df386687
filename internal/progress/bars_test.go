package progress_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"bootstrap/internal/event"
	"bootstrap/internal/progress"

	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-runewidth"
)

func TestBarsTellARun(t *testing.T) {
	w := newWorld(t, 80)
	w.emit(event.Skip, "host", "")
	w.emit(event.Start, "fetch", "")
	w.want(`
= host       intact
  fetch      0.0s
`)
	for i := range 5 {
		w.progress("fetch", event.Bytes, int64(i)*5<<20, 39<<20)
		w.pass(time.Second)
	}
	w.want(`
= host       intact
  fetch      ━━━━━━━━━━━━━╸──────────────  20.0 MiB/39.0 MiB  4.0 MiB/s  eta 5s
`)
	w.emit(event.Warn, "fetch", "mirror answered 503,\nasking the next")
	w.progress("fetch", event.Bytes, 39<<20, 39<<20)
	w.pass(1500 * time.Millisecond)
	w.emit(event.Done, "fetch", "")
	w.emit(event.Start, "native", "")
	for i := range 6 {
		w.pass(5 * time.Second)
		w.progress("native", event.Steps, int64(i), 66)
	}
	w.emit(event.Log, "native", "[5/66] Compiling")
	w.want(`
= host       intact
warning: fetch: mirror answered 503,
  asking the next
✓ fetch      6.5s  39.0 MiB
  native     ━━╸─────────────────────────────────────  5/66 steps  eta 5m05s
`)
	w.pass(4*time.Minute + 39*time.Second)
	w.bars.Emit(event.Event{Kind: event.Done, Stage: "native", Unit: event.Bytes, Done: 50_121_933})
	w.emit(event.Start, "prove", "")
	w.emit(event.Note, "", "shells: sh, bash")
	w.pass(2 * time.Second)
	w.emit(event.Fail, "prove", "fish: exit status 1\nand more")
	w.want(`
= host       intact
warning: fetch: mirror answered 503,
  asking the next
✓ fetch      6.5s  39.0 MiB
✓ native     5m09s  47.8 MiB
shells: sh, bash
✗ prove      2.0s  fish: exit status 1
`)
}

func TestBarsInASCII(t *testing.T) {
	w := newWorld(t, 60, func(o *progress.Options) { o.ASCII = true })
	w.emit(event.Start, "toolchain", "")
	w.progress("toolchain", event.Packages, 100, 251)
	w.want(`
  toolchain  [=========>----------------]  100/251 packages
`)
	w.emit(event.Done, "toolchain", "")
	w.emit(event.Fail, "native", strings.Repeat("long ", 10))
	w.want(`
+ toolchain  0.0s  100 packages
x native     0.0s  long long long long long long long long l
ong long
`)
	for _, r := range w.vt.raw.String() {
		if r > 0x7e {
			t.Fatalf("%q was drawn", r)
		}
	}
}

func TestSeveralBars(t *testing.T) {
	w := newWorld(t, 50)
	w.emit(event.Start, "a", "")
	w.progress("b", event.Files, 1, 0)
	w.emit(event.Start, "c", "")
	w.emit(event.Done, "b", "with text")
	w.want(`
✓ b          0.0s  1 files  with text
  a          0.0s
  c          0.0s
`)
	w.emit(event.Start, "a", "") // it begins anew
	w.want(`
✓ b          0.0s  1 files  with text
- a          0.0s
  c          0.0s
  a          0.0s
`)
}

func TestStageThatRunsAtTheEnd(t *testing.T) {
	w := newWorld(t, 50)
	w.emit(event.Start, "native", "")
	w.pass(62 * time.Second)
	w.frame()
	// Ticks go on while it closes, as they would.
	done := make(chan struct{})
	go func() { _ = w.bars.Close(); close(done) }()
	<-done
	w.emit(event.Warn, "", "late")
	w.emit(event.Start, "later", "")
	w.emit(event.Done, "later", "")
	if got := w.vt.screen(); !strings.HasSuffix(got, "warning: late\n✓ later      0.0s\n") {
		t.Errorf("got:\n%s", got)
	}
}

func TestNarrowTerminals(t *testing.T) {
	for cols := 1; cols <= 120; cols += 1 + cols/12 {
		w := newWorld(t, cols)
		w.emit(event.Start, "toolchain", "")
		w.progress("toolchain", event.Bytes, 1<<20, 39<<20)
		w.pass(4 * time.Second)
		w.progress("toolchain", event.Bytes, 30<<20, 39<<20)
		w.emit(event.Start, "日本語の段階", "")
		w.frame()
		got := strings.Split(strings.TrimSuffix(w.vt.screen(), "\n"), "\n")
		if len(got) != 2 {
			t.Errorf("%d columns: %d rows: %q", cols, len(got), got)
		}
		for _, row := range got {
			if runewidth.StringWidth(row) >= max(cols, 2) {
				t.Errorf("%d columns: %q", cols, row)
			}
		}
	}
}

func TestResizeLeavesNothingBehind(t *testing.T) {
	w := newWorld(t, 100)
	w.emit(event.Skip, "host", "")
	w.emit(event.Warn, "", "a line above")
	w.emit(event.Start, "a", "")
	w.progress("a", event.Steps, 10, 66)
	w.progress("b", event.Packages, 10, 251)
	w.frame()
	for _, cols := range []int{60, 30, 29, 14, 7, 20, 120, 3, 80} {
		w.settle()
		w.vt.resize(cols)
		w.frame()
		rows := strings.Split(strings.TrimSuffix(w.vt.screen(), "\n"), "\n")
		if n := len(rows) - len(strings.Split(wrapAt("= host       intact\nwarning: a line above\n", cols), "\n")); cols > 20 && n < 1 {
			t.Errorf("%d columns: lines were lost: %q", cols, rows)
		}
	}
	w.want(`
= host       intact
warning: a line above
  a          ━━━━━╸──────────────────────────────────  10/66 steps
  b          ━╸──────────────────────────────────────  10/251 packages
`)
}

// wrapAt returns text as a terminal of that many columns breaks it.
func wrapAt(text string, cols int) string {
	v := &vt{cols: cols}
	_, _ = v.Write([]byte(text))
	return strings.TrimSuffix(v.screen(), "\n")
}

func TestVerboseAndControlCharacters(t *testing.T) {
	w := newWorld(t, 80, func(o *progress.Options) { o.Verbose = true })
	w.emit(event.Log, "native", "\x1b[31mred\r\x1b[2Jgone\xff")
	w.emit(event.Note, "", "\x1b]0;title\a")
	w.want(`
   [31mred  [2Jgone?
 ]0;title
`)
}

func TestColors(t *testing.T) {
	w := newWorld(t, 80, func(o *progress.Options) { o.Color = true })
	w.emit(event.Done, "a", "")
	w.emit(event.Fail, "b", strings.Repeat("x", 200))
	w.emit(event.Warn, "", "w")
	w.want("✓ a          0.0s\n✗ b          0.0s  " + strings.Repeat("x", 61) + "\n" + strings.Repeat("x", 80) + "\n" + strings.Repeat("x", 59) + "\nwarning: w\n")
	for _, want := range []string{"\x1b[32m✓\x1b[0m a", "\x1b[31m✗\x1b[0m b", "\x1b[33mwarning:\x1b[0m w"} {
		if !strings.Contains(w.vt.raw.String(), want) {
			t.Errorf("%q was not drawn", want)
		}
	}
}

func TestTerminalThatIsGone(t *testing.T) {
	c := newClock()
	bars := progress.NewBars(progress.Options{Out: brokenWriter{}, Now: c.Now})
	bars.Emit(event.Event{Kind: event.Start, Stage: "a"})
	bars.Emit(event.Event{Kind: event.Warn, Text: "w"})
	bars.Emit(event.Event{Kind: event.Done, Stage: "a"})
	if err := bars.Close(); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

var errBroken = errors.New("broken")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestSeveralGoroutinesAndOwnTicker(t *testing.T) {
	v := &vt{cols: 80}
	bars := progress.NewBars(progress.Options{Out: v, Now: newClock().Now, Width: v.Width})
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			name := fmt.Sprint("stage", i)
			bars.Emit(event.Event{Kind: event.Start, Stage: name})
			for n := range int64(50) {
				bars.Emit(event.Event{Kind: event.Progress, Stage: name, Unit: event.Files, Done: n, Total: 50})
				v.resize(40 + int(n))
			}
			bars.Emit(event.Event{Kind: event.Note, Text: "note"})
			if i > 0 {
				bars.Emit(event.Event{Kind: event.Done, Stage: name})
			}
		})
	}
	wg.Wait()
	if err := bars.Close(); err != nil {
		t.Error(err)
	}
	got := v.screen()
	want := map[string]int{"note\n": 6, "✓ stage": 5, "- stage0     0.0s  stopped\n": 1, "\n": 12}
	for text, n := range want {
		if strings.Count(got, text) != n {
			t.Errorf("%q is not there %d times:\n%s", text, n, got)
		}
	}
	if err := bars.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	if diff := cmp.Diff(got, v.screen()); diff != "" {
		t.Errorf("drawn after the end:\n%s", diff)
	}
}
