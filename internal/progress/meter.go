package progress

import "time"

// The rate is that of the last stretch of time: downloads change their pace soon,
// compiles have steps of very different sizes.
const (
	bytesWindow = 15 * time.Second
	otherWindow = 90 * time.Second
	minSample   = 500 * time.Millisecond // samples closer together are one
	minHistory  = 2 * time.Second        // less says nothing about the rate
)

// meter measures a moving rate.
type meter struct {
	window  time.Duration
	samples []sample // oldest first
}

type sample struct {
	at   time.Time
	done int64
}

// add records that done was reached at the time at.
func (m *meter) add(at time.Time, done int64) {
	if n := len(m.samples); n > 0 && done < m.samples[n-1].done {
		m.samples = m.samples[:0] // it counts something else now
	}
	n := len(m.samples)
	if n > 1 && at.Sub(m.samples[n-2].at) < minSample {
		m.samples[n-1] = sample{at, done}
	} else {
		m.samples = append(m.samples, sample{at, done})
	}
	// One sample from before the window stays, for the rate to span all of it.
	for len(m.samples) > 2 && at.Sub(m.samples[1].at) > m.window {
		m.samples = append(m.samples[:0], m.samples[1:]...)
	}
}

// rate returns what was done per second lately, as seen from now. ok is false if it is too early.
func (m *meter) rate(now time.Time) (perSecond float64, ok bool) {
	if len(m.samples) < 2 {
		return 0, false
	}
	first, last := m.samples[0], m.samples[len(m.samples)-1]
	span := now.Sub(first.at)
	if span < minHistory || last.done == first.done {
		return 0, false
	}
	return float64(last.done-first.done) / span.Seconds(), true
}
