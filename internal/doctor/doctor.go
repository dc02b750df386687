// Package doctor examines a host and a place for a prefix: what was found, whether an installation
// can work with it, why that matters, and what to do about it.
//
// [Look] writes nothing. [Try] writes into probe directories of its own, which are gone when it
// returns. [Login] starts the user's shell, and [Ask] makes one request. What the plan refuses comes
// from [probe.Facts.Findings] here as there, so that doctor and plan never disagree.
// The package installs nothing, and never writes to a prefix.
package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"bootstrap/internal/fault"
	"bootstrap/internal/prefix"
	"bootstrap/internal/probe"
)

// Verdict says what a check came to.
type Verdict string

// The verdicts.
const (
	OK      Verdict = "ok"
	Warning Verdict = "warning" // it works, with a drawback that is named
	Refused Verdict = "refused" // it cannot work
)

// Check is one thing that was examined, in the form `doctor --json` prints it.
type Check struct {
	Name    string  `json:"name"`
	Found   string  `json:"found"`
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why"`              // it matters
	Remedy  string  `json:"remedy,omitempty"` // what to do; empty where all is well
}

func ok(name, why, format string, args ...any) Check {
	return Check{Name: name, Found: fmt.Sprintf(format, args...), Verdict: OK, Why: why}
}

// but returns the check with another verdict, and what to do about it.
func (c Check) but(v Verdict, remedy string) Check {
	c.Verdict, c.Remedy = v, remedy
	return c
}

// Options say what to examine. Layout, Facts and Getenv are required.
type Options struct {
	Layout prefix.Layout
	Below  string // a directory that stands for "/", where the files of the prefix lie; empty for "/"
	Facts  probe.Facts
	Need   probe.Need // what the installation takes; the zero value asks for nothing
	Jobs   int        // compilers that are going to run at a time; 0 if nothing is to be compiled
	Asked  bool       // somebody asked for that many
	Groups []uint32   // whose members are trusted with writing

	Getenv func(string) string
	Now    func() time.Time // measures how long something took; nil leaves that out
	Root   fs.FS            // the host's file system from "/" on; nil leaves out what is found there
	// Self is this program with the hidden argument behind which [Serve] is called. Without it
	// nothing is tried that takes another process.
	Self []string

	Devices string // where device files are; default: /dev
	System  System
}

// files returns the directories as they are found on this host.
func (o Options) files() prefix.Layout { return o.Layout.Below(o.Below) }

func (o Options) env(name string) string {
	if o.Getenv == nil {
		return ""
	}
	return o.Getenv(name)
}

// Count returns how many checks have that verdict.
func Count(checks []Check, v Verdict) int {
	n := 0
	for _, c := range checks {
		if c.Verdict == v {
			n++
		}
	}
	return n
}

// Err returns the first refusal as a [fault.Unfit], with the others in its hint; nil if nothing refuses.
func Err(checks []Check) error {
	var first *fault.Error
	for _, c := range checks {
		switch {
		case c.Verdict != Refused:
		case first == nil:
			first = fault.New(fault.Unfit, errors.New(c.Name+": "+c.Found), c.Remedy)
		default:
			first.Hint += fmt.Sprintf("\nalso: %s: %s; %s", c.Name, c.Found, c.Remedy)
		}
	}
	if first == nil {
		return nil
	}
	return first
}
