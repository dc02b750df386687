package progress_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"bootstrap/internal/event"
	"bootstrap/internal/progress"

	"github.com/google/go-cmp/cmp"
)

func TestLinesTellARun(t *testing.T) {
	c, ticks := newClock(), make(chan time.Time)
	var out bytes.Buffer
	l := progress.NewLines(progress.Options{Out: &out, Now: c.Now, Ticks: ticks})
	emit := func(e event.Event) { e.Time = c.Now(); l.Emit(e) }
	tick := func() { // when the second is taken, the first is done with
		ticks <- c.Now()
		ticks <- c.Now()
	}
	emit(event.Event{Kind: event.Skip, Stage: "fetch"})
	emit(event.Event{Kind: event.Start, Stage: "native", Text: "nix 2.26.3"})
	for i := range int64(14) {
		c.pass(5 * time.Second)
		emit(event.Event{Kind: event.Progress, Stage: "native", Unit: event.Steps, Done: i, Total: 66})
		emit(event.Event{Kind: event.Log, Stage: "native", Text: "not shown"})
	}
	emit(event.Event{Kind: event.Warn, Stage: "native", Text: "w"})
	c.pass(20 * time.Second)
	tick()
	c.pass(29 * time.Second)
	tick()
	c.pass(time.Second)
	tick()
	emit(event.Event{Kind: event.Done, Stage: "native", Unit: event.Bytes, Done: 50 << 20})
	emit(event.Event{Kind: event.Start, Stage: "prove"})
	c.pass(40 * time.Second)
	tick()
	emit(event.Event{Kind: event.Fail, Stage: "prove", Text: "exit status 1"})
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	want := `= fetch      intact
> native     nix 2.26.3
… native     30s  5/66 steps  eta 5m05s
… native     1m00s  11/66 steps  eta 4m35s
warning: native: w
… native     1m30s  13/66 steps  eta 5m47s
… native     2m00s  13/66 steps  eta 7m49s
✓ native     2m00s  50.0 MiB
> prove
… prove      40s
✗ prove      40s  exit status 1
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if err := l.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

func TestLinesInASCIIAndVerbose(t *testing.T) {
	c := newClock()
	var out bytes.Buffer
	l := progress.NewLines(progress.Options{Out: &out, Now: c.Now, ASCII: true, Verbose: true})
	l.Emit(event.Event{Kind: event.Progress, Stage: "a", Unit: event.Bytes, Done: 1})
	c.pass(time.Minute)
	l.Emit(event.Event{Kind: event.Progress, Stage: "a", Unit: event.Bytes, Done: 2048})
	l.Emit(event.Event{Kind: event.Log, Stage: "a", Text: "log\x1b[0m"})
	l.Emit(event.Event{Kind: event.Done, Stage: "a", Text: "ok"})
	l.Emit(event.Event{Kind: event.Fail, Stage: "b", Text: "why"})
	_ = l.Close()
	want := ". a          1m00s  2.0 KiB  34 B/s\n  log [0m\n+ a          1m00s  2.0 KiB  ok\nx b          0.0s  why\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestLinesReportTheFailureToWrite(t *testing.T) {
	l := progress.NewLines(progress.Options{Out: brokenWriter{}, Now: newClock().Now})
	l.Emit(event.Event{Kind: event.Start, Stage: "a"})
	if err := l.Close(); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

func TestJSON(t *testing.T) {
	c := newClock()
	var out bytes.Buffer
	j := progress.NewJSON(&out, c.Now)
	events := []event.Event{
		{Time: c.Now().Add(time.Hour), Kind: event.Progress, Stage: "fetch", Unit: event.Bytes, Done: 1, Total: 2},
		{Kind: event.Log, Stage: "native", Text: "a <b> & \"c\"\nü\xff"},
	}
	for _, e := range events {
		j.Emit(e)
	}
	want := `{"time":"2026-01-02T04:04:05Z","kind":"progress","stage":"fetch","unit":"bytes","done":1,"total":2}
{"time":"2026-01-02T03:04:05Z","kind":"log","stage":"native","text":"a <b> & \"c\"\nü\ufffd"}
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	broken := progress.NewJSON(brokenWriter{}, c.Now)
	broken.Emit(events[0])
	broken.Emit(events[1])
	if err := broken.Close(); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

// TestEverySinkTakesSeveralGoroutines also is what the race detector watches.
func TestEverySinkTakesSeveralGoroutines(t *testing.T) {
	c := newClock()
	var lines, objects bytes.Buffer
	l := progress.NewLines(progress.Options{Out: &lines, Now: c.Now})
	j := progress.NewJSON(&objects, c.Now)
	tee := progress.Tee(l, j)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				tee.Emit(event.Event{Kind: event.Note, Text: "x"})
			}
		})
	}
	wg.Wait()
	_, _ = l.Close(), j.Close()
	if n := strings.Count(lines.String(), "x\n"); n != 400 {
		t.Errorf("%d lines", n)
	}
	dec := json.NewDecoder(&objects)
	n := 0
	for ; dec.More(); n++ {
		var e event.Event
		if err := dec.Decode(&e); err != nil {
			t.Fatal(err)
		}
	}
	if n != 400 {
		t.Errorf("%d objects", n)
	}
}

func TestFormatBytes(t *testing.T) {
	tests := map[int64]string{
		0: "0 B", 1: "1 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 102348: "99.9 KiB",
		102400: "100 KiB", 1048063: "1023 KiB", 1048064: "1.0 MiB", 50121933: "47.8 MiB",
		640 << 20: "640 MiB", 5 << 30: "5.0 GiB", 1<<63 - 1: "8.0 EiB", -2048: "-2.0 KiB",
	}
	for n, want := range tests {
		if got := progress.FormatBytes(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	tests := map[time.Duration]string{
		-time.Second: "0.0s", 440 * time.Millisecond: "0.4s", 9940 * time.Millisecond: "9.9s",
		9950 * time.Millisecond: "10s", 59400 * time.Millisecond: "59s", 59500 * time.Millisecond: "1m00s",
		309 * time.Second: "5m09s", 3599400 * time.Millisecond: "59m59s", 3599500 * time.Millisecond: "1h00m",
		62 * time.Minute: "1h02m", 100 * time.Hour: "100h00m",
	}
	for d, want := range tests {
		if got := progress.FormatDuration(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}
