package main

import (
	"context"

	"bootstrap/stages"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func upgradeCommand(m machine) *cobra.Command {
	f := &installFlags{}
	oneWay := false
	cmd := &cobra.Command{
		Use:   "upgrade --prefix DIR",
		Short: "Make a new generation of a prefix: by this program, or from another lock",
		Long: `upgrade builds what an installation by this program would build now, from its lock or from that of
--lock, beside what is there: a new generation, with a Nix, a package set, nix.conf and files for
shells of its own. What is the same is not built again. When it was proved by builds, one rename
makes it the current one. The generations before it are kept, and "bootstrap rollback" goes back.

Interrupted or killed anywhere, it leaves what was current; the same command goes on.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return upgrade(cmd.Context(), m, f, oneWay) },
	}
	s := cmd.Flags()
	f.registerUpgrade(s)
	f.source.register(s)
	f.packages.register(s)
	s.BoolVar(&oneWay, "one-way", false, "take the database to a form that the Nix which is installed cannot read")
	return cmd
}

// registerUpgrade has the flags of whatever makes a new generation.
func (f *installFlags) registerUpgrade(s *pflag.FlagSet) {
	f.stateFlags.register(s, "print events, and the plan of a dry run, as JSON")
	f.mirrorFlags.register(s)
	f.cacheFlags.register(s)
	registerSnapshot(s, &f.snapshot)
	registerJobs(s, &f.jobs)
	s.BoolVar(&f.buildHello, "build-hello", false, "in the end, also build GNU hello as a proof")
	f.registerAsking(s)
}

func upgrade(ctx context.Context, m machine, f *installFlags, oneWay bool) error {
	return f.withChosen(ctx, m, func(o stages.Options) error {
		o.Upgrade, o.OneWay = true, oneWay
		return makeInstalled(ctx, m, f, o)
	})
}

// rollbackFlags are those of a way back.
type rollbackFlags struct {
	prefixFlags
	to   int
	json bool
}

func rollbackCommand(m machine) *cobra.Command {
	f := &rollbackFlags{}
	cmd := &cobra.Command{
		Use:   "rollback --prefix DIR [--to N]",
		Short: "Make an earlier generation of a prefix the current one",
		Long: `rollback makes the generation before the current one the current one, or that of --to. It is proved by
a build first; nothing else is built, and nothing is removed: "bootstrap rollback --to" goes on again,
and so does "bootstrap upgrade". Where the database was taken to a form that the Nix of that generation
cannot read, it is refused.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return rollback(cmd.Context(), m, f) },
	}
	f.register(cmd.Flags())
	cmd.Flags().IntVar(&f.to, "to", 0, "the generation of that `number` (default: the one before the current one)")
	registerJSON(cmd.Flags(), &f.json, "print the generation as JSON")
	return cmd
}

func rollback(ctx context.Context, m machine, f *rollbackFlags) error {
	if err := f.checkTo(); err != nil {
		return err
	}
	layout, err := f.layout(m)
	if err != nil {
		return err
	}
	g, err := stages.Rollback(ctx, stages.Options{
		Layout: layout, User: userName(m), Command: "bootstrap rollback", Run: runName(m), Now: m.now, Crash: crash(m),
	}, f.to)
	if err != nil {
		return err
	}
	all, err := generationsOf(layout)
	if err != nil {
		return err
	}
	for _, shown := range all {
		if shown.Number != g.Number {
			continue
		}
		if f.json {
			return printJSON(m.stdout, shown)
		}
		printGenerations(m.stdout, []generationShown{shown})
	}
	return nil
}
