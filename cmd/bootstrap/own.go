package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"bootstrap/internal/collect"
	"bootstrap/internal/fault"
	"bootstrap/internal/gcroots"
	"bootstrap/internal/holder"
	"bootstrap/internal/journal"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/receipt"
	"bootstrap/stages"
)

// own is a prefix with its own Nix, by absolute path and in a clean environment: whatever nix is
// on PATH may be that of another store.
type own struct {
	place
	nix   nixcmd.Nix
	store string // the store directory as that Nix knows it
}

func (f *prefixFlags) own(m machine) (own, error) {
	at, err := f.locate(m)
	if err != nil {
		return own{}, err
	}
	if at.receipt == nil || at.receipt.Layout.Store != at.layout.Store {
		return own{}, fault.New(fault.Usage, fmt.Errorf("prefix %q: nothing that is complete is installed there", at.layout.Store),
			"give the --prefix it was installed with; `bootstrap --prefix` installs, or goes on")
	}
	program := filepath.Join(at.layout.RuntimeDir(), "bin", "nix")
	if at.receipt.Mode != receipt.Runtime {
		native, _ := at.receipt.Stage(stages.Native)
		program = nixcmd.Program(native.Outputs["nix"])
	}
	o := own{place: at, store: storeOf(at.layout, at.receipt.Diverted)}
	o.nix = nixcmd.Of(at.layout, userName(m), program)
	return o, nil
}

// lock keeps other runs of this program out of the prefix.
func (o own) lock(ctx context.Context, m machine, command string) (*holder.Lock, error) {
	if err := o.layout.MayWrite(); err != nil {
		return nil, err
	}
	return holder.Acquire(ctx, holder.Options{
		Path: o.layout.LockFile(), Prefix: o.layout.Store, Command: "bootstrap " + command, Now: m.now,
	})
}

// record appends to the journal what was done, or is about to be. The prefix is locked.
func (o own) record(m machine, r journal.Record) (err error) {
	j, err := journal.Open(journal.Options{Path: o.layout.Journal(), Run: runName(m), Now: m.now})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	return j.Append(r)
}

func (o own) collector() collect.Options {
	return collect.Options{Layout: o.layout, Store: o.store, Nix: o.nix}
}

func (o own) roots() ([]gcroots.Root, error) { return gcroots.List(o.collector().Dirs()) }
