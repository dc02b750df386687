// Package event is how the stages tell what they are doing.
//
// Stages emit events and never print. What a person or a program gets to see of them
// is the business of whoever implements [Sink].
package event

import "time"

// Kind is what happened.
type Kind string

// The kinds of events. A stage emits Start, any number of Progress, Note and Log,
// and then one of Done, Skip and Fail.
const (
	Start    Kind = "start"    // a stage begins
	Progress Kind = "progress" // Done of Total Unit are behind us
	Note     Kind = "note"     // a sentence worth reading
	Warn     Kind = "warn"     // a sentence that must be read
	Log      Kind = "log"      // one line of a child's output
	Done     Kind = "done"     // the stage ended well
	Skip     Kind = "skip"     // the stage was intact already
	Fail     Kind = "fail"     // the stage ended with Text
)

// Unit is what Progress counts.
type Unit string

// The units of progress.
const (
	Bytes    Unit = "bytes"
	Packages Unit = "packages"
	Steps    Unit = "steps"
	Files    Unit = "files"
	// Derivations are counted where a build is one of many.
	Derivations Unit = "derivations"
)

// Event is one thing that happened, in the form `--json` prints it.
type Event struct {
	Time  time.Time `json:"time"`
	Kind  Kind      `json:"kind"`
	Stage string    `json:"stage"`          // name of the stage, as in the plan
	Unit  Unit      `json:"unit,omitempty"` // of Done and Total
	Done  int64     `json:"done,omitempty"`
	Total int64     `json:"total,omitempty"` // 0 where it is not known
	Text  string    `json:"text,omitempty"`
}

// Sink takes events. Emit may be called from several goroutines and must not block for long.
type Sink interface {
	Emit(Event)
}

// Func is a [Sink] that is a function.
type Func func(Event)

// Emit calls f.
func (f Func) Emit(e Event) { f(e) }

// Discard is a [Sink] that forgets.
func Discard() Sink { return Func(func(Event) {}) }
