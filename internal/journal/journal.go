// Package journal owns the record of what a run did and was about to do:
// a file of JSON lines that is only ever appended to, each line on the disk before the step it speaks of goes on.
//
// It survives SIGKILL and a power cut. A line without its newline was never finished;
// what it announces has not begun, because a record is written before a step begins
// and again after it has ended. [Load] leaves such a line out and [Open] cuts it off.
//
// Only one process appends at a time; internal/holder sees to that.
// The package never decides what to do about what it reads.
package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unicode/utf8"
)

// Event says what a record speaks of.
type Event string

// The events of a journal.
const (
	Begin  Event = "begin"  // a stage is about to start, with Key
	End    Event = "end"    // it ended well, with Key and Output
	Fail   Event = "fail"   // it ended badly, with Text
	Create Event = "create" // something is about to be made at Path, of the given Kind
	Note   Event = "note"   // Text is worth keeping
)

// Kind says what a Create record makes. It is empty for the other events.
type Kind string

// What can be created.
const (
	Directory Kind = "directory"
	File      Kind = "file"
	Link      Kind = "link"
	// Tree is a directory with everything in it, now and later: all of it goes on uninstall.
	Tree Kind = "tree"
	// Block is a marked block in a file of somebody else's.
	Block Kind = "block"
)

// Record is one line of a journal.
type Record struct {
	Time   time.Time         `json:"time"`
	Run    string            `json:"run"` // which run of the installer wrote it
	Stage  string            `json:"stage,omitempty"`
	Event  Event             `json:"event"`
	Key    string            `json:"key,omitempty"`
	Output map[string]string `json:"output,omitempty"`
	Text   string            `json:"text,omitempty"`
	Path   string            `json:"path,omitempty"` // absolute
	Kind   Kind              `json:"kind,omitempty"`
}

// check refuses records that nobody could make use of.
func (r Record) check() error {
	switch r.Event {
	case Begin, End, Fail:
		if r.Stage == "" {
			return fmt.Errorf("a record of event %q has no stage", r.Event)
		}
	case Create:
		if !filepath.IsAbs(r.Path) || !utf8.ValidString(r.Path) {
			return fmt.Errorf("path %q of a created thing is not absolute and UTF-8", r.Path)
		}
		switch r.Kind {
		case Directory, File, Link, Tree, Block:
		default:
			return fmt.Errorf("kind %q is not known", r.Kind)
		}
	case Note:
	default:
		return fmt.Errorf("event %q is not known", r.Event)
	}
	if r.Time.IsZero() {
		return errors.New("a record has no time")
	}
	return nil
}

// Options says which journal to append to.
type Options struct {
	Path string           // absolute; its directory must exist
	Run  string           // goes into every record
	Now  func() time.Time // the clock
}

// Journal appends to a file. Its methods may be called from several goroutines.
type Journal struct {
	mu   sync.Mutex
	file *os.File
	run  string
	now  func() time.Time
}

// Open opens the journal for appending and makes it, with mode 0600, where there is none.
// An unfinished last line is cut off. The caller closes the journal.
func Open(o Options) (*Journal, error) {
	_, err := os.Lstat(o.Path)
	fresh := errors.Is(err, fs.ErrNotExist)
	file, err := os.OpenFile(o.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	if err := prepare(file, fresh); err != nil {
		file.Close()
		return nil, fmt.Errorf("open journal %q: %w", o.Path, err)
	}
	return &Journal{file: file, run: o.Run, now: o.Now}, nil
}

// prepare makes sure that what is appended starts a line, and that the file itself outlives a power cut.
func prepare(file *os.File, fresh bool) error {
	if fresh {
		return syncDir(filepath.Dir(file.Name()))
	}
	size, whole, err := extent(file)
	if err != nil || size == whole {
		return err
	}
	if err := file.Truncate(whole); err != nil {
		return err
	}
	return file.Sync()
}

// Append writes one record, with the time and the run filled in, and returns when it is on the disk.
// If it returns an error the journal is as it was before.
func (j *Journal) Append(r Record) error {
	r.Time, r.Run = j.now().UTC(), j.run
	if err := r.check(); err != nil {
		return fmt.Errorf("append to journal: %w", err)
	}
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("append to journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.write(append(line, '\n')); err != nil {
		return fmt.Errorf("append to journal: %w", err)
	}
	return nil
}

func (j *Journal) write(line []byte) error {
	before, err := j.file.Stat()
	if err != nil {
		return err
	}
	if _, err = j.file.Write(line); err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		// A full disk leaves half a line, which the next one must not be glued to.
		return errors.Join(err, j.file.Truncate(before.Size()))
	}
	return nil
}

// Begin records that a stage is about to start.
func (j *Journal) Begin(stage, key string) error {
	return j.Append(Record{Stage: stage, Event: Begin, Key: key})
}

// End records that a stage ended well, and what it made.
func (j *Journal) End(stage, key string, output map[string]string) error {
	return j.Append(Record{Stage: stage, Event: End, Key: key, Output: output})
}

// Fail records that a stage ended badly.
func (j *Journal) Fail(stage, key string, cause error) error {
	return j.Append(Record{Stage: stage, Event: Fail, Key: key, Text: cause.Error()})
}

// Create records that something is about to be made, so that uninstall can take it away.
// Call it before making it, and only if it is not there yet.
func (j *Journal) Create(stage string, kind Kind, path string) error {
	return j.Append(Record{Stage: stage, Event: Create, Kind: kind, Path: path})
}

// Note records a sentence.
func (j *Journal) Note(stage, text string) error {
	return j.Append(Record{Stage: stage, Event: Note, Text: text})
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }

// syncDir makes a new entry of a directory outlive a power cut.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
