// Package nixlog reads what Nix says on its standard error under `--log-format internal-json`
// and makes events of it.
//
// The format is not documented; it is what JSONLogger writes and handleJSONLogMessage reads
// in Nix 2.26.3, src/libutil/logging.cc, with the numbers of src/libutil/logging.hh.
// The package never fails on a line: what it does not know is a line of log.
package nixlog

import (
	"encoding/json"
	"strings"
)

// Action is what a message says about an activity.
type Action string

// The actions.
const (
	Start  Action = "start"  // an activity begins
	Stop   Action = "stop"   // it ends
	Result Action = "result" // it has something to tell
	Msg    Action = "msg"    // text that belongs to no activity
)

// ActivityType is a number of Nix's enum of the same name.
type ActivityType int

// The activities this package looks at.
const (
	ActCopyPath     ActivityType = 100
	ActFileTransfer ActivityType = 101
	ActBuilds       ActivityType = 104
	ActBuild        ActivityType = 105 // fields: derivation, machine, round, rounds
	ActSubstitute   ActivityType = 108
)

// ResultType is a number of Nix's enum of the same name.
type ResultType int

// The results this package looks at.
const (
	ResBuildLogLine     ResultType = 101 // fields: line
	ResSetPhase         ResultType = 104 // fields: phase
	ResProgress         ResultType = 105 // fields: done, expected, running, failed
	ResSetExpected      ResultType = 106 // fields: activity type, expected
	ResPostBuildLogLine ResultType = 107 // fields: line
)

// Level is Nix's Verbosity.
type Level int

// The levels, most urgent first.
const (
	Error Level = iota
	Warning
	Notice
	Info
	Talkative
	Chatty
	Debug
	Vomit
)

// Message is one line of the log. Which fields are set depends on the action.
type Message struct {
	Action Action `json:"action"`
	ID     uint64 `json:"id"`     // of the activity
	Parent uint64 `json:"parent"` // of the activity it is part of; 0 if none
	Level  Level  `json:"level"`
	Type   int    `json:"type"` // an ActivityType under Start, a ResultType under Result
	Text   string `json:"text"` // of Start
	Msg    string `json:"msg"`  // of Msg, with ANSI colours
	Fields []any  `json:"fields"`
}

const marker = "@nix "

// Parse reads one line. ok is false if the line is not one of Nix's messages.
func Parse(line string) (m Message, ok bool) {
	rest, found := strings.CutPrefix(line, marker)
	if !found || json.Unmarshal([]byte(rest), &m) != nil || m.Action == "" {
		return Message{}, false
	}
	return m, true
}

// String returns field i if it is a string, else "".
func (m Message) String(i int) string {
	if i >= len(m.Fields) {
		return ""
	}
	s, _ := m.Fields[i].(string)
	return s
}

// Int returns field i if it is a number, else 0.
func (m Message) Int(i int) int64 {
	if i >= len(m.Fields) {
		return 0
	}
	f, _ := m.Fields[i].(float64)
	return int64(f)
}

// Text returns how a line reads to a person, for the tail of an error: a build's own line,
// or a message that is at least a notice. keep is false for everything else Nix says.
func Text(line string) (text string, keep bool) {
	m, ok := Parse(line)
	switch {
	case !ok:
		return Plain(line), true
	case m.Action == Msg && m.Level <= Notice:
		return Plain(m.Msg), true
	case m.Action == Result && m.isLogLine():
		return Plain(m.String(0)), true
	}
	return "", false
}

func (m Message) isLogLine() bool {
	t := ResultType(m.Type)
	return t == ResBuildLogLine || t == ResPostBuildLogLine
}
