// Package registry owns the list of this account's prefixes: one small file in the account's state
// directory, which every installation adds its prefix to and every removal takes it from. It also
// says what a prefix is like on the disk, and which store a path belongs to.
//
// The list is a help for finding prefixes and nothing depends on it: a prefix works without it, and
// what the list says is looked at ([Look]) before anybody is told. The directories that had to be
// made for the file are noted in it, so that the last prefix takes them along.
package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"bootstrap/internal/fault"
)

// Version is the version of the format that is written, and the newest that is read.
const Version = 1

// List is what the file says.
type List struct {
	Version     int      `json:"version"`
	Prefixes    []string `json:"prefixes"`    // store directories, in the order they were added
	Directories []string `json:"directories"` // made for this file, outermost first
}

// File is the place of the list.
type File struct {
	path string
	home string // HOME; "" if it is not known
	// needsHome says that the file is below HOME, which is never made.
	needsHome bool
}

// Place returns the file of the account with that HOME and XDG_STATE_HOME, which may be empty
// (XDG Base Directory Specification 0.8: a relative XDG_STATE_HOME is to be ignored).
func Place(home, stateHome string) (File, error) {
	if !filepath.IsAbs(home) {
		home = ""
	}
	switch {
	case filepath.IsAbs(stateHome):
		return File{path: in(stateHome), home: home}, nil
	case home != "":
		return File{path: in(filepath.Join(home, ".local", "state")), home: home, needsHome: true}, nil
	}
	return File{}, fault.New(fault.General, errors.New("neither HOME nor XDG_STATE_HOME is set"),
		"set HOME to have prefixes listed")
}

func in(stateHome string) string {
	return filepath.Join(filepath.Clean(stateHome), "bootstrap", "prefixes.json")
}

// Path returns where the file is, or is going to be.
func (f File) Path() string { return f.path }

func (f File) dir() string { return filepath.Dir(f.path) }

// ErrDamaged is the cause where the file makes no sense, ErrNewer where its version is above [Version].
var (
	ErrDamaged = errors.New("damaged")
	ErrNewer   = errors.New("written by a newer bootstrap")
)

// Load reads the list. A file that is not there is an empty list. What is wrong with one that is
// there is a [fault.Error] with [ErrDamaged] or [ErrNewer] in its chain, or the system's error.
func (f File) Load() (List, error) {
	data, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return List{Version: Version}, nil
	}
	if err != nil {
		return List{}, fault.New(fault.General, fmt.Errorf("list of prefixes: %w", err),
			"make it readable for you; prefixes work without it")
	}
	list, err := parse(data)
	switch {
	case errors.Is(err, ErrNewer):
		return List{}, fault.New(fault.General, fmt.Errorf("list of prefixes %q: %w", f.path, err),
			"use a newer bootstrap, at least the one that wrote it")
	case err != nil:
		return List{}, fault.New(fault.General, fmt.Errorf("list of prefixes %q: %w: %w", f.path, ErrDamaged, err),
			"move the file away; the install command of each prefix, run again, writes it into a new one")
	}
	return list, nil
}

// parse reads exactly one list, with no field that is not known.
func parse(data []byte) (List, error) {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return List{}, err
	}
	switch {
	case head.Version > Version:
		return List{}, fmt.Errorf("format version %d, and this one knows up to %d: %w", head.Version, Version, ErrNewer)
	case head.Version < 1:
		return List{}, fmt.Errorf("format version %d does not exist", head.Version)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var list List
	if err := dec.Decode(&list); err != nil {
		return List{}, err
	}
	for _, path := range slices.Concat(list.Prefixes, list.Directories) {
		if !filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/" {
			return List{}, fmt.Errorf("path %q is not absolute and clean", path)
		}
	}
	return list, nil
}

// own returns those of the directories that are on the way to the file. Whatever else the file
// names is not removed.
func (f File) own(dirs []string) []string {
	var own []string
	for dir := f.dir(); dir != "/"; dir = filepath.Dir(dir) {
		if slices.Contains(dirs, dir) {
			own = append(own, dir)
		}
	}
	slices.Reverse(own)
	return own
}
