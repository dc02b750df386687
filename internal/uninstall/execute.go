package uninstall

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/shellrc"
)

// Stage is the stage of the events a removal emits.
const Stage = "uninstall"

// Report says what a removal did.
type Report struct {
	Files       int64            `json:"files"`       // everything that is no directory, links too
	Directories int64            `json:"directories"` // that were removed
	Bytes       int64            `json:"bytes"`       // in files whose last name went
	Hooks       []shellrc.Change `json:"hooks"`       // shell start-up files that were changed
	Foreign     []string         `json:"foreign"`     // left, because they are not ours
	Dangling    []string         `json:"dangling"`    // links elsewhere that lead nowhere now
	Failed      []string         `json:"failed"`      // could not be removed, with the cause; the first of them
	Warnings    []string         `json:"warnings"`
}

// maxFailed bounds the length of [Report.Failed].
const maxFailed = 20

// execution is a removal under way.
type execution struct {
	*Removal
	sink    event.Sink
	at      StepName
	report  Report
	foreign []string
	failed  int
	first   error
	changed map[string]fs.FileMode // directories of ours that were made writable, and their modes
}

// Execute removes what was planned. It may be called once, and after an error a new [Plan] goes on from there.
// onStep, if it is not nil, is called before each step.
//
// What cannot be removed does not keep the rest from being removed;
// but then, and when ctx ends, the journal and the directories stay, and the error says what to do.
// Foreign files are no error. The report is right in every case.
func (r *Removal) Execute(ctx context.Context, sink event.Sink, onStep func(Step)) (Report, error) {
	if sink == nil {
		sink = event.Discard()
	}
	if onStep == nil {
		onStep = func(Step) {}
	}
	e := &execution{Removal: r, sink: sink, changed: map[string]fs.FileMode{}}
	e.emit(event.Event{Kind: event.Start})
	for _, w := range r.Warnings {
		e.warn(w)
	}
	err := e.run(ctx, onStep)
	e.restore()
	e.finish()
	if err != nil {
		e.emit(event.Event{Kind: event.Fail, Text: err.Error()})
		return e.report, err
	}
	e.emit(event.Event{Kind: event.Done})
	return e.report, nil
}

func (e *execution) run(ctx context.Context, onStep func(Step)) error {
	for _, s := range e.Steps {
		if e.failed > 0 && (s.Name == Directories || s.Name == Journal) {
			return e.failure()
		}
		e.at = s.Name
		onStep(s)
		if err := e.take(ctx, s); err != nil {
			return fault.New(fault.Interrupted, fmt.Errorf("uninstall %q: %s: %w", e.Layout.Store, s.Name, err),
				"run the same command again: it goes on where it stopped")
		}
	}
	if e.failed > 0 {
		return e.failure()
	}
	return nil
}

// take takes a step. It fails only if ctx ends.
func (e *execution) take(ctx context.Context, s Step) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch s.Name {
	case Borrowed:
		e.giveBack()
	case ShellHooks:
		e.hooks()
	case Directories:
		// Those above the work directory are needed as long as the journal is.
		for _, dir := range s.Paths {
			if !within(e.Layout.Work, dir) {
				e.removeEmpty(dir)
			}
		}
	case Journal:
		e.journal()
	default:
		for _, g := range s.groups {
			if err := e.group(ctx, g); err != nil {
				return err
			}
		}
	}
	e.progress()
	return nil
}

func (e *execution) hooks() {
	o := e.opts.Shell
	recorded := e.rec.hooks
	if o.Home == "" {
		if len(recorded) == 0 {
			return
		}
		o.Home = filepath.Dir(recorded[0].Path)
	}
	changes, err := shellrc.Remove(o, recorded)
	e.report.Hooks = append(e.report.Hooks, changes...)
	if err == nil {
		return
	}
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, err := range all {
		text := err.Error()
		if hint := fault.HintOf(err); hint != "" {
			text += "; " + hint
		}
		e.warn(text)
	}
}

// group removes entries of one directory.
func (e *execution) group(ctx context.Context, g group) error {
	dir, err := e.openDir(g.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, errLink):
		e.warn(fmt.Sprintf("left what was in %q: %v", g.dir, err))
		return nil
	case err != nil:
		e.fail(g.dir, err)
		return nil
	}
	defer dir.Close()
	if e.rec.made(g.dir) {
		e.makeWritable(dir, g.dir)
	}
	for _, t := range g.entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := e.target(ctx, dir, g.dir, t); err != nil {
			return err
		}
	}
	return nil
}

// makeWritable lets entries of a directory of ours be removed. Somebody else's is never changed.
func (e *execution) makeWritable(dir *os.Root, path string) {
	info, err := dir.Stat(".")
	if err != nil {
		return
	}
	// An error shows when an entry cannot be removed.
	if changed, _ := unlock(dir, ".", info.Mode()); changed {
		e.changed[path] = modeBits(info.Mode())
	}
}

// restore gives the directories that were made writable and are still there their modes back.
func (e *execution) restore() {
	for path, mode := range e.changed {
		if dir, err := e.openDir(path); err == nil {
			_ = dir.Chmod(".", mode)
			dir.Close()
		}
	}
}

// target removes one planned entry.
func (e *execution) target(ctx context.Context, dir *os.Root, parent string, t entry) error {
	path := filepath.Join(parent, t.name)
	info, err := dir.Lstat(t.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		e.fail(path, err)
		return nil
	case info.IsDir() && t.kind == journal.Tree:
		s := &sweep{execution: e, dir: dir, path: parent, ours: t.ours}
		return s.tree(ctx, t.name, info)
	case info.IsDir(), t.kind == journal.Link && info.Mode()&fs.ModeSymlink == 0:
		e.foreign = append(e.foreign, path) // somebody put it where ours was
		return nil
	}
	if err := e.unlink(dir, t.name, info); err != nil {
		e.fail(path, err)
	}
	return nil
}

// unlink removes what is no directory, and counts it.
func (e *execution) unlink(dir *os.Root, name string, info fs.FileInfo) error {
	if err := dir.Remove(name); err != nil {
		return missingIsFine(err)
	}
	e.report.Files++
	if info.Mode().IsRegular() && lastLink(info) {
		e.report.Bytes += info.Size()
	}
	if e.report.Files%500 == 0 {
		e.progress()
	}
	return nil
}

// finish completes the report.
func (e *execution) finish() {
	all := append(slices.Clone(e.Foreign), e.foreign...)
	all = slices.DeleteFunc(all, func(p string) bool {
		_, err := os.Lstat(p)
		return errors.Is(err, fs.ErrNotExist)
	})
	e.report.Foreign = tidy(all)
	e.report.Dangling = e.Dangling
}

// fail notes that something could not be removed.
func (e *execution) fail(path string, err error) {
	e.failed++
	if e.first == nil {
		e.first = fmt.Errorf("%q: %w", path, cause(err))
	}
	if len(e.report.Failed) < maxFailed {
		e.report.Failed = append(e.report.Failed, fmt.Sprintf("%q: %v", path, cause(err)))
	}
}

// cause takes off what [os.Root] says of a path: only its last element.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func (e *execution) failure() error {
	err := fmt.Errorf("uninstall %q: not everything could be removed: %w", e.Layout.Store, e.first)
	if e.failed > 1 {
		err = fmt.Errorf("uninstall %q: %d things could not be removed, the first is %w", e.Layout.Store, e.failed, e.first)
	}
	hint := fault.HintOf(e.first)
	switch {
	case hint != "":
	case errors.Is(e.first, fs.ErrPermission):
		hint = "run the same command again as the user who owns it, or as root"
	default:
		hint = "see to that and run the same command again: it goes on where it stopped"
	}
	return fault.New(fault.General, err, hint)
}

func (e *execution) warn(text string) {
	e.report.Warnings = append(e.report.Warnings, text)
	e.emit(event.Event{Kind: event.Warn, Text: text})
}

func (e *execution) progress() {
	e.emit(event.Event{Kind: event.Progress, Unit: event.Files, Done: e.report.Files, Text: string(e.at)})
}

func (e *execution) emit(ev event.Event) {
	ev.Stage = Stage
	if e.opts.Now != nil {
		ev.Time = e.opts.Now()
	}
	e.sink.Emit(ev)
}
