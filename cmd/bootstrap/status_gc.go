package main

import (
	"fmt"
	"strconv"
	"time"

	"bootstrap/internal/journal"
	"bootstrap/internal/probe"
)

// lastGC is a garbage collection that was recorded.
type lastGC struct {
	Time  time.Time `json:"time"`
	Freed int64     `json:"freed"` // bytes
}

// gcNote is the text of the record that `bootstrap gc` leaves in the journal.
const gcNote = "gc"

// lastCollection returns the last garbage collection of `bootstrap gc`; nil if there was none. Those
// that nix was told to make are in no record.
func lastCollection(h *journal.History) *lastGC {
	for i := len(h.Records) - 1; i >= 0; i-- {
		if r := h.Records[i]; r.Event == journal.Note && r.Text == gcNote {
			freed, err := strconv.ParseInt(r.Output["freed"], 10, 64)
			if err != nil || freed < 0 {
				freed = 0
			}
			return &lastGC{Time: r.Time, Freed: freed}
		}
	}
	return nil
}

// String says when it was, and what for.
func (c *lastGC) String() string {
	if c == nil {
		return "never"
	}
	return fmt.Sprintf("%s, %s freed", c.Time.Format(time.DateOnly), probe.Size(c.Freed))
}
