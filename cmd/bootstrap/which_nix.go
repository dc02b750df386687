package main

import (
	"context"
	"errors"
	"fmt"

	"bootstrap/internal/fault"
	"bootstrap/internal/mixing"
	"bootstrap/internal/registry"
)

// whichNix says which store the nix in PATH works on, and what in the environment disagrees.
func whichNix(ctx context.Context, m machine, asJSON bool) error {
	finder, _ := m.finder(ctx)
	program := m.command("nix")
	w := whichStore{Findings: mixtures(m, finder, program)}
	for i, e := range finder.Known {
		if e.Active {
			w.Environment = &finder.Known[i]
		}
	}
	var terr error
	if program != "" {
		f, err := trace(finder, "nix", "command", program)
		w.Nix, terr = &f, err
	}
	if w.Nix == nil && w.Environment == nil {
		printFindings(m, w.Findings)
		return fault.New(fault.General, errors.New("there is no nix in PATH, and no prefix in the environment"),
			"source the env file of a prefix, or use `bootstrap shell`; `bootstrap list` shows which there are")
	}
	if asJSON {
		return errors.Join(terr, printJSON(m.stdout, w))
	}
	if w.Nix != nil && w.Nix.in {
		printFound(m.stdout, *w.Nix)
	}
	if e := w.Environment; e != nil {
		fmt.Fprintf(m.stdout, "%-14s %s\n", "environment", prefixText(*e))
	}
	printFindings(m, w.Findings)
	return terr
}

func printFindings(m machine, findings []mixing.Finding) {
	for _, f := range findings {
		fmt.Fprintf(m.stderr, "warning: %s\n  why: %s\n  do:  %s\n", f.What, f.Why, f.Remedy)
	}
}

// mixtures returns what in the environment speaks of another store than that nix belongs to.
func mixtures(m machine, finder registry.Finder, program string) []mixing.Finding {
	o := mixing.Options{Env: variables(m.environ()), Program: program}
	for _, e := range finder.Known {
		if e.Installed() || e.State == registry.Unfinished {
			o.Known = append(o.Known, mixing.Prefix(e.Layout, e.Diverted))
		}
	}
	classic := finder.Classic
	if classic == nil {
		classic = registry.ClassicAt(registry.ClassicRoot)
	}
	o.Known = append(o.Known, mixing.Classic(classic.Layout))
	if program != "" {
		way, _ := registry.Follow(program)
		if origin, ok := finder.Along(way); ok && (origin.Prefix != nil || origin.Classic != nil) {
			own := mixing.Classic(classic.Layout)
			if e := origin.Prefix; e != nil {
				own = mixing.Prefix(e.Layout, e.Diverted)
				o.Known = append(o.Known, own) // it may be in no list
			}
			o.Nix = &own
		}
	}
	if findings := mixing.Check(o); findings != nil {
		return findings
	}
	return []mixing.Finding{}
}
