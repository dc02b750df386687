package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/doctor"
	"bootstrap/internal/fault"
	"bootstrap/internal/lineage"
	"bootstrap/internal/prefix"
	"bootstrap/stages"
)

const whyGenerations = "what nix.conf, the profile and the files for shells are is what the current generation has; the others are the way back"

// generationsChecks returns the check of the generations in a prefix, if there are any.
func generationsChecks(o stages.Options) []doctor.Check {
	if o.Below != "" { // they are looked at in there
		return nil
	}
	c, there := generationsCheck(o.Layout)
	if !there {
		return nil
	}
	return []doctor.Check{c}
}

// complete reports whether there is something to upgrade.
func complete(o stages.Options) bool {
	if o.Below != "" || o.Runtime {
		return false
	}
	all, err := stages.Generations(o.Layout)
	return err == nil && slices.ContainsFunc(all, func(g lineage.Generation) bool { return g.Current && g.Receipt != nil })
}

// generationsCheck examines the generations of the installation in a prefix; false where there are none.
func generationsCheck(l prefix.Layout) (_ doctor.Check, there bool) {
	c := doctor.Check{Name: "generations", Verdict: doctor.OK, Why: whyGenerations}
	all, err := stages.Generations(l)
	if err != nil {
		return refusedBy(c, err), true
	}
	now, err := lineage.Current(l)
	if err != nil {
		return refusedBy(c, err), true
	}
	if len(all) == 0 && now == 0 {
		return c, false
	}
	if _, there := lineage.Find(all, now); now > 0 && !there {
		c.Found = fmt.Sprintf("%d is current, and %q is gone", now, lineage.Dir(l, now))
		c.Verdict, c.Remedy = doctor.Refused, "put the directory back, or make the link \"current\" beside it lead to another one"
		return c, true
	}
	var complete, troubles, remedies []string
	trouble := func(remedy, format string, args ...any) {
		troubles = append(troubles, fmt.Sprintf(format, args...))
		remedies = append(remedies, remedy)
	}
	for _, g := range all {
		switch lost := lostOf(l, g); {
		case g.Receipt == nil && g.Current:
			trouble("the same command as for the installation writes it anew", "the receipt of %d cannot be read", g.Number)
		case g.Receipt == nil:
			trouble("`bootstrap upgrade` goes on with it, `bootstrap gc --keep N` removes it", "%d was begun, and is not complete", g.Number)
		case lost != "" && g.Current:
			trouble("`bootstrap repair`", "%d has lost %s", g.Number, lost)
		case lost != "":
			trouble("`bootstrap upgrade` with the lock and the program that made it makes it anew, `bootstrap gc --keep N` removes it", "%d is no way back: it has lost %s", g.Number, lost)
		}
		if g.Receipt != nil {
			complete = append(complete, fmt.Sprint(g.Number))
		}
	}
	if now > 0 {
		for _, m := range lineage.Members(l) {
			if _, err := os.Lstat(m.Live); !m.Linked(l) && (err != nil || m.Live != l.DefaultProfile()) {
				trouble("`bootstrap repair`", "%s does not lead to the current one", m.Live)
			}
		}
	}
	c.Found = strings.Join(complete, ", ")
	switch {
	case now == 0:
		c.Found += ", of an earlier release; an upgrade keeps it"
	case len(complete) > 1:
		c.Found += fmt.Sprintf("; %d is current", now)
	}
	if len(troubles) > 0 {
		c.Found = strings.Join(troubles, "; ")
		c.Verdict, c.Remedy = doctor.Warning, strings.Join(remedies, "; ")
	}
	return c, true
}

func refusedBy(c doctor.Check, err error) doctor.Check {
	c.Found, c.Verdict, c.Remedy = err.Error(), doctor.Refused, fault.HintOf(err)
	return c
}

// lostOf returns the first thing that a complete generation consists of and that is not there.
func lostOf(l prefix.Layout, g lineage.Generation) string {
	if g.Receipt == nil {
		return ""
	}
	for _, name := range []string{stages.Toolchain, stages.Native} {
		s, _ := g.Receipt.Stage(name)
		for _, path := range s.Outputs {
			if filepath.Dir(path) != l.Store {
				continue
			}
			if _, err := os.Lstat(path); err != nil {
				return path
			}
		}
	}
	return ""
}
