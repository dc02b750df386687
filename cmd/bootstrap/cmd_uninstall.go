package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"bootstrap/internal/fault"
	"bootstrap/internal/holder"
	"bootstrap/internal/journal"
	"bootstrap/internal/prefix"
	"bootstrap/internal/probe"
	"bootstrap/internal/prompt"
	"bootstrap/internal/receipt"
	"bootstrap/internal/uninstall"

	"github.com/spf13/cobra"
)

func uninstallCommand(m machine) *cobra.Command {
	f := &installFlags{}
	cmd := &cobra.Command{
		Use:   "uninstall --prefix DIR",
		Short: "Remove exactly what was installed; what is not ours stays",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return remove(cmd.Context(), m, f)
		},
	}
	f.prefixFlags.register(cmd.Flags())
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "print what would be removed, and remove nothing")
	cmd.Flags().BoolVar(&f.json, "json", false, "print events and the report as JSON")
	return cmd
}

func remove(ctx context.Context, m machine, f *installFlags) error {
	asked, err := f.layout(m)
	if err != nil {
		return err
	}
	removal, err := planRemoval(ctx, m, asked)
	if err != nil {
		return err
	}
	if f.dryRun && f.json {
		return printJSON(m.stdout, removal)
	}
	if !f.json {
		printRemoval(m.stderr, removal)
	}
	if f.dryRun {
		return nil
	}
	if !f.yes {
		if err := confirmRemoval(ctx, m); err != nil {
			return err
		}
	}
	held, err := holder.Acquire(ctx, holder.Options{
		Path: removal.Layout.LockFile(), Prefix: removal.Layout.Store, Command: "bootstrap uninstall", Now: m.now,
	})
	if err != nil {
		return err
	}
	defer func() { _ = held.Release() }() // it is gone with the rest
	view := newView(m, f)
	defer view.Close()
	report, err := removal.Execute(ctx, view, nil)
	if err != nil {
		return err
	}
	if err := view.Close(); err != nil {
		return err
	}
	if f.json {
		return printJSON(m.stdout, report)
	}
	printReport(m.stdout, report)
	return nil
}

// planRemoval goes by what the receipt says of the directories, where there is one.
func planRemoval(ctx context.Context, m machine, asked prefix.Layout) (*uninstall.Removal, error) {
	o := uninstall.Options{Layout: asked, Shell: m.shells(), Now: m.now}
	rec, err := receipt.Load(asked.Receipt())
	switch {
	case err == nil:
		o.Receipt, o.Layout = rec, rec.Layout
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if o.Journal, err = journal.Load(o.Layout.Journal()); err != nil {
		return nil, err
	}
	return uninstall.Plan(ctx, o)
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

func printRemoval(w io.Writer, r *uninstall.Removal) {
	fmt.Fprintf(w, "\nTo be removed from %s:\n\n", r.Layout.Root)
	for _, step := range r.Steps {
		for _, path := range step.Paths {
			fmt.Fprintf(w, "  %-14s %s\n", step.Name, path)
		}
	}
	for _, file := range r.Hooks {
		fmt.Fprintf(w, "  %-14s the marked block in %s\n", uninstall.ShellHooks, file)
	}
	listed(w, "Not ours, and stays:", r.Foreign)
	listed(w, "Links that will lead nowhere:", r.Dangling)
	listed(w, "Note:", r.Warnings)
	fmt.Fprintln(w)
}

func printReport(w io.Writer, r uninstall.Report) {
	fmt.Fprintf(w, "Removed %d files, %s.\n", r.Files, probe.Size(r.Bytes))
	listed(w, "Left where it is, since it is not ours:", r.Foreign)
	listed(w, "Note:", r.Warnings)
}

func listed(w io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, l := range lines {
		fmt.Fprintf(w, "  %s\n", l)
	}
}
