// Package loan owns what a prefix borrows of other stores: which of their directories its builds
// see, the GC roots in the lender that keep what was borrowed by name, and the record of both.
//
// A loan is a note in the journal before anything else is done about it, and an entry of the receipt
// when all of it is. What there is, [Open] reads from both, so a borrowing or a returning that was
// cut short is known, and the same steps again end it. The package writes to a lender nothing but
// links and directories in the one directory of GC roots that is named after the borrower.
package loan

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bootstrap/internal/journal"
	"bootstrap/internal/prefix"
	"bootstrap/internal/receipt"
)

// Lender is a store that something is borrowed from.
type Lender struct {
	Store string // its store directory, as its Nix knows it
	Files string // the directory that its files lie in; the same, but of a diverted prefix
	State string // its state directory
}

// New returns the loan of some store paths, none of which is rooted yet. Those of an earlier loan
// of the same store come first.
func New(l Lender, earlier *receipt.Loan, paths []string, now time.Time) receipt.Loan {
	made := receipt.Loan{Store: l.Store, State: l.State, Since: now.UTC().Truncate(time.Second), Sandbox: l.sandbox(), Paths: []receipt.Lent{}}
	if l.Files != l.Store {
		made.Files = l.Files
	}
	if earlier != nil {
		made.Since, made.Paths = earlier.Since, slices.Clone(earlier.Paths)
	}
	for _, p := range paths {
		if !slices.ContainsFunc(made.Paths, func(have receipt.Lent) bool { return have.Path == p }) {
			made.Paths = append(made.Paths, receipt.Lent{Path: p})
		}
	}
	return made
}

// sandbox returns what builds need to see for a path of the store, or of one of its profiles, to
// lead somewhere. Its database and the socket of its daemon are not among them. With "?", builds
// that have nothing to do with the lender go on while it is not there.
// https://nix.dev/manual/nix/2.26/command-ref/conf-file#conf-sandbox-paths
func (l Lender) sandbox() []string {
	store := l.Store
	if l.Files != l.Store {
		store += "=" + l.Files
	}
	return []string{store + "?", prefix.Layout{State: l.State}.Profiles() + "?"}
}

// file returns where a store path of the lender lies.
func (l Lender) file(path string) string {
	return filepath.Join(l.Files, strings.TrimPrefix(path, l.Store))
}

// The texts of the records that borrowing and returning leave in the journal.
const (
	BorrowNote = "borrow"
	ReturnNote = "return"
)

// separator stands between the elements of a list in a record: it is in no path that a sandbox can show.
const separator = " "

// Borrowing returns the record that a loan begins with.
func Borrowing(l receipt.Loan) journal.Record {
	var paths []string
	for _, p := range l.Paths {
		paths = append(paths, p.Path)
	}
	return journal.Record{Event: journal.Note, Text: BorrowNote, Output: map[string]string{
		"store": l.Store, "files": l.Files, "state": l.State, "since": l.Since.Format(time.RFC3339),
		"sandbox": strings.Join(l.Sandbox, separator), "paths": strings.Join(paths, separator),
	}}
}

// Returning returns the record that a loan ends with.
func Returning(store string) journal.Record {
	return journal.Record{Event: journal.Note, Text: ReturnNote, Output: map[string]string{"store": store}}
}

// Open returns the loans of a prefix by their stores: those of the receipt, and those that the
// journal has begun since. Either may be nil.
func Open(h *journal.History, r *receipt.Receipt) []receipt.Loan {
	loans := map[string]receipt.Loan{}
	if h != nil {
		for _, record := range h.Records {
			switch store := record.Output["store"]; {
			case record.Event != journal.Note:
			case record.Text == ReturnNote:
				delete(loans, store)
			case record.Text == BorrowNote:
				if l, ok := read(record.Output); ok {
					loans[store] = l
				}
			}
		}
	}
	if r != nil {
		for _, l := range r.Borrowed {
			loans[l.Store] = merge(l, loans[l.Store].Paths)
		}
	}
	all := []receipt.Loan{}
	for _, l := range loans {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b receipt.Loan) int { return cmp.Compare(a.Store, b.Store) })
	return all
}

// read makes a loan of what [Borrowing] wrote; ok is false where a file was written by somebody else.
func read(out map[string]string) (l receipt.Loan, ok bool) {
	since, err := time.Parse(time.RFC3339, out["since"])
	l = receipt.Loan{
		Store: out["store"], Files: out["files"], State: out["state"], Since: since,
		Sandbox: strings.Fields(out["sandbox"]), Paths: []receipt.Lent{},
	}
	for _, dir := range []string{l.Store, l.State, cmp.Or(l.Files, l.Store)} {
		if !filepath.IsAbs(dir) || filepath.Clean(dir) != dir {
			return l, false
		}
	}
	for _, p := range strings.Fields(out["paths"]) {
		if filepath.Dir(p) != l.Store {
			return l, false
		}
		l.Paths = append(l.Paths, receipt.Lent{Path: p})
	}
	return l, err == nil
}

// merge adds to a loan of the receipt the paths that the journal has besides.
func merge(l receipt.Loan, more []receipt.Lent) receipt.Loan {
	l.Paths = slices.Clone(l.Paths)
	for _, p := range more {
		if !slices.ContainsFunc(l.Paths, func(have receipt.Lent) bool { return have.Path == p.Path }) {
			l.Paths = append(l.Paths, p)
		}
	}
	return l
}

// Find returns the loan of a store, by its store directory or by where its files lie; -1 if there is none.
func Find(loans []receipt.Loan, store string) int {
	return slices.IndexFunc(loans, func(l receipt.Loan) bool { return l.Store == store || l.Files == store && store != "" })
}
