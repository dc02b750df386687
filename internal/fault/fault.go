// Package fault gives an error what the person at the terminal needs from it:
// which exit code it ends the program with, and what to do about it.
//
// It never prints; package main does.
package fault

import "errors"

// Kind says how the program ends; its value is the exit code.
type Kind int

// The exit codes, as help and README document them.
const (
	General     Kind = 1   // anything not listed below
	Usage       Kind = 2   // flags or arguments are wrong
	Unfit       Kind = 3   // this host or this prefix cannot work
	Verify      Kind = 4   // a digest or a signature did not match
	Locked      Kind = 5   // another run holds the prefix
	Interrupted Kind = 130 // a signal ended the run
)

// Error is an error with an exit code and a remedy.
type Error struct {
	Kind Kind
	Err  error
	Hint string // one sentence: what to do; may be empty
	Log  string // absolute path of a log with more; may be empty
}

// New returns an [Error] of the given kind.
func New(kind Kind, err error, hint string) *Error {
	return &Error{Kind: kind, Err: err, Hint: hint}
}

// Error returns the text of the cause alone; the hint is printed on a line of its own.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the outermost [Error] in err's chain, or [General].
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return General
}

// HintOf returns the first hint in err's chain that is not empty.
func HintOf(err error) string {
	return find(err, func(e *Error) string { return e.Hint })
}

// LogOf returns the first log path in err's chain that is not empty.
func LogOf(err error) string {
	return find(err, func(e *Error) string { return e.Log })
}

func find(err error, field func(*Error) string) string {
	var e *Error
	for errors.As(err, &e) {
		if s := field(e); s != "" {
			return s
		}
		err = e.Err
	}
	return ""
}
