package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"bootstrap/internal/builders"
	"bootstrap/internal/fault"

	"github.com/spf13/cobra"
)

func buildersCommand(m machine) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "builders",
		Short: "Let other machines build for the prefix",
		Long: `builders keeps the list of machines that build for the prefix, by ssh. Each has a prefix of the same
store directory of its own, and is known by its host key.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(buildersAddCommand(m), buildersListCommand(m), buildersRemoveCommand(m), buildersTestCommand(m))
	return cmd
}

// builder is a machine as the commands print it as JSON.
type builder struct {
	URL string `json:"url"`
	builders.Machine
	HostKey string `json:"host_key"` // its fingerprint
}

func builderOf(mc builders.Machine) builder { return builder{mc.URL(), mc, mc.Key.Fingerprint()} }

func buildersListCommand(m machine) *cobra.Command {
	f := &prefixFlags{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "list --prefix DIR",
		Short: "Show which machines build for the prefix",
		Args:  noArguments,
		RunE:  func(*cobra.Command, []string) error { return listBuilders(m, f, asJSON) },
	}
	f.register(cmd.Flags())
	registerJSON(cmd.Flags(), &asJSON, "print them as JSON")
	return cmd
}

func listBuilders(m machine, f *prefixFlags, asJSON bool) error {
	o, err := f.own(m)
	if err != nil {
		return err
	}
	all, err := builders.Load(o.layout)
	if err != nil {
		return err
	}
	if asJSON {
		listed := []builder{}
		for _, mc := range all {
			listed = append(listed, builderOf(mc))
		}
		return printJSON(m.stdout, listed)
	}
	if len(all) == 0 {
		fmt.Fprintln(m.stdout, "No other machine builds for this prefix.")
	}
	for _, mc := range all {
		printBuilder(m.stdout, mc)
	}
	return nil
}

func printBuilder(w io.Writer, mc builders.Machine) {
	fmt.Fprintln(w, mc.URL())
	for _, line := range [][2]string{
		{"host key", mc.Key.Type + " " + mc.Key.Fingerprint()},
		{"identity", mc.Identity},
		{"program", mc.Program},
		{"systems", strings.Join(mc.Systems, ", ")},
		{"jobs", fmt.Sprintf("%d at a time, speed %g", mc.Jobs, mc.Speed)},
		{"features", strings.Join(mc.Features, ", ")},
		{"only with", strings.Join(mc.Mandatory, ", ")},
	} {
		if line[1] != "" {
			fmt.Fprintf(w, "  %-10s %s\n", line[0], line[1])
		}
	}
}

func buildersRemoveCommand(m machine) *cobra.Command {
	f := &prefixFlags{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "remove HOST --prefix DIR",
		Short: "Let a machine build no more for the prefix, and forget its key",
		Args:  oneBuilder,
		RunE: func(cmd *cobra.Command, args []string) error {
			return removeBuilder(cmd.Context(), m, f, args[0], asJSON)
		},
	}
	f.register(cmd.Flags())
	registerJSON(cmd.Flags(), &asJSON, "print what was removed as JSON")
	return cmd
}

func oneBuilder(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 1:
		return nil
	case 0:
		return usageError(cmd, errors.New("no builder given"))
	}
	return usageError(cmd, fmt.Errorf("unknown argument %q", args[1]))
}

func removeBuilder(ctx context.Context, m machine, f *prefixFlags, name string, asJSON bool) (err error) {
	o, err := f.own(m)
	if err != nil {
		return err
	}
	held, err := o.lock(ctx, m, "builders remove")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Release()) }()
	all, err := builders.Load(o.layout)
	if err != nil {
		return err
	}
	i, err := findBuilder(all, name)
	if err != nil {
		return err
	}
	gone := all[i]
	if err := builders.Save(o.layout, append(all[:i:i], all[i+1:]...)); err != nil {
		return err
	}
	if asJSON {
		return printJSON(m.stdout, builderOf(gone))
	}
	fmt.Fprintf(m.stdout, "%s does not build in %s any more.\n", gone.URL(), o.layout.Store)
	return nil
}

// findBuilder returns where in a list the machine of that address or host is.
func findBuilder(all []builders.Machine, name string) (int, error) {
	if i := builders.Find(all, name); i >= 0 {
		return i, nil
	}
	hint := "no other machine builds for this prefix; `bootstrap builders add` adds one"
	if len(all) > 0 {
		hint = "there are"
		for _, mc := range all {
			hint += " " + mc.URL()
		}
	}
	return 0, fault.New(fault.Usage, fmt.Errorf("builder %q: is none of this prefix", name), hint)
}
