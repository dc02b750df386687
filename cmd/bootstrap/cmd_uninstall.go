package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"bootstrap/internal/fault"
	"bootstrap/internal/holder"
	"bootstrap/internal/journal"
	"bootstrap/internal/prefix"
	"bootstrap/internal/prompt"
	"bootstrap/internal/shellrc"
	"bootstrap/internal/uninstall"

	"github.com/spf13/cobra"
)

// uninstallFlags are those of a removal.
type uninstallFlags struct {
	prefixFlags
	cacheDir                            string
	cache, keepCache, yes, dryRun, json bool
}

func uninstallCommand(m machine) *cobra.Command {
	f := &uninstallFlags{}
	cmd := &cobra.Command{
		Use:   "uninstall --prefix DIR",
		Short: "Remove exactly what was installed; what is not ours stays",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return remove(cmd.Context(), m, f)
		},
	}
	s := cmd.Flags()
	f.prefixFlags.register(s)
	s.BoolVar(&f.cache, "cache", false, "remove the cache of downloads as well, though other prefixes are there")
	s.BoolVar(&f.keepCache, "keep-cache", false, "keep the cache of downloads, which goes with the last prefix otherwise")
	registerCacheDir(s, &f.cacheDir)
	s.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	s.BoolVar(&f.dryRun, "dry-run", false, "print what would be removed, and remove nothing")
	registerJSON(s, &f.json, "print events and the report as JSON")
	return cmd
}

func remove(ctx context.Context, m machine, f *uninstallFlags) error {
	if f.cache && f.keepCache {
		return fault.New(fault.Usage, errors.New("--cache and --keep-cache: the one is the opposite of the other"), "leave one of them out")
	}
	removal, err := planRemoval(ctx, m, f)
	if err != nil {
		return err
	}
	cached, drop, err := f.downloads(m, removal.Layout)
	if err != nil {
		return err
	}
	if f.dryRun && f.json {
		if !drop {
			cached = nil
		}
		return printJSON(m.stdout, struct {
			*uninstall.Removal
			Cache *downloads `json:"cache,omitempty"`
		}{removal, cached})
	}
	if !f.json {
		if files := m.files(&f.prefixFlags, removal.Layout); files != "" {
			fmt.Fprintf(m.stderr, "\nWhat is called %s here lies in %s.\n", removal.Layout.Root, files)
		}
		printRemoval(m.stderr, removal)
		if drop {
			fmt.Fprintf(m.stderr, "  %-14s %s\n\n", "cache", cached.Path)
		}
	}
	if f.dryRun {
		return nil
	}
	if !f.yes {
		if err := confirmRemoval(ctx, m); err != nil {
			return err
		}
	}
	report, err := carryOut(ctx, m, f, removal)
	if report == nil {
		return err
	}
	if err == nil {
		if warning := unlistPrefix(ctx, m, removal.Layout); warning != "" {
			report.Warnings = append(report.Warnings, warning)
		}
	}
	// Another installation may have begun meanwhile.
	if err == nil && drop && (f.cache || m.isLast(removal.Layout)) {
		err = cached.remove()
	}
	if f.json {
		return errors.Join(err, printJSON(m.stdout, struct {
			uninstall.Report
			Cache *downloads `json:"cache,omitempty"`
		}{*report, cached}))
	}
	printReport(m.stdout, *report)
	printDownloads(m.stdout, cached)
	return err
}

// carryOut removes what was confirmed, if it is still the same now that nobody else is at work.
// It returns no report where it did not begin.
func carryOut(ctx context.Context, m machine, f *uninstallFlags, confirmed *uninstall.Removal) (*uninstall.Report, error) {
	held, err := holder.Acquire(ctx, holder.Options{
		Path: confirmed.Layout.LockFile(), Prefix: confirmed.Layout.Store, Command: "bootstrap uninstall", Now: m.now,
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = held.Release() }() // it is gone with the rest
	removal, err := planRemoval(ctx, m, f)
	if err != nil {
		return nil, err
	}
	same, err := sameRemoval(confirmed, removal)
	if err != nil {
		return nil, err
	}
	if !same {
		if !f.json {
			printRemoval(m.stderr, removal)
		}
		return nil, fault.New(fault.General, fmt.Errorf("uninstall %q: what would be removed has changed meanwhile", removal.Layout.Store),
			"run it again, and look at what is to be removed now")
	}
	view := newView(m, viewOptions{json: f.json})
	report, err := removal.Execute(ctx, view, nil)
	if cerr := view.Close(); err == nil {
		err = cerr
	}
	return &report, err
}

// sameRemoval compares all that is printed of two removals.
func sameRemoval(a, b *uninstall.Removal) (bool, error) {
	texts := [2][]byte{}
	for i, r := range []*uninstall.Removal{a, b} {
		var err error
		if texts[i], err = json.Marshal(r); err != nil {
			return false, err
		}
	}
	return bytes.Equal(texts[0], texts[1]), nil
}

// planRemoval goes by what earlier runs recorded of the directories. A receipt that is damaged
// is done without, where there is a journal.
func planRemoval(ctx context.Context, m machine, f *uninstallFlags) (*uninstall.Removal, error) {
	at, err := f.locate(m)
	if err != nil {
		return nil, err
	}
	if err := at.layout.MayWrite(); err != nil {
		return nil, err
	}
	o := uninstall.Options{Layout: at.layout, Receipt: at.receipt, Shell: m.shells(), Now: m.now}
	if m.within != nil { // a block that names the root is of a prefix that is really there
		o.Shell = shellrc.Options{}
	}
	if o.Journal, err = journal.Load(o.Layout.Journal()); err != nil {
		return nil, err
	}
	if at.damaged != nil && len(o.Journal.Created()) == 0 {
		return nil, at.damaged
	}
	removal, err := uninstall.Plan(ctx, o)
	if err == nil && at.damaged != nil {
		removal.Warnings = append(removal.Warnings, fmt.Sprintf("going by the journal alone: %v", at.damaged))
	}
	return removal, err
}

// downloads finds the cache, which is nil if there is none, and says whether it is to be removed:
// if that was asked for, and else if it is in the HOME of an account that has no prefix left.
func (f *uninstallFlags) downloads(m machine, l prefix.Layout) (found *downloads, drop bool, err error) {
	dir, err := m.cacheDir(f.cacheDir)
	if err == nil {
		found, err = findDownloads(dir)
	}
	if f.cache {
		if err != nil || found == nil {
			return nil, false, err
		}
		return found, true, found.check()
	}
	if err != nil {
		return nil, false, nil // there is nothing to mention
	}
	drop = found != nil && found.check() == nil && !f.keepCache &&
		f.cacheDir == "" && dir == homeCache(m.getenv("HOME")) && m.isLast(l)
	return found, drop, nil
}

func confirmRemoval(ctx context.Context, m machine) error {
	terminal, close, err := m.questioner()
	if err != nil {
		return err
	}
	defer close()
	yes, err := prompt.Confirm(ctx, prompt.Options{
		Label: "Remove all of this?", Default: "no", In: terminal, Out: terminal,
		ASCII: !m.utf8(), Dumb: m.getenv("TERM") == "dumb",
	})
	if err != nil {
		return err
	}
	if !yes {
		return fault.New(fault.Interrupted, errors.New("nothing was removed, as you wished"), "")
	}
	return nil
}
