package nixlog_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"bootstrap/internal/event"
	"bootstrap/internal/nixlog"

	"github.com/google/go-cmp/cmp"
)

// recorder keeps the events.
type recorder struct {
	mu  sync.Mutex
	all []event.Event
}

func (r *recorder) Emit(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, e)
}

func track(lines ...string) (*nixlog.Tracker, []event.Event) {
	r := &recorder{}
	t := nixlog.NewTracker(nixlog.Options{Sink: r, Stage: "native"})
	for _, line := range lines {
		t.Line(line)
	}
	return t, r.all
}

func TestLinesBecomeEvents(t *testing.T) {
	log := func(text string) event.Event {
		return event.Event{Kind: event.Log, Stage: "native", Text: text}
	}
	steps := func(done, total int64, unit event.Unit, text string) event.Event {
		return event.Event{Kind: event.Progress, Stage: "native", Unit: unit, Done: done, Total: total, Text: text}
	}
	tests := map[string]struct {
		lines []string
		want  []event.Event
	}{
		"build with phases and ninja": {
			lines: []string{
				`@nix {"action":"start","fields":["/opt/store/g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q-nix-2.26.3.drv","",1,1],"id":7,"level":3,"parent":0,"text":"building '/opt/store/…'","type":105}`,
				`@nix {"action":"result","fields":["build"],"id":7,"type":104}`,
				`@nix {"action":"result","fields":["[3/66] Compiling C++ object a.o"],"id":7,"type":101}`,
				`@nix {"action":"stop","id":7}`,
				`@nix {"action":"result","fields":["late"],"id":7,"type":104}`,
			},
			want: []event.Event{
				log("nix-2.26.3: build begins"),
				log("nix-2.26.3: phase build"),
				steps(3, 66, event.Steps, "Compiling C++ object a.o"),
				log("[3/66] Compiling C++ object a.o"),
				log("phase late"),
			},
		},
		"our own builders": {
			lines: []string{
				`@nix {"action":"result","fields":["@progress 12 251 packages"],"id":1,"type":101}`,
				`@progress 1 2 steps`,
				`@progress 0 2 files`,
				`@progress 3 2 files`,
				`@progress 1 2 elephants`,
				`@progress 99999999999999999999 99999999999999999999 files`,
			},
			want: []event.Event{
				steps(12, 251, event.Packages, ""),
				steps(1, 2, event.Steps, ""),
				steps(0, 2, event.Files, ""),
				log("@progress 1 2 elephants"),
			},
		},
		"messages by level": {
			lines: []string{
				`@nix {"action":"msg","level":1,"msg":"\u001b[35;1mwarning:\u001b[0m ignoring it"}`,
				`@nix {"action":"msg","level":3,"msg":"these 2 derivations will be built:"}`,
				`@nix {"action":"msg","level":4,"msg":"talkative"}`,
				`@nix {"action":"msg","level":1,"msg":""}`,
			},
			want: []event.Event{
				{Kind: event.Warn, Stage: "native", Text: "ignoring it"},
				log("these 2 derivations will be built:"),
			},
		},
		"what is not Nix's passes through": {
			lines: []string{"hello", "@nix {broken", "@nix []", `@nix {"x":1}`, "", "10%\r50%\r100%\r", "\x1b[1mbold\x1b[0m"},
			want:  []event.Event{log("hello"), log("@nix {broken"), log("@nix []"), log(`@nix {"x":1}`), log(""), log("100%"), log("bold")},
		},
		"other activities are silent": {
			lines: []string{
				`@nix {"action":"start","id":1,"level":0,"parent":0,"text":"","type":104}`,
				`@nix {"action":"result","fields":[1,2,0,0],"id":1,"type":105}`,
				`@nix {"action":"result","id":1,"type":999}`,
				`@nix {"action":"dance"}`,
			},
		},
		"fields of the wrong kind": {
			lines: []string{
				`@nix {"action":"start","id":1,"text":"building x","type":105}`,
				`@nix {"action":"result","fields":[5],"id":1,"type":101}`,
			},
			want: []event.Event{log("building x: build begins"), log("")},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, got := track(tt.lines...)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDerivationsAreCounted has two builds at a time, of which one prints counts of its own.
func TestDerivationsAreCounted(t *testing.T) {
	r := &recorder{}
	tracker := nixlog.NewTracker(nixlog.Options{Sink: r, Stage: "native", Derivations: true})
	drv := func(name string) string { return "/opt/store/g1w7hy3qg1w7hy3qg1w7hy3qg1w7hy3q-" + name + ".drv" }
	for _, line := range []string{
		`@nix {"action":"start","id":1,"level":0,"parent":0,"text":"","type":104}`,
		`@nix {"action":"result","id":2,"fields":[5,9,1,0],"type":105}`, // bytes of a download, say
		`@nix {"action":"result","id":1,"fields":[0,3,0,0],"type":105}`,
		`@nix {"action":"start","fields":["` + drv("stdenv") + `"],"id":7,"type":105}`,
		`@nix {"action":"start","fields":["` + drv("bash-5") + `"],"id":8,"type":105}`,
		`@nix {"action":"result","fields":["[3/66] Compiling"],"id":7,"type":101}`,
		`@nix {"action":"stop","id":7}`,
		`@nix {"action":"result","id":1,"fields":[1,3,1,0],"type":105}`,
	} {
		tracker.Line(line)
	}
	var got []string
	for _, e := range r.all {
		if e.Kind == event.Progress {
			got = append(got, fmt.Sprintf("%d/%d %s %s", e.Done, e.Total, e.Unit, e.Text))
		}
	}
	want := []string{"0/3 derivations ", "0/3 derivations stdenv", "0/3 derivations stdenv, bash-5", "1/3 derivations bash-5"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}

func TestErrIsPlainOrderedAndOnce(t *testing.T) {
	tracker, _ := track(
		`@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m builder for '\u001b[35;1mx.drv\u001b[0m' failed with exit code 1;\n       last 1 log lines:\n       > boom"}`,
		`@nix {"action":"msg","level":1,"msg":"warning: no"}`,
		`@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m 1 dependencies failed"}`,
		`@nix {"action":"msg","level":0,"msg":"error: 1 dependencies failed"}`,
	)
	want := "error: builder for 'x.drv' failed with exit code 1;\n       last 1 log lines:\n       > boom\nerror: 1 dependencies failed"
	if diff := cmp.Diff(want, tracker.Err()); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	if quiet, _ := track("x"); quiet.Err() != "" {
		t.Errorf("got %q where nothing failed", quiet.Err())
	}
}

func TestErrIsBounded(t *testing.T) {
	tracker, _ := track()
	for i := range 40 {
		tracker.Line(fmt.Sprintf(`@nix {"action":"msg","level":0,"msg":"%d %s the cause"}`, i, strings.Repeat("x", 1<<16)))
	}
	if got := tracker.Err(); len(got) > 1<<18 || !strings.Contains(got, "the cause") {
		t.Errorf("%d bytes kept", len(got))
	}
}

func TestNowGivesTheTime(t *testing.T) {
	r := &recorder{}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tracker := nixlog.NewTracker(nixlog.Options{Sink: r, Now: func() time.Time { return now }})
	tracker.Line("x")
	if got := r.all[0].Time; !got.Equal(now) {
		t.Errorf("got %v", got)
	}
}

func TestLinesFromSeveralGoroutines(t *testing.T) {
	r := &recorder{}
	tracker := nixlog.NewTracker(nixlog.Options{Sink: r})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			tracker.Line(fmt.Sprintf(`@nix {"action":"start","fields":["a.drv"],"id":%d,"type":105}`, i))
			tracker.Line(fmt.Sprintf(`@nix {"action":"result","fields":["p"],"id":%d,"type":104}`, i))
			tracker.Line(`@nix {"action":"msg","level":0,"msg":"e"}`)
			tracker.Line(fmt.Sprintf(`@nix {"action":"stop","id":%d}`, i))
			_ = tracker.Err()
		})
	}
	wg.Wait()
	if len(r.all) != 24 {
		t.Errorf("got %d events", len(r.all))
	}
}

func TestText(t *testing.T) {
	tests := map[string]struct {
		line, want string
		keep       bool
	}{
		"a line of a build": {`@nix {"action":"result","fields":["gcc: \u001b[31merror"],"id":1,"type":101}`, "gcc: error", true},
		"an error":          {`@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m x"}`, "error: x", true},
		"a start":           {`@nix {"action":"start","id":1,"type":105,"text":"building"}`, "", false},
		"an info":           {`@nix {"action":"msg","level":3,"msg":"x"}`, "", false},
		"not Nix's":         {"Segmentation fault", "Segmentation fault", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, keep := nixlog.Text(tt.line); got != tt.want || keep != tt.keep {
				t.Errorf("got %q, %v", got, keep)
			}
		})
	}
}

func TestPlain(t *testing.T) {
	tests := map[string]string{
		"plain ü\tx\n":           "plain ü\tx\n",
		"\x1b[31;1mred\x1b[0m":   "red",
		"\x1b]0;title\x07x":      "x",
		"\x1b]8;;u\x1b\\l\x1b[K": "l",
		"\x1b(Bx":                "x",
		"bell\a \x7f":            "bell ",
		"\x1b[31":                "",
		"\x1b":                   "",
		"\x1b[3ü":                "ü",
		"\x1bü":                  "ü",
	}
	for in, want := range tests {
		if got := nixlog.Plain(in); got != want {
			t.Errorf("Plain(%q): got %q, want %q", in, got, want)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add(`@nix {"action":"result","fields":["[3/66] x"],"id":7,"type":101}`)
	f.Add("@progress 1 2 steps\x1b[")
	f.Fuzz(func(t *testing.T, line string) {
		tracker, events := track(line)
		for _, e := range append(events, event.Event{Text: tracker.Err()}) {
			if strings.ContainsAny(e.Text, "\x1b\r") {
				t.Errorf("%q became %q", line, e.Text)
			}
		}
	})
}
