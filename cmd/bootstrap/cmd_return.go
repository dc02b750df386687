package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"bootstrap/internal/fault"
	"bootstrap/internal/loan"
	"bootstrap/internal/prefix"
	"bootstrap/internal/receipt"

	"github.com/spf13/cobra"
)

func returnCommand(m machine) *cobra.Command {
	f := &prefixFlags{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "return STORE --prefix DIR",
		Short: "Undo what borrow did",
		Long: `return takes away from builds of the prefix what it borrows from another store, and the GC roots that
were made there. It does so also where that store is gone.`,
		Args: oneStore,
		RunE: func(cmd *cobra.Command, args []string) error { return giveBack(cmd.Context(), m, f, args[0], asJSON) },
	}
	f.register(cmd.Flags())
	registerJSON(cmd.Flags(), &asJSON, "print what was undone as JSON")
	return cmd
}

// returning is what `return --json` prints.
type returning struct {
	receipt.Loan
	Removed []string `json:"removed"` // GC roots in the other store
}

func giveBack(ctx context.Context, m machine, f *prefixFlags, asked string, asJSON bool) (err error) {
	store, err := m.storeAt(asked)
	if err != nil {
		return err
	}
	b, release, err := f.hold(ctx, m, "return")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	i := loan.Find(b.loans, store)
	if real, rerr := filepath.EvalSymlinks(store); i < 0 && rerr == nil {
		i = loan.Find(b.loans, real)
	}
	if i < 0 {
		return notBorrowed(asked, b.loans)
	}
	gone, err := b.giveBack(m, i)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(m.stdout, gone)
	}
	fmt.Fprintf(m.stdout, "Builds in %s do not see %s any more.\n", b.layout.Store, gone.Store)
	for _, root := range gone.Removed {
		fmt.Fprintf(m.stdout, "  %-10s %s\n", "removed", root)
	}
	return nil
}

// giveBack ends a loan; the record of that comes last, so that the same command goes on if it cannot.
func (b *borrower) giveBack(m machine, i int) (returning, error) {
	gone := returning{Loan: b.loans[i], Removed: []string{}}
	b.loans = slices.Delete(slices.Clone(b.loans), i, i+1)
	if err := b.configure(m); err != nil {
		return gone, err
	}
	removed, err := loan.Drop(b.layout.Store, gone.Loan)
	gone.Removed = append(gone.Removed, removed...)
	if err != nil {
		return gone, fault.New(fault.General, fmt.Errorf("store %q: %w", gone.Store, err),
			"run it again as somebody who may write there, or have its owner remove "+prefix.Layout{State: gone.State}.LentTo(b.layout.Store))
	}
	if _, err := b.write(m); err != nil {
		return gone, err
	}
	return gone, b.record(m, loan.Returning(gone.Store))
}
