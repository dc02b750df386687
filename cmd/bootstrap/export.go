package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"

	"bootstrap/internal/closure"
	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/nixlog"
	"bootstrap/internal/receipt"
	"bootstrap/internal/storelock"
	"bootstrap/stages"

	"github.com/google/renameio/v2"
	"github.com/spf13/pflag"
)

// exportFlags are those by which every kind of export is told what, and where to.
type exportFlags struct {
	prefixFlags
	output, file string
	nix          bool
	json         bool
	verbose      bool
}

func (f *exportFlags) register(s *pflag.FlagSet, output string) {
	s.StringVarP(&f.output, "output", "o", "", output)
	f.registerWhat(s)
	registerJSON(s, &f.json, "print what was written, and events, as JSON")
}

// registerWhat registers those that name what is taken elsewhere.
func (f *exportFlags) registerWhat(s *pflag.FlagSet) {
	f.prefixFlags.register(s)
	s.StringVarP(&f.file, "file", "f", "", "build from a `file` of Nix expressions: the arguments are attributes of it")
	s.BoolVar(&f.nix, "nix", false, "the Nix of the prefix itself")
	s.BoolVarP(&f.verbose, "verbose", "v", false, "show the output of builds")
}

// exporting is a closure that is about to be written to a file.
type exporting struct {
	own
	m       machine
	flags   *exportFlags
	wanted  []string // what was named, in that order
	closure *closure.Closure
	root    *os.Root // the store directory
	view    *view
	close   func()
}

// exported is what `export --json` prints, whatever the kind.
type exported struct {
	Output   string    `json:"output"`
	Bytes    int64     `json:"bytes"`
	SHA256   string    `json:"sha256"`
	Store    string    `json:"store"`
	Unpacked int64     `json:"unpacked"` // bytes of the closure
	Paths    []pathRow `json:"paths"`
	Warnings []string  `json:"warnings"`
}

// pathRow is a row of the table of sizes.
type pathRow struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
}

// start finds the prefix, builds what has to be built, and opens the closure of it. More returns
// store paths that belong to it besides. Close must be called in the end.
func (f *exportFlags) start(ctx context.Context, m machine, args []string, more func(own) ([]string, error)) (e *exporting, err error) {
	if err := f.checkOutput(m); err != nil {
		return nil, err
	}
	return f.open(ctx, m, args, more)
}

// open is start without a file to write.
func (f *exportFlags) open(ctx context.Context, m machine, args []string, more func(own) ([]string, error)) (e *exporting, err error) {
	if f.file != "" {
		if f.file, err = m.absolute("--file", f.file); err != nil {
			return nil, err
		}
	}
	o, err := f.own(m)
	if err != nil {
		return nil, err
	}
	e = &exporting{own: o, m: m, flags: f, view: newView(m, viewOptions{json: f.json, verbose: f.verbose}), close: func() {}}
	defer func() {
		if err != nil {
			e.Close()
		}
	}()
	if e.wanted, err = e.name(ctx, args); err != nil {
		return e, err
	}
	e.wanted = unique(e.wanted)
	all := e.wanted
	if more != nil {
		besides, err := more(o)
		if err != nil {
			return e, err
		}
		all = append(append([]string(nil), all...), besides...)
	}
	// A build may want to collect garbage, and so it comes before the lock.
	release, err := storelock.Shared(ctx, o.layout.State, func() { e.say(event.Note, "waiting for a garbage collection of this store") })
	if err != nil {
		return e, err
	}
	e.close = release
	if e.closure, err = e.closures().Of(ctx, all); err != nil {
		return e, err
	}
	e.closure.Wanted = e.wanted
	if e.root, err = e.closure.Open(); err != nil {
		return e, err
	}
	return e, e.verify(ctx)
}

// Close gives back what start has taken; more than once is no error.
func (e *exporting) Close() {
	if e.root != nil {
		e.root.Close()
	}
	e.close()
	e.close = func() {}
	_ = e.view.Close() // what was to be shown is on a terminal that is gone
}

func (e *exporting) say(kind event.Kind, text string) {
	e.view.Emit(event.Event{Time: e.m.now(), Kind: kind, Text: text})
}

func (o own) closures() closure.Options {
	return closure.Options{Nix: o.nix, Store: o.store, Files: o.layout.Store}
}

// checkOutput makes the path of the output absolute, and refuses what cannot be one.
func (f *exportFlags) checkOutput(m machine) (err error) {
	if f.output == "" {
		return fault.New(fault.Usage, errors.New("no output given"), "say which file to write: -o FILE")
	}
	if f.output, err = m.absolute("--output", f.output); err != nil {
		return err
	}
	if info, err := os.Stat(f.output); err == nil && !info.Mode().IsRegular() {
		return fault.New(fault.Usage, fmt.Errorf("--output %q: is there, and is no file", f.output), "give the name of a file, which is replaced if it is there")
	}
	if info, err := os.Stat(filepath.Dir(f.output)); err != nil || !info.IsDir() {
		return fault.New(fault.Usage, fmt.Errorf("--output %q: there is no directory %q", f.output, filepath.Dir(f.output)), "make it first, or give another file")
	}
	return nil
}

// name returns the store paths of what was named. With --file, what is no path is an attribute.
func (e *exporting) name(ctx context.Context, args []string) ([]string, error) {
	var paths, attributes []string
	for _, arg := range args {
		if e.flags.file != "" && !strings.Contains(arg, "/") {
			attributes = append(attributes, arg)
			continue
		}
		path, err := e.m.absolute("path", arg)
		if err != nil {
			return nil, err
		}
		if path, err = e.closures().StorePath(path); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	if e.flags.file != "" {
		if _, err := os.Stat(e.flags.file); err != nil {
			return nil, fault.New(fault.Usage, fmt.Errorf("--file: %w", err), "give the path of a file of Nix expressions, or a directory with a default.nix")
		}
		e.view.Emit(event.Event{Time: e.m.now(), Kind: event.Start, Stage: "build"})
		c := e.closures()
		c.OnLine = nixlog.NewTracker(nixlog.Options{Sink: e.view, Stage: "build", Now: e.m.now}).Line
		built, err := c.Build(ctx, e.flags.file, attributes)
		e.ended("build", err)
		if err != nil {
			return nil, err
		}
		paths = append(built, paths...)
	}
	if e.flags.nix {
		native, err := e.native()
		if err != nil {
			return nil, err
		}
		paths = append(paths, native)
	}
	return paths, nil
}

// native returns the store path of the prefix's own Nix.
func (o own) native() (string, error) {
	native, _ := o.receipt.Stage(stages.Native)
	if path := native.Outputs["nix"]; path != "" && o.receipt.Mode != receipt.Runtime {
		return path, nil
	}
	return "", fault.New(fault.Unfit, fmt.Errorf("prefix %q: there is no Nix in its store: it is in runtime mode", o.layout.Store),
		"`bootstrap --prefix` without --runtime builds one")
}

// verify reads all of the closure: nothing spoilt is taken elsewhere.
func (e *exporting) verify(ctx context.Context) error {
	done := e.meter("verify", e.closure.Bytes())
	err := e.closure.Verify(ctx, e.root, done)
	e.ended("verify", err)
	return err
}

// often is how many bytes lie between two events.
const often = 4 << 20

// meter begins a stage, and returns what counts its bytes.
func (e *exporting) meter(stage string, total int64) func(int64) {
	return meter(e.m, e.view, stage, total)
}

func meter(m machine, sink event.Sink, stage string, total int64) func(int64) {
	sink.Emit(event.Event{Time: m.now(), Kind: event.Start, Stage: stage})
	var done, told int64
	return func(n int64) {
		done += n
		if done-told >= often || done >= total && done > told {
			told = done
			sink.Emit(event.Event{Time: m.now(), Kind: event.Progress, Stage: stage, Unit: event.Bytes, Done: done, Total: total})
		}
	}
}

func (e *exporting) ended(stage string, err error) { ended(e.m, e.view, stage, err) }

func ended(m machine, sink event.Sink, stage string, err error) {
	ev := event.Event{Time: m.now(), Kind: event.Done, Stage: stage}
	if err != nil {
		ev.Kind, ev.Text = event.Fail, err.Error()
	}
	sink.Emit(ev)
}

// produce writes the output by write, which is given a directory for what it needs meanwhile. The
// file appears when it is complete, after ready has looked at its size.
func (e *exporting) produce(ctx context.Context, write func(w io.Writer, scratch string, done func(int64)) error, ready func(bytes int64)) (out exported, err error) {
	out = exported{
		Output: e.flags.output, Store: e.store, Unpacked: e.closure.Bytes(), Paths: []pathRow{}, Warnings: []string{},
	}
	for _, p := range e.closure.Paths {
		out.Paths = append(out.Paths, pathRow{p.Path, p.NarSize})
	}
	dir := filepath.Dir(e.flags.output)
	scratch, err := os.MkdirTemp(dir, ".bootstrap-export-")
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	file, err := renameio.NewPendingFile(e.flags.output, renameio.WithTempDir(dir), renameio.WithStaticPermissions(0o644))
	if err != nil {
		return out, err
	}
	defer file.Cleanup()
	counted := &digested{w: file, h: sha256.New()}
	done := e.meter("pack", e.closure.Bytes())
	err = write(counted, scratch, done)
	if err == nil {
		err = ctx.Err()
	}
	e.ended("pack", err)
	if err != nil {
		return out, err
	}
	out.Bytes, out.SHA256 = counted.n, hex.EncodeToString(counted.h.Sum(nil))
	if ready != nil {
		ready(out.Bytes)
	}
	return out, file.CloseAtomicallyReplace()
}

// digested digests and counts what goes through it.
type digested struct {
	w io.Writer
	h hash.Hash
	n int64
}

func (d *digested) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	d.h.Write(p[:n])
	d.n += int64(n)
	return n, err
}
