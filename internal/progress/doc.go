// Package progress shows a run's events: as bars on a terminal ([Bars]), as plain lines where
// there is none ([Lines]), or as JSON for a program ([JSON]).
//
// It looks at nothing but the events and the clock, and decides nothing: which of the three it is,
// and whether the terminal can show more than ASCII, is for package main to say.
// Every sink may be used by several goroutines at once.
package progress

import (
	"io"
	"time"

	"bootstrap/internal/event"
)

// Sink is an [event.Sink] with an end. After Close, events are still taken and shown as lines.
type Sink interface {
	event.Sink
	io.Closer
}

// Options are what [NewBars] and [NewLines] need.
type Options struct {
	Out io.Writer        // where to show it, standard error as a rule
	Now func() time.Time // the clock
	// Width returns the columns of the terminal as it is now. 80 if nil or if it returns none.
	// Only for [Bars].
	Width func() int

	ASCII   bool // show ASCII alone: the locale is not UTF-8
	Color   bool // mark ends and warnings with colours
	Verbose bool // show [event.Log], too

	// Ticks makes the time pass: a frame is drawn, or a sign of life given, at each.
	// If nil there is a ticker.
	Ticks <-chan time.Time
}

// Tee returns a sink that hands each event to all of sinks, in that order.
func Tee(sinks ...event.Sink) event.Sink {
	return event.Func(func(e event.Event) {
		for _, s := range sinks {
			s.Emit(e)
		}
	})
}
