package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/provenance"
	"bootstrap/stages"

	"github.com/spf13/cobra"
)

// verification is what `verify --json` prints.
type verification struct {
	Outputs []provenance.Output `json:"outputs"`
	Paths   int                 `json:"paths"` // store paths whose contents were compared
	Drift   []drift             `json:"drift"` // what is not as it was made
	Rebuilt []rebuilt           `json:"rebuilt"`
}

// rebuilt is a derivation that was built once more.
type rebuilt struct {
	Stage     string `json:"stage"`
	Name      string `json:"name"`
	Path      string `json:"path"`
	Identical bool   `json:"identical"`
}

func verifyCommand(m machine) *cobra.Command {
	f := &prefixFlags{}
	asJSON := false
	var rebuild []string
	cmd := &cobra.Command{
		Use:   "verify --prefix DIR",
		Short: "Compare what is installed with the records, and build it once more if wished",
		Long: `verify compares the files that were written with the receipt, and every byte of what the stages built,
and of what that refers to, with Nix's database. It changes nothing; "bootstrap repair" mends.

--rebuild builds the derivations of a stage, toolchain or native, once more, beside what is there
(nix build --rebuild), and says of each whether the result is identical. native takes as long as
it took to compile. The exit code is 4 if anything is not what it was.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return verify(cmd.Context(), m, f, rebuild, asJSON)
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().StringSliceVar(&rebuild, "rebuild", nil, "build the derivations of these `stages` once more: toolchain, native")
	registerJSON(cmd.Flags(), &asJSON, "print what was compared, and what differs, as JSON")
	return cmd
}

func verify(ctx context.Context, m machine, f *prefixFlags, rebuild []string, asJSON bool) error {
	for _, stage := range rebuild {
		if !slices.Contains(rebuildable(), stage) {
			return fault.New(fault.Usage, fmt.Errorf("--rebuild %q: is no stage whose derivations are kept", stage),
				"name one or more of "+strings.Join(rebuildable(), ", "))
		}
	}
	o, err := f.own(m)
	if err != nil {
		return err
	}
	if err := o.nativeOnly(); err != nil {
		return err
	}
	if err := o.layout.MayWrite(); err != nil {
		return err
	}
	v := verification{Outputs: o.outputs(), Drift: []drift{}, Rebuilt: []rebuilt{}}
	if err := o.compare(ctx, &v); err != nil {
		return err
	}
	if len(rebuild) > 0 && len(v.Drift) == 0 { // on what is damaged nothing can be built
		if err := o.rebuild(ctx, m, &v, rebuild); err != nil {
			return err
		}
	}
	if asJSON {
		if err := printJSON(m.stdout, v); err != nil {
			return err
		}
	} else {
		printVerification(m, v)
	}
	return v.err(o.layout.Store)
}

// rebuildable returns the stages whose outputs are derivations that stay.
func rebuildable() []string { return []string{stages.Toolchain, stages.Native} }

// compare looks at the files that were written, and at the store.
func (o own) compare(ctx context.Context, v *verification) error {
	history, err := journal.Load(o.layout.Journal())
	if err != nil {
		return err
	}
	v.Drift = append(v.Drift, records{layout: o.layout, history: history, receipt: o.receipt}.drifted()...)
	if _, err := installedLock(o); err != nil {
		v.Drift = append(v.Drift, drift{filepath.Join(o.layout.Packages, "lock.json"), "is not the lock of the receipt"})
	}
	closure := map[string]bool{}
	for i, out := range v.Outputs {
		if !o.nix.Registered(ctx, out.Path) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			v.Drift = append(v.Drift, drift{out.Path, "is not in Nix's database"})
			continue
		}
		infos, err := o.nix.ClosureOf(ctx, out.Path)
		if err != nil {
			return o.unanswered(err)
		}
		v.Outputs[i].NAR = infos[out.Path].NarHash
		for path := range infos {
			closure[path] = true
		}
	}
	v.Paths = len(closure)
	altered, err := o.nix.Altered(ctx, slices.Sorted(maps.Keys(closure))...)
	if err != nil {
		return o.unanswered(err)
	}
	for _, path := range altered {
		v.Drift = append(v.Drift, drift{path, "is not what Nix's database says"})
	}
	return nil
}

// rebuild builds the derivations of stages once more.
func (o own) rebuild(ctx context.Context, m machine, v *verification, names []string) (err error) {
	if _, built := o.receipt.Stage(stages.Toolchain); !built {
		return fault.New(fault.Unfit, fmt.Errorf("--rebuild %s: prefix %q has no compiler", strings.Join(names, ","), o.layout.Store),
			"`bootstrap --prefix` brings the one of the package set")
	}
	if s, _ := o.receipt.Stage(stages.Configure); s.Outputs["sandbox"] == "false" && slices.Contains(names, stages.Native) {
		// Without one, Nix builds what is there already at a path of another name, and puts the right
		// name where it finds that one. A compiler leaves parts of it where it does not look.
		return fault.New(fault.Unfit, fmt.Errorf("--rebuild native: prefix %q builds without a sandbox, and Nix cannot compare compiled programs then", o.layout.Store),
			"install the same at the same place on another host, and compare what `bootstrap verify --json` prints in both (docs/REBUILD.md)")
	}
	held, err := o.lock(ctx, m, "verify")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Release()) }()
	for _, out := range v.Outputs {
		// The shell, and the files of nixpkgs, are added to the store: there is nothing to build.
		if !slices.Contains(names, out.Stage) || !stages.Derived(out.Name) {
			continue
		}
		fmt.Fprintf(m.stderr, "building %s once more\n", out.Path)
		same, err := o.nix.Rebuild(ctx, o.layout.Packages, out.Name, out.Path)
		if err != nil {
			return err
		}
		v.Rebuilt = append(v.Rebuilt, rebuilt{Stage: out.Stage, Name: out.Name, Path: out.Path, Identical: same})
	}
	return nil
}

// err is the verdict.
func (v verification) err(store string) error {
	different := 0
	for _, r := range v.Rebuilt {
		if !r.Identical {
			different++
		}
	}
	switch {
	case len(v.Drift) > 0:
		return fault.New(fault.Verify, fmt.Errorf("prefix %q: %d files or store paths are not what they were", store, len(v.Drift)),
			"`bootstrap repair` makes anew what is damaged")
	case different > 0:
		return fault.New(fault.Verify, fmt.Errorf("prefix %q: %d derivations did not give the same again", store, different),
			"what is installed is what was built then; if the host is sound, please report this")
	}
	return nil
}

func printVerification(m machine, v verification) {
	for _, d := range v.Drift {
		fmt.Fprintf(m.stdout, "%s: %s\n", d.Path, d.What)
	}
	for _, r := range v.Rebuilt {
		verdict := "identical"
		if !r.Identical {
			verdict = "differs"
		}
		fmt.Fprintf(m.stdout, "%-9s  %-9s  %s\n", verdict, r.Stage, r.Path)
	}
	fmt.Fprintf(m.stdout, "%d outputs, %d store paths compared, %d differences.\n", len(v.Outputs), v.Paths, len(v.Drift))
}
