package main

import (
	"context"
	"errors"
	"fmt"

	"bootstrap/internal/gcroots"
	"bootstrap/internal/prefix"
	"bootstrap/internal/probe"
	"bootstrap/stages"

	"github.com/spf13/cobra"
)

func rootsCommand(m machine) *cobra.Command {
	f := &prefixFlags{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "roots --prefix DIR",
		Short: "List the GC roots of the prefix, and those that cannot be followed",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			o, err := f.own(m)
			if err != nil {
				return err
			}
			roots, err := o.roots()
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(m.stdout, roots)
			}
			for _, r := range roots {
				fmt.Fprintf(m.stdout, "%-10s %-10s %s -> %s\n", r.Verdict, r.Kind, link(r), r.Target)
			}
			return nil
		},
	}
	f.register(cmd.Flags())
	registerJSON(cmd.Flags(), &asJSON, "print them as JSON")
	return cmd
}

// link returns the link that people know: for an indirect root it is not in the state directory.
func link(r gcroots.Root) string {
	if r.Via != "" {
		return r.Via
	}
	return r.Link
}

func optimiseCommand(m machine) *cobra.Command {
	f := &prefixFlags{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "optimise --prefix DIR",
		Short: "Make equal files in the store one file with several names",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			o, err := f.own(m)
			if err != nil {
				return err
			}
			held, err := o.lock(cmd.Context(), m, "optimise")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, held.Release()) }()
			before, err := storeBytes(cmd.Context(), o.layout)
			if err != nil {
				return err
			}
			if _, err := o.nix.Command("nix", "store", "optimise").Output(cmd.Context()); err != nil {
				return err
			}
			after, err := storeBytes(cmd.Context(), o.layout)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(m.stdout, map[string]int64{"bytes_before": before, "bytes_after": after})
			}
			fmt.Fprintf(m.stdout, "The store took %s and takes %s.\n", probe.Size(before), probe.Size(after))
			return nil
		},
	}
	f.register(cmd.Flags())
	registerJSON(cmd.Flags(), &asJSON, "print the bytes of the store before and after, as JSON")
	return cmd
}

// storeBytes returns what the store takes on the disk.
func storeBytes(ctx context.Context, l prefix.Layout) (int64, error) {
	usage, err := stages.Measure(ctx, l)
	for _, u := range usage {
		if u.Path == l.Store {
			return u.Bytes, nil
		}
	}
	return 0, err
}
