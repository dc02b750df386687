package stages

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/holder"
	"bootstrap/internal/journal"
	"bootstrap/internal/lock"
	"bootstrap/internal/prefix"
	"bootstrap/internal/probe"
	"bootstrap/internal/receipt"

	version "github.com/hashicorp/go-version"
)

// installation is one run of the pipeline: the options, and what became known since.
type installation struct {
	Options
	layout   prefix.Layout
	version  *version.Version // of the Nix to build
	set      *Set             // the package set; nil for the embedded one
	packaged packaged         // the files of the embedded one, once they were asked for
	lock     *lock.Lock       // the seed in use: the one of Options, unless a file of it is gone
	arch     string           // as Debian calls it
	facts    probe.Facts
	history  *journal.History // before this run
	journal  *journal.Journal
	done     map[string]outputs // of the stages that are done by now
	offers   map[string]*offer  // of caches, by the stages whose outputs they have
	builds   map[string]bool    // stages that no cache has, and that are not done
	asked    map[string]bool    // keys that the caches were asked for
	lacks    []string           // what none of them has, and why
	asks     bool               // caches are to be asked
	seconds  map[string]float64
	hooks    []receipt.Hook
	shell    []byte          // the first shell, where it came with a bundle
	made     map[string]bool // paths that this installer has made, in any run
	keys     map[string]string
	gen      generation // that it works on
	leaves   generation // that is current before
	rolling  bool       // back to a generation that is there

	thorough bool      // every byte of the toolchain is looked at, not only its shape
	audited  *Repaired // what [Repair] has found; nil in an installation
}

func begin(o Options) (*installation, error) {
	r := &installation{
		Options: o, layout: o.Layout, lock: o.Lock,
		done: map[string]outputs{}, offers: map[string]*offer{}, builds: map[string]bool{}, asked: map[string]bool{}, seconds: map[string]float64{}, made: map[string]bool{},
	}
	if r.Sink == nil {
		r.Sink = event.Discard()
	}
	if r.set = o.Packages; r.set == nil {
		r.set = recordedSet(o)
	}
	var err error
	if r.set.embedded() {
		r.set = nil
		r.version, err = nixVersion(o.Lock, o.NixVersion)
	} else {
		r.version, err = r.set.nixVersion(o.NixVersion)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Result is what an installation ended with.
type Result struct {
	Plan    *Plan
	Receipt *receipt.Receipt
	Nothing bool // all was there already
}

// Execute makes the plan, has it confirmed, and carries it out.
//
// Ended by ctx it returns a [fault.Interrupted]; run again, it goes on where it was.
func Execute(ctx context.Context, o Options) (*Result, error) {
	p, err := Make(ctx, o)
	if err != nil {
		return nil, err
	}
	if p.Complete() && p.run.gen.settled() {
		rec, err := receipt.Load(p.Layout.Receipt())
		if err == nil {
			return &Result{Plan: p, Receipt: rec, Nothing: true}, nil
		}
		if errors.Is(err, receipt.ErrNewer) {
			return nil, err
		}
		// Missing or damaged, it is written anew: the journal knows what there is.
	}
	if err := p.agreed(ctx); err != nil {
		return nil, err
	}
	rec, err := p.run.execute(ctx)
	if err != nil {
		return nil, p.run.outOf(err)
	}
	return &Result{Plan: p, Receipt: rec}, nil
}

// hold takes the lock of the prefix, and tells if it was left by a run that has died.
func (r *installation) hold(ctx context.Context) (*holder.Lock, error) {
	held, err := holder.Acquire(ctx, holder.Options{
		Path: r.layout.LockFile(), Prefix: r.layout.Store, Command: r.Command, Now: r.Now,
	})
	if err == nil && held.Note != "" {
		r.emit(event.Warn, "", held.Note)
	}
	return held, err
}

func (r *installation) execute(ctx context.Context) (rec *receipt.Receipt, err error) {
	if err := r.open(); err != nil {
		return nil, err
	}
	held, err := r.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, held.Release()) }()
	j, err := journal.Open(journal.Options{Path: r.layout.Journal(), Run: r.Run, Now: r.Now})
	if err != nil {
		return nil, err
	}
	r.journal = j
	defer func() { err = errors.Join(err, j.Close()) }()

	// Now that nobody else can: somebody may have been here since the plan was made.
	if err := r.look(ctx); err != nil {
		return nil, err
	}
	r.remember()
	if err := r.prepare(); err != nil {
		return nil, err
	}
	if err := r.stagesOn(ctx); err != nil {
		return nil, err
	}
	if err := r.audit(ctx); err != nil {
		return nil, err
	}
	if err := r.announcePlaces(); err != nil {
		return nil, err
	}
	rec, err = r.writeReceipt()
	if err == nil {
		err = r.activate()
	}
	if err == nil {
		err = r.leftScaffold(ctx)
	}
	return rec, err
}

// stagesOn runs the stages on a database that can be read: one that cannot is put aside, once.
func (r *installation) stagesOn(ctx context.Context) error {
	trouble := r.databaseTrouble()
	if trouble == "" {
		err := r.stages(ctx)
		words, broken := databaseBroken(err)
		if !broken || ctx.Err() != nil {
			return err
		}
		trouble = words
	}
	if err := r.resetDatabase(trouble); err != nil {
		return err
	}
	return r.stages(ctx)
}

// stages runs what is not done. The lock may change on the way, and with it the keys.
func (r *installation) stages(ctx context.Context) error {
	states, err := r.survey(ctx)
	if err == nil {
		err = r.otherThanInstalled() // somebody may have been here since the plan was made
	}
	if err != nil {
		return err
	}
	for i, s := range r.pipeline() {
		st := states[i]
		if st.Done {
			r.done[s.name] = st.Outputs
			r.emit(event.Skip, s.name, "")
			continue
		}
		if err := r.adopt(ctx); err != nil {
			return err
		}
		before := r.lock
		if err := r.stage(ctx, s, st.Key); err != nil {
			return err
		}
		if r.lock != before {
			return r.stages(ctx)
		}
	}
	return nil
}

// stage runs one stage between two records of the journal.
func (r *installation) stage(ctx context.Context, s stage, key string) error {
	started := r.Now()
	r.emit(event.Start, s.name, r.doing(s))
	if err := r.record(s.name+" begin", r.journal.Begin(s.name, key)); err != nil {
		return err
	}
	out, err := r.produce(ctx, s)
	if err == nil && s.name == Fetch {
		key, err = s.key(r, "") // the seed may be another one by now
	}
	if err == nil && !s.intact(ctx, r, out) {
		err = fault.New(fault.General, fmt.Errorf("stage %s: what it made is not as it should be", s.name),
			"run the same command again; if that does not help, please report it with the log")
	}
	if err == nil && s.name != Fetch { // which does so file by file
		_ = r.record(s.name+" built", nil)
		err = r.record(s.name+" flushed", r.flush())
	}
	if err != nil {
		return r.failed(ctx, s, key, err)
	}
	r.done[s.name] = out
	r.seconds[s.name] = r.Now().Sub(started).Seconds()
	out["seconds"] = fmt.Sprintf("%.3f", r.seconds[s.name])
	if err := r.record(s.name+" end", r.journal.End(s.name, key, out)); err != nil {
		return err
	}
	r.history.Records = append(r.history.Records, journal.Record{
		Stage: s.name, Event: journal.End, Key: key, Output: out,
	})
	r.emit(event.Done, s.name, out["summary"])
	return nil
}

// failed records the failure, and makes of it an error that says what to do.
func (r *installation) failed(ctx context.Context, s stage, key string, cause error) error {
	err := cause
	if ctx.Err() != nil {
		err = fault.New(fault.Interrupted, fmt.Errorf("interrupted in stage %s", s.name),
			"run the same command again to go on from here")
	}
	r.emit(event.Fail, s.name, err.Error())
	if jerr := r.journal.Fail(s.name, key, cause); jerr != nil {
		err = errors.Join(err, jerr)
	}
	if fault.LogOf(err) != "" {
		return err
	}
	log := r.layout.StageLog(s.name)
	if _, serr := os.Stat(log); serr != nil {
		return err
	}
	return &fault.Error{Kind: fault.KindOf(err), Err: err, Hint: fault.HintOf(err), Log: log}
}

// record gives tests the chance to end the process right after a record was written.
func (r *installation) record(point string, err error) error {
	if err == nil && r.Crash != nil {
		r.Crash(point)
	}
	return err
}

func (r *installation) emit(kind event.Kind, stage, text string) {
	r.Sink.Emit(event.Event{Time: r.Now(), Kind: kind, Stage: stage, Text: text})
}

// readFile reads a file of the installer's own, whole.
func readFile(path string) ([]byte, error) { return os.ReadFile(filepath.Clean(path)) }
