package uninstall

import (
	"fmt"
	"os"

	"bootstrap/internal/journal"
	"bootstrap/internal/loan"
	"bootstrap/internal/nixconf"
	"bootstrap/internal/prefix"
)

// borrowed plans to give back what this prefix borrows: the GC roots in the lenders, and the file
// that makes builds see it.
func (s *survey) borrowed() {
	step := s.step(Borrowed)
	for _, l := range s.loans {
		roots, err := loan.Roots(s.Layout.Store, l)
		if err != nil {
			s.Warnings = append(s.Warnings, fmt.Sprintf("what is borrowed from %q: %v", l.Store, err))
		}
		step.Paths = append(step.Paths, roots...)
	}
	conf := record{journal.File, s.Layout.BorrowedConf()}
	if _, err := os.Lstat(conf.path); len(s.loans) > 0 && err == nil && !s.isFile(conf.path) {
		s.addPath(Configuration, conf) // of a journal that was lost
	}
}

// caches plans to remove the file with the caches that the prefix asks, of a journal that was lost.
func (s *survey) caches() {
	conf := record{journal.File, s.Layout.CachesConf()}
	text, err := os.ReadFile(conf.path)
	if err != nil || s.isFile(conf.path) {
		return
	}
	if _, err := nixconf.ParseCaches(text); err == nil { // else somebody else wrote it
		s.addPath(Configuration, conf)
	}
}

// lent warns of prefixes that borrow from this one.
func (s *survey) lent() {
	entries, err := os.ReadDir(s.Layout.Lent())
	if err != nil {
		return // there is none, or it cannot be removed either, which is said then
	}
	for _, e := range entries {
		if store, ok := prefix.Borrower(e.Name()); ok {
			s.Warnings = append(s.Warnings, fmt.Sprintf("%q borrows from this store: builds of it that use what is here will fail", store))
		}
	}
}

// giveBack removes the roots from the lenders. One that cannot be removed is no reason to stay.
func (e *execution) giveBack() {
	for _, l := range e.loans {
		removed, err := loan.Drop(e.Layout.Store, l)
		e.report.Files += int64(len(removed))
		if err != nil {
			e.warn(fmt.Sprintf("left what keeps borrowed paths in %q: %v; its owner can remove %s",
				l.Store, err, prefix.Layout{State: l.State}.LentTo(e.Layout.Store)))
		}
	}
}
