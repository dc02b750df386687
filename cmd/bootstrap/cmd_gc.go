package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"time"

	"bootstrap/internal/collect"
	"bootstrap/internal/fault"
	"bootstrap/internal/generations"
	"bootstrap/internal/journal"
	"bootstrap/internal/lineage"
	"bootstrap/internal/probe"
	"bootstrap/internal/prompt"
	"bootstrap/internal/receipt"

	"github.com/spf13/cobra"
)

// gcFlags are those of a garbage collection.
type gcFlags struct {
	prefixFlags
	keep                         int
	olderThan                    string
	dropStale, dryRun, yes, json bool
}

func gcCommand(m machine) *cobra.Command {
	f := &gcFlags{}
	cmd := &cobra.Command{
		Use:   "gc --prefix DIR",
		Short: "Delete what nothing in the prefix needs, and nothing else",
		Long: `gc runs the garbage collector of the prefix's own Nix on the prefix's own store, whichever nix is
on PATH. Before that it makes sure that everything installed is kept, and that every GC root can
be followed: the collector takes one that cannot for one that is gone.

Generations of profiles, and those of the installation that "bootstrap history" lists, are kept, unless
--keep or --older-than is given; of both, one that either of them keeps stays.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return collectGarbage(cmd.Context(), m, f) },
	}
	s := cmd.Flags()
	f.prefixFlags.register(s)
	s.IntVar(&f.keep, "keep", -1, "delete generations but the current one and `N` others of each profile, and of the installation, the newest")
	s.StringVar(&f.olderThan, "older-than", "", "delete generations that are older than that `time`: 30d, 12h, 4w")
	s.BoolVar(&f.dropStale, "drop-stale", false, "give up what is held by GC roots that cannot be followed")
	s.BoolVar(&f.dryRun, "dry-run", false, "print what would be deleted, and delete nothing")
	s.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	registerJSON(s, &f.json, "print what is deleted as JSON")
	return cmd
}

// collection is what `gc --json` prints.
type collection struct {
	*collect.Plan
	Installation []int           `json:"installation"` // numbers of generations of the installation that go
	Result       *collect.Result `json:"result,omitempty"`
}

func collectGarbage(ctx context.Context, m machine, f *gcFlags) (err error) {
	policy, err := f.policy(m.now())
	if err != nil {
		return err
	}
	o, err := f.own(m)
	if err != nil {
		return err
	}
	if err := o.layout.MayWrite(); err != nil {
		return err
	}
	if !f.dryRun {
		held, err := o.lock(ctx, m, "gc")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, held.Release()) }()
	}
	options := o.collector()
	options.Policy, options.DropStale = policy, f.dropStale
	old, orphans, err := o.superseded(policy)
	if err != nil {
		return err
	}
	for _, n := range slices.Concat(old, orphans) {
		options.Without = append(options.Without, o.layout.RootsOf(n))
	}
	if options.Unused, err = o.scaffold(old); err != nil {
		return err
	}
	p, err := collect.Survey(ctx, options)
	if err != nil {
		return err
	}
	c := collection{Plan: p, Installation: old}
	if f.dryRun && f.json || c.empty() {
		return f.report(m, c)
	}
	if !f.json {
		printCollection(m.stderr, c)
	}
	if f.dryRun {
		return f.report(m, c)
	}
	if !f.yes {
		if err := f.confirm(ctx, m); err != nil {
			return err
		}
	}
	for _, n := range slices.Concat(old, orphans) {
		if err := lineage.Remove(o.layout, n); err != nil {
			return err
		}
	}
	result, err := p.Execute(ctx)
	if err != nil {
		return err
	}
	c.Result = &result
	if err := o.record(m, journal.Record{Event: journal.Note, Text: gcNote, Output: map[string]string{
		"freed": strconv.FormatInt(result.Bytes, 10), "paths": strconv.Itoa(result.Paths),
	}}); err != nil {
		return err
	}
	return f.report(m, c)
}

func (c collection) empty() bool { return c.Plan.Empty() && len(c.Installation) == 0 }

// superseded returns the generations of the installation that a policy does not keep, and those
// removed before of which something is left.
func (o own) superseded(policy generations.Policy) (old, orphans []int, err error) {
	all, err := lineage.List(o.layout)
	if err != nil {
		return nil, nil, err
	}
	shown, err := generationsOf(o.layout)
	if err != nil {
		return nil, nil, err
	}
	made := func(g lineage.Generation) time.Time {
		for _, s := range shown {
			if s.Number == g.Number && !s.Since.IsZero() {
				return s.Since
			}
		}
		return g.Receipt.Updated
	}
	old = lineage.Superseded(all, policy, made)
	orphans, err = lineage.Orphans(o.layout)
	return append([]int{}, old...), orphans, err
}

// scaffold returns what only builds of the installer need, where there is none to go on with: no
// generation was begun, but for those that go.
func (o own) scaffold(gone []int) ([]string, error) {
	if o.receipt.Mode == receipt.Runtime { // whose programs run the host nix
		return nil, nil
	}
	all, err := lineage.List(o.layout)
	if err != nil {
		return nil, err
	}
	for _, g := range all {
		if g.Receipt == nil && !g.Current && !slices.Contains(gone, g.Number) {
			return nil, nil
		}
	}
	return []string{o.layout.HostDir()}, nil
}

func (f *gcFlags) confirm(ctx context.Context, m machine) error {
	if f.json {
		return fault.New(fault.Usage, errors.New("a program cannot be asked whether to go on"), "add --yes to --json, or use --dry-run")
	}
	terminal, close, err := m.questioner()
	if err != nil {
		return err
	}
	defer close()
	yes, err := prompt.Confirm(ctx, prompt.Options{
		Label: "Delete all of this?", Default: "no", In: terminal, Out: terminal,
		ASCII: !m.utf8(), Dumb: m.getenv("TERM") == "dumb",
	})
	if err == nil && !yes {
		err = fault.New(fault.Interrupted, errors.New("nothing was deleted, as you wished"), "")
	}
	return err
}

func (f *gcFlags) report(m machine, c collection) error {
	switch {
	case f.json:
		return printJSON(m.stdout, c)
	case c.empty():
		fmt.Fprintln(m.stdout, "Nothing to delete.")
	case c.Result == nil:
		fmt.Fprintf(m.stdout, "%d store paths and %s would be deleted.\n", len(c.Dead), probe.Size(c.Bytes))
	default:
		fmt.Fprintf(m.stdout, "Deleted %d store paths, %s. Free on the disk: %s before, %s now.\n",
			c.Result.Paths, probe.Size(c.Result.Bytes), probe.Size(c.Result.FreeBefore), probe.Size(c.Result.FreeAfter))
	}
	return nil
}

// mostShown is how many store paths are named to a person.
const mostShown = 30

// printCollection says what is lost: of roots and profiles by name, of store paths by size.
func printCollection(w io.Writer, p collection) {
	fmt.Fprintln(w)
	for _, n := range p.Installation {
		fmt.Fprintf(w, "  %-14s %d of the installation\n", "generation", n)
	}
	for _, r := range p.Roots {
		fmt.Fprintf(w, "  %-14s %s (%s: %s)\n", "given up", r.Via, r.Verdict, r.Reason)
	}
	for _, g := range p.Generations {
		fmt.Fprintf(w, "  %-14s %s, %d of %s\n", "generation", g.Profile, g.Number, g.Made.Format(time.DateOnly))
	}
	largest := slices.SortedFunc(slices.Values(p.Dead), func(a, b collect.Dead) int { return cmp.Compare(b.Bytes, a.Bytes) })
	for i, d := range largest {
		if i == mostShown {
			fmt.Fprintf(w, "  %-14s %10d  smaller ones; --json lists them all\n", "and", len(largest)-mostShown)
			break
		}
		fmt.Fprintf(w, "  %-14s %10s  %s\n", "store path", probe.Size(d.Bytes), d.Path)
	}
	for _, l := range p.Leftovers {
		fmt.Fprintf(w, "  %-14s %10s  %s\n", "left over", probe.Size(l.Bytes), l.Path)
	}
	if len(p.Dead)+len(p.Leftovers) > 0 {
		fmt.Fprintf(w, "  %-14s %10s\n", "together", probe.Size(p.Bytes))
	}
	if len(p.AtWork) > 0 {
		fmt.Fprintf(w, "  %-14s processes %v use the store; what they use stays\n", "at work", p.AtWork)
	}
	fmt.Fprintln(w)
}

var age = regexp.MustCompile(`^([0-9]{1,5})([hdw])$`)

func (f *gcFlags) policy(now time.Time) (generations.Policy, error) {
	p := generations.Policy{Keep: f.keep, Now: now}
	if f.keep < -1 {
		return p, fault.New(fault.Usage, fmt.Errorf("--keep %d: is less than none", f.keep), "give the number of generations to keep")
	}
	if f.olderThan == "" {
		return p, nil
	}
	m := age.FindStringSubmatch(f.olderThan)
	if m == nil {
		return p, fault.New(fault.Usage, fmt.Errorf("--older-than %q: is not a time", f.olderThan),
			"give a number with h, d or w: 12h, 30d, 4w")
	}
	n, err := strconv.Atoi(m[1])
	p.MaxAge = time.Duration(n) * map[string]time.Duration{"h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[m[2]]
	if p.MaxAge == 0 {
		p.MaxAge = time.Nanosecond
	}
	return p, err
}
