package fetch

import (
	"sync"
	"sync/atomic"
	"time"

	"bootstrap/internal/event"
)

// progress tells the sink, ten times a second at most, how many bytes of all are there.
type progress struct {
	f     *Fetcher
	total int64
	done  atomic.Int64
	quit  chan struct{}
	wait  sync.WaitGroup
}

// startProgress begins to tell; stop ends it, with one last event.
func startProgress(f *Fetcher, total int64) *progress {
	p := &progress{f: f, total: total, quit: make(chan struct{})}
	p.emit()
	p.wait.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		told := int64(0)
		for {
			select {
			case <-p.quit:
				return
			case <-tick.C:
			}
			if done := p.done.Load(); done != told {
				told = done
				p.emit()
			}
		}
	})
	return p
}

func (p *progress) stop() {
	close(p.quit)
	p.wait.Wait()
	p.emit()
}

func (p *progress) emit() {
	p.f.emit(event.Event{Kind: event.Progress, Unit: event.Bytes, Done: p.done.Load(), Total: p.total})
}

// meter is the share of one file in the progress. One goroutine uses it.
type meter struct {
	bar *progress
	n   int64
}

// set says how many bytes of the file are there; fewer than before when it starts over.
func (m *meter) set(n int64) {
	m.bar.done.Add(n - m.n)
	m.n = n
}
