package lock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"bootstrap/internal/fault"
)

const (
	hintNewer  = "the lock was written by a newer release: install that release, or use the lock this one brings along"
	hintSyntax = "a lock is written by `bootstrap lock update`, not by hand: restore the file or write it anew"
	hintUnsafe = "the lock was damaged or tampered with: restore the file, or write it anew from the signed indexes"
)

// Parse reads a lock file and checks all of it: what it returns holds every promise
// that the fields of [Lock], [Suite] and [Entry] make.
//
// An error is a [fault.Error]: of kind [fault.Usage] if the text is no lock of this version,
// of kind [fault.Verify] if it is one that must not be trusted.
func Parse(data []byte) (*Lock, error) {
	var head struct {
		Version *int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fault.New(fault.Usage, fmt.Errorf("lock: %w", err), hintSyntax)
	}
	switch v := head.Version; {
	case v == nil:
		return nil, fault.New(fault.Usage, errors.New("lock: no field \"version\""), hintSyntax)
	case *v > FormatVersion:
		return nil, fault.New(fault.Usage, fmt.Errorf("lock: format version %d, newest known is %d", *v, FormatVersion), hintNewer)
	case *v < 1:
		return nil, fault.New(fault.Usage, fmt.Errorf("lock: format version %d", *v), hintSyntax)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	l := new(Lock)
	if err := dec.Decode(l); err != nil {
		return nil, fault.New(fault.Usage, fmt.Errorf("lock: %w", err), hintSyntax)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Usage, errors.New("lock: text after the closing brace"), hintSyntax)
	}
	if err := l.Check(); err != nil {
		return nil, err
	}
	return l.canonical(), nil
}
