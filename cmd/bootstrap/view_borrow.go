package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"bootstrap/internal/loan"
	"bootstrap/internal/receipt"
)

// printBorrowing prints for people what builds see now, and what they are to know of it.
func printBorrowing(m machine, o own, b borrowing) {
	if !b.Changed {
		fmt.Fprintf(m.stdout, "Builds in %s see %s already; nothing to do.\n", o.layout.Store, b.Store)
	} else {
		fmt.Fprintf(m.stdout, "Builds in %s see %s.\n", o.layout.Store, b.Store)
	}
	for _, word := range b.Sandbox {
		fmt.Fprintf(m.stdout, "  %-10s %s\n", "seen", word[:len(word)-1])
	}
	printLent(m.stdout, b.Loan, "  %-10s %s\n")
	for _, w := range b.Warnings {
		fmt.Fprintf(m.stderr, "warning: %s\n", w)
	}
}

// printLent prints the paths that are borrowed by name.
func printLent(w io.Writer, l receipt.Loan, format string) {
	for _, p := range l.Paths {
		what := "kept"
		if p.Root == "" {
			what = "not kept"
		}
		fmt.Fprintf(w, format, what, p.Path)
	}
}

// printLoans prints for people what a prefix borrows.
func printLoans(w io.Writer, loans []receipt.Loan) {
	for _, l := range loans {
		fmt.Fprintf(w, "%-14s %s, since %s\n", "borrows from", l.Store, l.Since.Format(time.DateOnly))
		printLent(w, l, "%-14s   %s\n")
	}
}

// loans looks for what was borrowed and is not as it was made.
func (r records) loans() []drift {
	loans := loan.Open(r.history, r.receipt)
	const again = "; `bootstrap borrow` again makes it anew"
	var found []drift
	switch {
	case loan.Configured(r.layout, loans):
	case len(loans) == 0:
		found = append(found, drift{r.layout.BorrowedConf(), "is there, and nothing is borrowed"})
	default:
		found = append(found, drift{r.layout.BorrowedConf(), "does not show builds what is borrowed" + again})
	}
	for _, l := range loans {
		for _, p := range l.Paths {
			if target, err := os.Readlink(p.Root); p.Root != "" && (err != nil || target != p.Path) {
				found = append(found, drift{p.Root, "is missing: a garbage collection there deletes " + p.Path + again})
			}
		}
	}
	return found
}
