package nixlog

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"bootstrap/internal/event"
)

const (
	maxErrors  = 16      // messages kept for Err
	maxErrText = 8 << 10 // bytes kept of each
	hashLength = 32      // of a store path's name, before its dash
)

// ninjaStep is ninja's default NINJA_STATUS, "[%f/%t] ", as it prints it without a terminal.
var ninjaStep = regexp.MustCompile(`^\[(\d+)/(\d+)\] `)

// ownStep is what our own builders print: "@progress <done> <total> <unit>".
var ownStep = regexp.MustCompile(`^@progress (\d+) (\d+) (packages|files|steps)$`)

// Options are what a [Tracker] needs.
type Options struct {
	Sink  event.Sink // gets the events; discarded if nil
	Stage string     // the stage the events are of
	// Now gives the events their time; it stays zero, for the sink to set, if Now is nil.
	Now func() time.Time
	// Derivations has the progress count derivations, and not what builders count. Its text is what is built
	// at the moment.
	Derivations bool
}

// Tracker makes events of the lines of one run of Nix. Its methods may be called
// from several goroutines.
type Tracker struct {
	opts Options

	mu     sync.Mutex
	builds map[uint64]string // name of the derivation by its activity
	order  []uint64          // the builds, those that began first before others
	all    uint64            // the activity that counts derivations; 0 if there is none
	count  [2]int64          // of those that are built, and of all
	errors []string
}

// NewTracker returns a [Tracker] that has seen nothing yet.
func NewTracker(opts Options) *Tracker {
	if opts.Sink == nil {
		opts.Sink = event.Discard()
	}
	return &Tracker{opts: opts, builds: map[uint64]string{}}
}

// Line takes one line of Nix's standard error, without its end.
//
// A build's log lines become [event.Log]; ninja's and our builders' counts become
// [event.Progress]; warnings become [event.Warn]; a derivation that starts to build and a phase
// that begins become [event.Log]. Under [Options.Derivations] progress is Nix's own count.
// Errors are kept for [Tracker.Err].
// A line that is not Nix's is a line of log.
func (t *Tracker) Line(line string) {
	m, ok := Parse(line)
	if !ok {
		t.logLine(line)
		return
	}
	switch m.Action {
	case Start:
		t.start(m)
	case Stop:
		t.mu.Lock()
		delete(t.builds, m.ID)
		t.order = slices.DeleteFunc(t.order, func(id uint64) bool { return id == m.ID })
		t.mu.Unlock()
	case Result:
		t.result(m)
	case Msg:
		t.message(m)
	}
}

// Err returns the errors Nix reported, without colours, oldest first and each once.
// It is empty if there was none.
func (t *Tracker) Err() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.errors, "\n")
}

func (t *Tracker) start(m Message) {
	switch ActivityType(m.Type) {
	case ActBuilds:
		t.mu.Lock()
		t.all = m.ID
		t.mu.Unlock()
		return
	case ActBuild:
	default:
		return
	}
	name := derivationName(m.String(0))
	if name == "" {
		name = Plain(m.Text)
	}
	t.mu.Lock()
	t.builds[m.ID] = name
	t.order = append(t.order, m.ID)
	t.mu.Unlock()
	t.emit(event.Event{Kind: event.Log, Text: name + ": build begins"})
	t.derivations()
}

// derivations emits how many derivations are built, and which are being built.
func (t *Tracker) derivations() {
	t.mu.Lock()
	var now []string
	for _, id := range t.order {
		now = append(now, t.builds[id])
	}
	done, total := t.count[0], t.count[1]
	t.mu.Unlock()
	if !t.opts.Derivations || total == 0 || done > total {
		return
	}
	t.emit(event.Event{Kind: event.Progress, Unit: event.Derivations, Done: done, Total: total, Text: strings.Join(now, ", ")})
}

func (t *Tracker) result(m Message) {
	switch {
	case m.isLogLine():
		t.logLine(m.String(0))
	case ResultType(m.Type) == ResProgress:
		t.mu.Lock()
		counts := m.ID == t.all && t.all != 0
		if counts {
			t.count = [2]int64{m.Int(0), m.Int(1)}
		}
		t.mu.Unlock()
		if counts {
			t.derivations()
		}
	case ResultType(m.Type) == ResSetPhase:
		t.mu.Lock()
		name := t.builds[m.ID]
		t.mu.Unlock()
		if name != "" {
			name += ": "
		}
		t.emit(event.Event{Kind: event.Log, Text: name + "phase " + Plain(m.String(0))})
	}
}

func (t *Tracker) message(m Message) {
	text := strings.TrimSpace(Plain(m.Msg))
	switch {
	case text == "":
	case m.Level == Error:
		t.keep(text)
		t.emit(event.Event{Kind: event.Log, Text: text})
	case m.Level == Warning:
		t.emit(event.Event{Kind: event.Warn, Text: strings.TrimPrefix(text, "warning: ")})
	case m.Level <= Info:
		t.emit(event.Event{Kind: event.Log, Text: text})
	}
}

func (t *Tracker) keep(text string) {
	if len(text) > maxErrText {
		// The end says what the cause was.
		text = "…" + strings.ToValidUTF8(text[len(text)-maxErrText:], "")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.errors {
		if e == text {
			return
		}
	}
	if len(t.errors) < maxErrors {
		t.errors = append(t.errors, text)
	}
}

// logLine emits one line of a builder, as the progress it is or as log.
func (t *Tracker) logLine(line string) {
	// A builder that redraws a line has the last state of it after the last carriage return.
	line = strings.TrimSuffix(line, "\r")
	line = Plain(line[strings.LastIndexByte(line, '\r')+1:])
	if m := ownStep.FindStringSubmatch(line); m != nil {
		t.progress(m[1], m[2], event.Unit(m[3]), "")
		return
	}
	if m := ninjaStep.FindStringSubmatch(line); m != nil {
		t.progress(m[1], m[2], event.Steps, line[len(m[0]):])
	}
	t.emit(event.Event{Kind: event.Log, Text: line})
}

func (t *Tracker) progress(done, total string, unit event.Unit, text string) {
	if t.opts.Derivations {
		return
	}
	d, err1 := strconv.ParseInt(done, 10, 64)
	n, err2 := strconv.ParseInt(total, 10, 64)
	if err1 != nil || err2 != nil || d > n {
		return
	}
	t.emit(event.Event{Kind: event.Progress, Unit: unit, Done: d, Total: n, Text: text})
}

func (t *Tracker) emit(e event.Event) {
	e.Stage = t.opts.Stage
	if t.opts.Now != nil {
		e.Time = t.opts.Now()
	}
	t.opts.Sink.Emit(e)
}

// derivationName returns "hello-1.0" for "/opt/store/<hash>-hello-1.0.drv".
func derivationName(drv string) string {
	name := strings.TrimSuffix(path.Base(drv), ".drv")
	if drv == "" {
		return ""
	}
	if len(name) > hashLength && name[hashLength] == '-' {
		return name[hashLength+1:]
	}
	return name
}
