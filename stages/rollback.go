package stages

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/lineage"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/receipt"
)

// Rollback makes a generation that is there the current one: that of the number, or for 0 the one
// before the current one. It is proved first, by a build; and it is refused where its Nix cannot read
// the database, as a newer Nix has left it, any more. [Options.Lock] is not needed.
func Rollback(ctx context.Context, o Options, number int) (_ *lineage.Generation, err error) {
	r := &installation{
		Options: o, layout: o.Layout, rolling: true,
		done: map[string]outputs{}, seconds: map[string]float64{}, made: map[string]bool{},
	}
	if r.Sink == nil {
		r.Sink = event.Discard()
	}
	if _, err := r.backTo(number); err != nil { // before anything is written
		return nil, err
	}
	held, err := r.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, held.Release()) }()
	to, err := r.backTo(number) // now that nobody else can change it
	if err != nil {
		return nil, err
	}
	j, err := journal.Open(journal.Options{Path: r.layout.Journal(), Run: r.Run, Now: r.Now})
	if err != nil {
		return nil, err
	}
	r.journal = j
	defer func() { err = errors.Join(err, j.Close()) }()
	if r.history, err = journal.Load(r.layout.Journal()); err != nil {
		return nil, err
	}
	r.remember()
	if err := r.rollBack(ctx, to); err != nil {
		return nil, err
	}
	to.Current = true
	return &to, nil
}

// backTo returns the generation to go back to, if there is one.
func (r *installation) backTo(number int) (lineage.Generation, error) {
	all, err := Generations(r.layout)
	if err != nil {
		return lineage.Generation{}, err
	}
	now := slices.IndexFunc(all, func(g lineage.Generation) bool { return g.Current })
	const hint = "`bootstrap history` lists those that are there"
	switch {
	case now < 0:
		return lineage.Generation{}, fault.New(fault.Usage, fmt.Errorf("prefix %q: it has no generations", r.layout.Store),
			"give the --prefix of one that is complete, and not in runtime mode")
	case number == all[now].Number:
		return lineage.Generation{}, fault.New(fault.Usage, fmt.Errorf("generation %d: it is the current one", number), hint)
	case number > 0:
		to, ok := lineage.Find(all, number)
		if !ok {
			return to, fault.New(fault.Usage, fmt.Errorf("generation %d: there is none", number), hint)
		}
		if to.Receipt == nil {
			return to, fault.New(fault.Usage, fmt.Errorf("generation %d: it was never complete", number), hint)
		}
		return to, nil
	}
	for _, g := range slices.Backward(all[:now]) {
		if g.Receipt != nil {
			return g, nil
		}
	}
	return lineage.Generation{}, fault.New(fault.Usage, fmt.Errorf("prefix %q: there is no generation before the current one", r.layout.Store), hint)
}

func (r *installation) rollBack(ctx context.Context, to lineage.Generation) error {
	for _, s := range to.Receipt.Stages {
		r.done[s.Name] = maps.Clone(s.Outputs)
	}
	r.gen = generation{number: to.Number}
	native := r.done[Native]["nix"]
	n := r.builtNix(Prove, nixcmd.Program(native))
	n.Options = nil
	if err := r.guardSchema(ctx, n, "Nix "+to.Receipt.NixVersion+" of generation "+fmt.Sprint(to.Number)); err != nil {
		return err
	}
	if err := r.readableBy(to); err != nil {
		return err
	}
	kept := []string{native}
	tools, names := r.tools()
	for _, name := range names {
		kept = append(kept, tools[name])
	}
	if !n.Valid(ctx, kept...) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fault.New(fault.Unfit, fmt.Errorf("generation %d: not all that it consists of is valid in the store", to.Number),
			"`bootstrap upgrade` with the lock and the program that made it makes it anew")
	}
	home := filepath.Join(r.layout.TmpDir(), "proof")
	if err := freshTree(home); err != nil {
		return err
	}
	err := r.proveAlone(ctx, home)
	err = errors.Join(err, removeTree(home), r.forgetProofs(ctx))
	if err != nil {
		return err
	}
	if err := r.carryOver(to); err != nil {
		return err
	}
	return r.activate()
}

// readableBy refuses a generation of before the prefix was one of a group, whose members its nix.conf
// would lock out.
func (r *installation) readableBy(to lineage.Generation) error {
	if _, grouped := r.layout.Readers(); !grouped {
		return nil
	}
	if s, _ := to.Receipt.Stage(Configure); s.Outputs[r.layout.WriterConf()] != "" {
		return nil
	}
	return fault.New(fault.Unfit, fmt.Errorf("generation %d: with its nix.conf, the group that reads the prefix could read nothing: it is older than that", to.Number),
		"`bootstrap upgrade` with the lock and the program that made it makes one like it that they can read")
}

// carryOver takes into the receipt of a generation what is not a generation's own but the prefix's:
// what was made, start-up files, and what is borrowed.
func (r *installation) carryOver(to lineage.Generation) error {
	now, err := receipt.Load(r.layout.Receipt())
	if err != nil {
		return err
	}
	rec := *to.Receipt
	rec.Created, rec.Made, rec.Hooks, rec.Borrowed = now.Created, now.Made, now.Hooks, now.Borrowed
	rec.Updated = r.Now().UTC().Truncate(time.Second)
	return receipt.Write(r.at(r.layout.Receipt()), rec)
}
