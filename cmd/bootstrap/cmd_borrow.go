package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/loan"
	"bootstrap/internal/receipt"

	"github.com/spf13/cobra"
)

// borrowFlags are those of a loan.
type borrowFlags struct {
	prefixFlags
	paths []string
	json  bool
}

func borrowCommand(m machine) *cobra.Command {
	f := &borrowFlags{}
	cmd := &cobra.Command{
		Use:   "borrow STORE --prefix DIR [--path STOREPATH]…",
		Short: "Let builds of the prefix use what is in another store",
		Long: `borrow makes the store directory of another Nix, /nix or another prefix, and its profiles visible to
builds of the prefix, and makes GC roots there for the store paths that are named with --path; without
any, for what the default profile there holds now. Run again it adds paths, and repairs what differs.

Nix does not know of it: what builds use of the other store is in no derivation and no reference.`,
		Args: oneStore,
		RunE: func(cmd *cobra.Command, args []string) error { return borrow(cmd.Context(), m, f, args[0]) },
	}
	f.register(cmd.Flags())
	cmd.Flags().StringArrayVar(&f.paths, "path", nil, "a `store path` of the other store to keep there; may be given more than once")
	registerJSON(cmd.Flags(), &f.json, "print the loan as JSON")
	return cmd
}

func oneStore(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 1:
		return nil
	case 0:
		return usageError(cmd, errors.New("no store given"))
	}
	return usageError(cmd, fmt.Errorf("unknown argument %q", args[1]))
}

// borrowing is what `borrow --json` prints.
type borrowing struct {
	receipt.Loan
	Changed  bool     `json:"changed"` // something was done; false if it was like that already
	Warnings []string `json:"warnings"`
}

func borrow(ctx context.Context, m machine, f *borrowFlags, asked string) (err error) {
	from, err := m.lender(asked)
	if err != nil {
		return err
	}
	o, release, err := f.hold(ctx, m, "borrow")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := from.fits(o.own); err != nil {
		return err
	}
	if err := loan.Included(o.layout); err != nil {
		return err
	}
	paths, err := from.paths(m, f.paths)
	if err != nil {
		return err
	}
	made, changed, unkept, err := o.lend(m, from, paths)
	if err != nil {
		return err
	}
	b := borrowing{made, changed, o.warnings(made, unkept)}
	if f.json {
		return printJSON(m.stdout, b)
	}
	printBorrowing(m, o.own, b)
	return nil
}

// borrower is a prefix that nobody else changes now, with what it borrows.
type borrower struct {
	own
	history *journal.History
	loans   []receipt.Loan
}

// hold locks a prefix, and only then looks at what it borrows.
func (f *prefixFlags) hold(ctx context.Context, m machine, command string) (b borrower, release func() error, err error) {
	if b.own, err = f.own(m); err != nil {
		return b, nil, err
	}
	held, err := b.lock(ctx, m, command)
	if err != nil {
		return b, nil, err
	}
	if b.own, err = f.own(m); err == nil {
		b.history, err = journal.Load(b.layout.Journal())
	}
	if err != nil {
		return b, nil, errors.Join(err, held.Release())
	}
	b.loans = loan.Open(b.history, b.receipt)
	return b, held.Release, nil
}

// lend does all that a loan consists of, the record of it first. What is like that already is left.
func (b *borrower) lend(m machine, from lender, paths []string) (made receipt.Loan, changed bool, unkept, err error) {
	var earlier *receipt.Loan
	i := loan.Find(b.loans, from.Store)
	if i >= 0 {
		earlier = &b.loans[i]
	} else if len(paths) == 0 {
		paths = from.baseline()
	}
	made = loan.New(from.Lender, earlier, paths, m.now())
	recorded := earlier != nil && reflect.DeepEqual(made, *earlier)
	if !recorded {
		if err := b.record(m, loan.Borrowing(made)); err != nil {
			return made, true, nil, err
		}
	}
	before, err := loan.Roots(b.layout.Store, made)
	if err != nil {
		before = nil // Keep says why
	}
	if unkept, err = loan.Keep(b.layout.Store, from.Lender, &made); err != nil {
		return made, true, unkept, err
	}
	after, err := loan.Roots(b.layout.Store, made)
	if err != nil {
		after = before
	}
	if i >= 0 {
		b.loans[i] = made
	} else {
		b.loans = append(b.loans, made)
	}
	changed = !recorded || !slices.Equal(before, after) || !loan.Configured(b.layout, b.loans)
	if err := b.configure(m); err != nil {
		return made, changed, unkept, err
	}
	wrote, err := b.write(m)
	return made, changed || wrote, unkept, err
}

// configure makes builds see what is borrowed. The file is recorded before it is made.
func (b *borrower) configure(m machine) error {
	path := b.layout.BorrowedConf()
	slices.SortFunc(b.loans, byStore)
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) && len(b.loans) > 0 {
		if err := b.record(m, journal.Record{Event: journal.Create, Kind: journal.File, Path: path}); err != nil {
			return err
		}
	}
	return loan.Configure(b.layout, b.loans)
}

// write puts the loans into the receipt, if they are others than it has.
func (b *borrower) write(m machine) (wrote bool, err error) {
	if len(b.loans) == 0 && len(b.receipt.Borrowed) == 0 || reflect.DeepEqual(b.loans, b.receipt.Borrowed) {
		return false, nil
	}
	b.receipt.Borrowed, b.receipt.Updated = b.loans, m.now().UTC().Truncate(1e9)
	return true, receipt.Write(b.layout.Receipt(), *b.receipt)
}

// warnings says what borrowing means, and what of it could not be had.
func (b *borrower) warnings(l receipt.Loan, unkept error) []string {
	w := []string{
		"what builds use of " + l.Store + " is recorded nowhere: it is in no derivation and no reference, so it is not copied along, and a change there builds nothing anew",
	}
	switch {
	case unkept != nil:
		w = append(w, fmt.Sprintf("garbage collection of %s may delete what is borrowed: %v; whoever may write there can run this again, or keep it by that Nix: nix-store --realise PATH --add-root LINK",
			l.Store, unkept))
	case len(l.Paths) == 0:
		w = append(w, "garbage collection of "+l.Store+" may delete all that is borrowed: no path was named with --path, and there is no default profile")
	default:
		w = append(w, "garbage collection of "+l.Store+" may delete all that is borrowed but the paths that are kept, and what they refer to")
	}
	if b.sandboxed() {
		return append(w, "builds run as you: where you may write in "+l.Store+", they may")
	}
	return append(w, "builds are not sandboxed in this prefix: they see all that you see, before and after")
}

// sandboxed reports whether builds of the prefix see only what they are shown.
func (o own) sandboxed() bool {
	for _, stage := range o.receipt.Stages {
		if stage.Outputs["sandbox"] == "true" {
			return true
		}
	}
	return false
}

func byStore(a, b receipt.Loan) int { return strings.Compare(a.Store, b.Store) }

// notBorrowed is what becomes of returning a store that is not borrowed.
func notBorrowed(asked string, loans []receipt.Loan) error {
	hint := "this prefix borrows from no store"
	if len(loans) > 0 {
		hint = "it borrows from"
		for _, l := range loans {
			hint += " " + l.Store
		}
	}
	return fault.New(fault.Usage, fmt.Errorf("store %q: is not borrowed", asked), hint)
}
