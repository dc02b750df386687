package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/loan"
	"bootstrap/internal/lock"
	"bootstrap/internal/prefix"
	"bootstrap/internal/receipt"
	"bootstrap/stages"

	"github.com/spf13/cobra"
)

// status is what `status --json` prints.
type status struct {
	Complete bool             `json:"complete"`
	Stages   []stages.State   `json:"stages"`
	Receipt  *receipt.Receipt `json:"receipt,omitempty"`
	Usage    []stages.Usage   `json:"usage"`
	Warnings []string         `json:"warnings,omitempty"`
	LastGC   *lastGC          `json:"last_gc,omitempty"` // of `bootstrap gc`; none if there was none
	Borrowed []receipt.Loan   `json:"borrowed,omitempty"`
	Drift    []drift          `json:"drift,omitempty"` // what is not as it was made

	Generation  int `json:"generation,omitempty"`  // the number of the current one; none in runtime mode
	Generations int `json:"generations,omitempty"` // how many there are
}

func statusCommand(m machine) *cobra.Command {
	f := &stateFlags{}
	cmd := &cobra.Command{
		Use:   "status --prefix DIR",
		Short: "Show what is installed, and where the minutes and the megabytes went",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return showStatus(cmd.Context(), m, f)
		},
	}
	f.register(cmd.Flags(), "print it as JSON")
	return cmd
}

func showStatus(ctx context.Context, m machine, f *stateFlags) error {
	at, err := f.locate(m)
	if err != nil {
		return err
	}
	if at.receipt != nil && at.receipt.Layout.Store != at.layout.Store {
		return fault.New(fault.Unfit,
			fmt.Errorf("prefix %q: its receipt is that of %q", at.layout.Store, at.receipt.Layout.Store),
			"if it was moved, move it back; Nix has the directory compiled in")
	}
	if err := at.layout.MayWrite(); err != nil {
		return err
	}
	o, err := f.options(m, at.layout)
	if err != nil {
		return err
	}
	if f.lockFile == "" {
		o.Lock = ownLock(at.layout, o.Lock)
	}
	p, err := stages.Survey(ctx, o)
	if err != nil {
		return err
	}
	if !p.Begun() && at.receipt == nil && at.damaged == nil {
		return fault.New(fault.Usage, fmt.Errorf("prefix %q: nothing is installed there", at.layout.Store),
			"give the --prefix it was installed with; `bootstrap --prefix` installs")
	}
	s := status{Complete: p.Complete(), Stages: p.Stages, Receipt: at.receipt}
	if at.damaged != nil {
		s.Warnings = append(s.Warnings, fmt.Sprintf("%v; %s", at.damaged, fault.HintOf(at.damaged)))
	}
	history, err := journal.Load(at.layout.Journal())
	if err != nil {
		return err
	}
	s.LastGC, s.Borrowed = lastCollection(history), loan.Open(history, at.receipt)
	s.Drift = records{
		layout: at.layout, history: history, receipt: at.receipt, runtime: p.Mode == receipt.Runtime,
	}.drifted()
	if s.Generation, s.Generations, err = countGenerations(at.layout); err != nil {
		return err
	}
	if s.Usage, err = stages.Measure(ctx, at.layout); err != nil {
		return err
	}
	if f.json {
		return printJSON(m.stdout, s)
	}
	for _, w := range s.Warnings {
		fmt.Fprintf(m.stderr, "warning: %s\n", w)
	}
	printStatus(m.stdout, p, s)
	return nil
}

// countGenerations returns the number of the current generation, and how many there are.
func countGenerations(l prefix.Layout) (current, count int, err error) {
	all, err := stages.Generations(l)
	for _, g := range all {
		if g.Current {
			current = g.Number
		}
	}
	return current, len(all), err
}

// ownLock returns the lock that a prefix was built from, or another where it has none.
func ownLock(l prefix.Layout, other *lock.Lock) *lock.Lock {
	data, err := os.ReadFile(filepath.Join(l.Packages, "lock.json"))
	if err != nil {
		return other
	}
	own, err := lock.Parse(data)
	if err != nil {
		return other
	}
	return own
}
