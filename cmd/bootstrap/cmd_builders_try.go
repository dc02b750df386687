package main

import (
	"context"
	"fmt"
	"time"

	"bootstrap/internal/builders"
	"bootstrap/internal/fault"

	"github.com/spf13/cobra"
)

func buildersTestCommand(m machine) *cobra.Command {
	f := &prefixFlags{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "test [HOST] --prefix DIR",
		Short: "Have each builder, or one, build something",
		Long: `test asks a machine again what was asked when it was added, and has it build something that was never
built before, with a Nix here that may build nothing itself. What comes of it is valid here, and is
deleted again.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return oneBuilder(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return testBuilders(cmd.Context(), m, f, args, asJSON)
		},
	}
	f.register(cmd.Flags())
	registerJSON(cmd.Flags(), &asJSON, "print what came of it as JSON")
	return cmd
}

// tried is what came of a builder, as `builders test --json` prints it.
type tried struct {
	URL     string         `json:"url"`
	Found   builders.Found `json:"found"`
	Path    string         `json:"path,omitempty"` // what it has built; deleted by now
	Seconds float64        `json:"seconds"`
	Error   string         `json:"error,omitempty"`
	Hint    string         `json:"hint,omitempty"`
}

func testBuilders(ctx context.Context, m machine, f *prefixFlags, names []string, asJSON bool) error {
	ssh, err := m.ssh()
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
	all, err := builders.Load(o.layout)
	if err != nil {
		return err
	}
	if len(names) > 0 || len(all) == 0 {
		name := ""
		if len(names) > 0 {
			name = names[0]
		}
		i, err := findBuilder(all, name)
		if err != nil {
			return err
		}
		all = all[i : i+1]
	}
	nix := m.overSSH(o.nix, ssh)
	results, errs := []tried{}, []error{}
	for i, mc := range all {
		began := m.now()
		r := tried{URL: mc.URL()}
		if r.Found, err = mc.Ask(ctx, ssh, o.layout, o.store); err == nil {
			r.Path, err = mc.Try(ctx, nix, fmt.Sprintf("bootstrap-builder-%s-%d", runName(m), i))
		}
		r.Seconds = m.now().Sub(began).Round(time.Millisecond).Seconds()
		if err == nil {
			err = builders.Forget(ctx, nix, r.Path)
		}
		if ctx.Err() != nil {
			return err
		}
		if err != nil {
			r.Error, r.Hint = err.Error(), fault.HintOf(err)
			errs = append(errs, err)
		}
		results = append(results, r)
	}
	if !asJSON {
		printTried(m, results)
	} else if err := printJSON(m.stdout, results); err != nil {
		return err
	}
	return oneOf(errs, len(results))
}

func printTried(m machine, results []tried) {
	for _, r := range results {
		if r.Error == "" {
			fmt.Fprintf(m.stdout, "%s, with Nix %s, has built %s in %.1f s; it was valid here, and is deleted.\n", r.URL, r.Found.Nix, r.Path, r.Seconds)
		} else if len(results) > 1 {
			fmt.Fprintf(m.stdout, "%s: %s\n", r.URL, r.Error)
		}
	}
}

// oneOf returns the only error, or one that says how many there are, of the kind of the first.
func oneOf(errs []error, of int) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return fault.New(fault.KindOf(errs[0]), fmt.Errorf("%d of %d builders do not build", len(errs), of), fault.HintOf(errs[0]))
}
