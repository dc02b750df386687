package progress

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"bootstrap/internal/event"
)

// beatEvery is how long a stage may be silent.
const beatEvery = 30 * time.Second

// Lines shows a line when a stage begins, one when it ends, and a sign of life every
// 30 seconds in between, for logs and pipes.
type Lines struct {
	opts  Options
	style style
	quit  chan struct{}
	done  chan struct{}
	once  sync.Once

	mu     sync.Mutex
	stages []*lineStage // those that run, in the order they began
	err    error
}

type lineStage struct {
	*stage
	spoke time.Time // when the last line about it was shown
}

// NewLines returns a [Lines]. Close it to end its goroutine.
func NewLines(o Options) *Lines {
	l := &Lines{
		opts:  o,
		style: style{ascii: o.ASCII, color: o.Color},
		quit:  make(chan struct{}),
		done:  make(chan struct{}),
	}
	go l.beat()
	return l
}

// Emit shows the event, if it is one to be shown.
func (l *Lines) Emit(e event.Event) {
	if e.Time.IsZero() {
		e.Time = l.opts.Now()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e.Kind {
	case event.Start:
		l.begin(e)
		l.print(l.style.mark(event.Start) + " " + row(e.Stage, []string{oneLine(e.Text)}) + "\n")
	case event.Progress:
		s := l.find(e.Stage)
		if s == nil {
			s = l.begin(e)
		}
		s.progress(e)
		l.signOfLife(s, e.Time)
	case event.Note, event.Warn:
		l.print(sentence(e, l.style))
	case event.Log:
		if l.opts.Verbose {
			l.print("  " + clean(e.Text) + "\n")
		}
	case event.Done, event.Skip, event.Fail:
		s := l.find(e.Stage)
		if s == nil {
			s = l.begin(e)
		}
		l.print(s.end(e, l.style) + "\n")
		l.stages = slices.DeleteFunc(l.stages, func(x *lineStage) bool { return x == s })
	}
}

// Close ends the signs of life and returns the first failure to write.
func (l *Lines) Close() error {
	l.once.Do(func() { close(l.quit) })
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *Lines) begin(e event.Event) *lineStage {
	s := &lineStage{newStage(e.Stage, e.Time), e.Time}
	l.stages = slices.DeleteFunc(l.stages, func(x *lineStage) bool { return x.name == e.Stage })
	l.stages = append(l.stages, s)
	return s
}

func (l *Lines) find(name string) *lineStage {
	for _, s := range l.stages {
		if s.name == name {
			return s
		}
	}
	return nil
}

// beat gives signs of life in stages that report nothing: a long link, an unpacking.
func (l *Lines) beat() {
	defer close(l.done)
	ticks := l.opts.Ticks
	if ticks == nil {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		ticks = ticker.C
	}
	for {
		select {
		case <-ticks:
			now := l.opts.Now()
			l.mu.Lock()
			for _, s := range l.stages {
				l.signOfLife(s, now)
			}
			l.mu.Unlock()
		case <-l.quit:
			return
		}
	}
}

func (l *Lines) signOfLife(s *lineStage, now time.Time) {
	if now.Sub(s.spoke) < beatEvery {
		return
	}
	s.spoke = now
	details := s.counts(now)
	if s.unit != "" {
		details = append([]string{FormatDuration(now.Sub(s.start))}, details...)
	}
	l.print(l.style.mark(event.Progress) + " " + row(s.name, details) + "\n")
}

func (l *Lines) print(s string) {
	if l.err == nil {
		if _, err := io.WriteString(l.opts.Out, s); err != nil {
			l.err = fmt.Errorf("show progress: %w", err)
		}
	}
}
