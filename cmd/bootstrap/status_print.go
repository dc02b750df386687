package main

import (
	"fmt"
	"io"
	"time"

	"bootstrap/internal/probe"
	"bootstrap/internal/progress"
	"bootstrap/stages"
)

// printStatus prints for people what is installed.
func printStatus(w io.Writer, p *stages.Plan, s status) {
	fmt.Fprintf(w, "\n%-14s %s\n", "store", p.Layout.Store)
	if s.Receipt != nil {
		fmt.Fprintf(w, "%-14s %s, installed %s by bootstrap %s\n", "nix", s.Receipt.NixVersion,
			s.Receipt.Created.Format(time.DateOnly), s.Receipt.Installer)
	}
	if s.Receipt != nil {
		if from, ok := s.Receipt.Stage(stages.Relocate); ok {
			fmt.Fprintf(w, "%-14s %s, relocated from %s\n", "from", from.Outputs["from"], from.Outputs["source"])
		}
	}
	state := "complete"
	switch {
	case s.Complete:
	case p.Other:
		state = "other than this program makes it from this lock: `bootstrap upgrade` makes a new generation"
	case s.Receipt != nil:
		state = "not complete any more: what differs is made anew by the same command"
	default:
		state = "not complete; the same command as before goes on"
	}
	fmt.Fprintf(w, "%-14s %s\n", "state", state)
	if s.Generation > 0 {
		fmt.Fprintf(w, "%-14s %d, of %d that `bootstrap history` lists\n", "generation", s.Generation, s.Generations)
	}
	fmt.Fprintf(w, "%-14s %s\n", "last gc", s.LastGC)
	printLoans(w, s.Borrowed)
	for _, d := range s.Drift {
		fmt.Fprintf(w, "%-14s %s: %s\n", "drift", d.Path, d.What)
	}
	fmt.Fprintln(w)
	for _, st := range s.Stages {
		mark, took := "not done", ""
		if st.Done {
			mark = "done"
		}
		if s.Receipt != nil {
			if r, ok := s.Receipt.Stage(st.Name); ok {
				if !st.Done {
					mark = "differs"
				}
				took = progress.FormatDuration(time.Duration(r.Seconds * float64(time.Second)))
			}
		}
		fmt.Fprintf(w, "  %-12s %-10s %8s  %s\n", st.Name, mark, took, st.Outputs["nix"])
	}
	fmt.Fprintln(w)
	for _, u := range s.Usage {
		fmt.Fprintf(w, "  %-12s %10s  %7d files  %s\n", u.What, probe.Size(u.Bytes), u.Files, u.Path)
	}
	fmt.Fprintln(w)
}
