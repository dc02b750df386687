package progress

import (
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"bootstrap/internal/event"

	"github.com/mattn/go-runewidth"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

const (
	defaultWidth = 80
	frameEvery   = 150 * time.Millisecond
	minBar       = 8  // a shorter bar shows nothing
	maxBar       = 40 // a longer one is no better
)

// Bars shows a bar for each stage that runs, on a terminal. A stage that ends leaves a line above
// them, and so do notes and warnings.
//
// The bars are mpb's; what stands in a line, and in how many columns, is decided here, because
// mpb measures only terminals and this must be testable without one.
type Bars struct {
	opts   Options
	style  style
	screen *screen
	pool   *mpb.Progress

	// mu guards what follows. The pool may be called with it, because
	// what the pool calls takes only the lock of a stage.
	mu     sync.Mutex
	stages map[string]*barStage // those that run
	closed bool
}

type barStage struct {
	*stage
	bar    *mpb.Bar
	filler mpb.BarFiller
}

// NewBars returns a [Bars]. Nothing else may write to the terminal until it is closed.
func NewBars(o Options) *Bars {
	b := &Bars{
		opts:   o,
		style:  style{ascii: o.ASCII, color: o.Color},
		stages: map[string]*barStage{},
	}
	b.screen = &screen{out: o.Out, width: b.width}
	options := []mpb.ContainerOption{
		mpb.WithOutput(b.screen), mpb.WithRefreshRate(frameEvery),
	}
	if o.Ticks != nil {
		options = append(options, mpb.WithManualRefresh(forward(o.Ticks)))
	} else {
		options = append(options, mpb.WithAutoRefresh())
	}
	b.pool = mpb.New(options...)
	return b
}

// forward hands ticks on in the type mpb wants. Its goroutine ends when ticks is closed.
func forward(ticks <-chan time.Time) <-chan any {
	out := make(chan any)
	go func() {
		for t := range ticks {
			out <- t
		}
	}()
	return out
}

// Emit shows the event, if it is one to be shown.
func (b *Bars) Emit(e event.Event) {
	if e.Time.IsZero() {
		e.Time = b.opts.Now()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e.Kind {
	case event.Start:
		if s := b.stages[e.Stage]; s != nil {
			b.end(s, event.Event{Kind: stopped, Time: e.Time})
		}
		b.begin(e)
	case event.Progress:
		b.stageOf(e).progress(e)
	case event.Note, event.Warn:
		b.print(sentence(e, b.style))
	case event.Log:
		if b.opts.Verbose {
			b.print("  " + clean(e.Text) + "\n")
		}
	case event.Done, event.Skip, event.Fail:
		b.end(b.stageOf(e), e)
	}
}

// Close draws the last frame and gives the terminal back. A stage that still runs leaves a line
// that says so. It returns the first failure to write.
func (b *Bars) Close() error {
	b.mu.Lock()
	if !b.closed {
		running := slices.SortedFunc(maps.Values(b.stages), func(x, y *barStage) int { return x.start.Compare(y.start) })
		for _, s := range running {
			b.end(s, event.Event{Kind: stopped, Time: b.opts.Now(), Text: "stopped"})
		}
		b.closed = true
		b.pool.Wait()
	}
	b.mu.Unlock()
	return b.screen.failure()
}

func (b *Bars) width() int {
	if b.opts.Width != nil {
		if w := b.opts.Width(); w > 0 {
			return w
		}
	}
	return defaultWidth
}

func (b *Bars) stageOf(e event.Event) *barStage {
	if s := b.stages[e.Stage]; s != nil {
		return s
	}
	return b.begin(e)
}

func (b *Bars) begin(e event.Event) *barStage {
	s := &barStage{stage: newStage(e.Stage, e.Time), filler: b.barFiller()}
	b.stages[e.Stage] = s
	if !b.closed {
		draw := func(w io.Writer, _ decor.Statistics) error {
			_, err := io.WriteString(w, b.line(s, b.opts.Now()))
			return err
		}
		s.bar, _ = b.pool.Add(0, mpb.BarFillerFunc(draw), mpb.BarFillerTrim())
	}
	return s
}

// end puts a line above the bars and takes the bar of s away. mpb could make the bar that line,
// but turns the order around where two bars end in one frame.
func (b *Bars) end(s *barStage, e event.Event) {
	b.print(s.end(e, b.style) + "\n")
	delete(b.stages, s.name)
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	if s.bar != nil {
		s.bar.Abort(true)
	}
}

// print shows text above the bars.
func (b *Bars) print(text string) {
	if !b.closed {
		if _, err := b.pool.Write([]byte(text)); err == nil {
			return
		}
	}
	_, _ = b.screen.Write([]byte(text))
}

func (b *Bars) barFiller() mpb.BarFiller {
	bar := mpb.BarStyle().Lbound("[").Filler("=").Tip(">").Padding("-").Rbound("]")
	if !b.style.ascii {
		bar = mpb.BarStyle().Lbound("").Filler("━").Tip("╸").Padding("─").Rbound("")
	}
	return bar.Build()
}

// line returns the one line of a stage. It leaves the last column free, where terminals differ
// in what comes next, and gives up the bar first, then the last of the counts.
func (b *Bars) line(s *barStage, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return noLine
	}
	width := b.width() - 1
	counts := s.counts(now)
	var right string
	free := -1
	for ; len(counts) > 0; counts = counts[:len(counts)-1] {
		right = strings.Join(counts, "  ")
		free = width - 2 - nameColumns - 2 - runewidth.StringWidth(right)
		if free >= 0 {
			break
		}
	}
	head := "  " + runewidth.FillRight(s.name, nameColumns) + "  "
	if s.total > 0 && free >= minBar+2 {
		var bar strings.Builder
		_ = s.filler.Fill(&bar, decor.Statistics{
			AvailableWidth: min(free-2, maxBar), Total: s.total, Current: min(s.done, s.total),
		})
		return head + bar.String() + "  " + right
	}
	return b.style.truncate(head+right, width)
}
