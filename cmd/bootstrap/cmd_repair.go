package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/prompt"
	"bootstrap/stages"

	"github.com/spf13/cobra"
)

func repairCommand(m machine) *cobra.Command {
	f := &planFlags{}
	yes := false
	cmd := &cobra.Command{
		Use:   "repair --prefix DIR",
		Short: "Find what is damaged in a prefix, and make that anew",
		Long: `repair compares what was installed with the records, byte for byte, and the whole store with Nix's
database (nix-store --verify --check-contents). What the installer has made and is damaged it makes
anew, as an installation would; for any other store path it asks Nix to. It never touches what is
as it was, and ends with exit code 4 if something stays damaged.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return repair(cmd.Context(), m, f, yes)
		},
	}
	s := cmd.Flags()
	f.stateFlags.register(s, "print events, and what was found, as JSON")
	f.mirrorFlags.register(s)
	f.cacheFlags.register(s)
	s.StringVar(&f.snapshot, "snapshot", "", "`URL` of the archive as the lock saw it (default: Debian's snapshot archive)")
	s.IntVarP(&f.jobs, "jobs", "j", 0, "run `N` compilers at a time (default: one per processor, at most one per 1.5 GiB of free memory)")
	s.BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func repair(ctx context.Context, m machine, f *planFlags, yes bool) error {
	o, err := f.options(m)
	if err != nil {
		return err
	}
	if f.lockFile == "" {
		o.Lock = ownLock(o.Layout, o.Lock)
	}
	view := newView(m, viewOptions{json: f.json})
	defer view.Close()
	o.Sink = view
	o.Confirm = func(ctx context.Context, p *stages.Plan) error {
		return confirmRepair(ctx, m, p, f.json, yes)
	}
	done, err := stages.Repair(ctx, o)
	if err != nil {
		return err
	}
	if err := view.Close(); err != nil {
		return err
	}
	if f.json {
		if err := printJSON(m.stdout, done); err != nil {
			return err
		}
	} else {
		printRepaired(m, done)
	}
	if left := done.Damaged(); len(left) > 0 {
		return fault.New(fault.Verify, fmt.Errorf("%d store paths are damaged still", len(left)),
			"build or copy them again, or delete them with the nix-store of the prefix: nix-store --delete "+strings.Join(left, " "))
	}
	return nil
}

// confirmRepair says what has to be made anew, and asks whether to go on.
func confirmRepair(ctx context.Context, m machine, p *stages.Plan, asJSON, yes bool) error {
	if !asJSON {
		fmt.Fprintf(m.stderr, "\nNot as it was, in %s; to be made anew:\n\n", p.Layout.Store)
		for _, s := range p.Stages {
			if !s.Done {
				fmt.Fprintf(m.stderr, "  %-10s %s\n", s.Name, s.Does)
			}
		}
		fmt.Fprintln(m.stderr)
	}
	if yes {
		return nil
	}
	if asJSON {
		return fault.New(fault.Usage, errors.New("a program cannot be asked whether to go on"), "add --yes to --json")
	}
	terminal, close, err := m.questioner()
	if err != nil {
		return err
	}
	defer close()
	q := prompt.Options{In: terminal, Out: terminal, ASCII: !m.utf8(), Dumb: m.getenv("TERM") == "dumb", Label: "Go on?"}
	ok, err := prompt.Confirm(ctx, q)
	if err != nil {
		return unanswered(err)
	}
	if !ok {
		return fault.New(fault.Interrupted, errors.New("nothing was written, as you wished"), "")
	}
	return nil
}

func printRepaired(m machine, done *stages.Repaired) {
	if len(done.Stages) == 0 && len(done.Paths) == 0 {
		fmt.Fprintf(m.stdout, "Nothing is damaged in %s.\n", done.Receipt.Layout.Store)
		return
	}
	if len(done.Stages) > 0 {
		fmt.Fprintf(m.stdout, "Done again: %s.\n", strings.Join(done.Stages, ", "))
	}
	for _, d := range done.Paths {
		cured := d.Cured
		if cured == "" {
			cured = "damaged still"
		}
		fmt.Fprintf(m.stdout, "%s: %s\n", d.Path, cured)
	}
}
