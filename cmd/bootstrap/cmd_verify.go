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
	Rebuilt []stages.Remade     `json:"rebuilt"`
}

// verifyFlags are those of the command.
type verifyFlags struct {
	stateFlags
	mirror, snapshot string
	rebuild          []string
}

func verifyCommand(m machine) *cobra.Command {
	f := &verifyFlags{}
	cmd := &cobra.Command{
		Use:   "verify --prefix DIR",
		Short: "Compare what is installed with the records, and make it once more if wished",
		Long: `verify compares the files that were written with the receipt, and every byte of what the stages built,
and of what that refers to, with Nix's database. It changes nothing; "bootstrap repair" mends.

--rebuild then makes once more what a stage has made, and says of each thing whether it is identical:

  fetch      each file of the lock: the one in the cache of downloads, or fetched if it is not there
  host       the host nix, unpacked and relinked; removed again
  toolchain  its derivations, built beside what is there (nix build --rebuild)
  bootstrap  the bootstrap nix, compiled by the native nix; deleted again
  relocate   every store path of the bundle that the prefix came from
  native     its derivation; that takes as long as it took to compile
  configure  the text of nix.conf and of the files for shells
  install    the links through the current generation, the profile among them
  prove      GNU hello, if that was asked for

A stage is refused where the prefix was made without it, or has no record to compare with. The exit
code is 4 if anything is not what it was.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return verify(cmd.Context(), m, f)
		},
	}
	s := cmd.Flags()
	f.prefixFlags.register(s)
	registerCacheDir(s, &f.cacheDir)
	registerMirror(s, &f.mirror)
	registerSnapshot(s, &f.snapshot)
	s.StringSliceVar(&f.rebuild, "rebuild", nil, "make once more what these `stages` have made: "+strings.Join(stages.Remakable(), ", "))
	registerJSON(s, &f.json, "print what was compared, and what differs, as JSON")
	return cmd
}

func verify(ctx context.Context, m machine, f *verifyFlags) error {
	for _, stage := range f.rebuild {
		if !slices.Contains(stages.Remakable(), stage) {
			return fault.New(fault.Usage, fmt.Errorf("--rebuild %q: is no stage that makes anything which could be made once more", stage),
				"name one or more of "+strings.Join(stages.Remakable(), ", "))
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
	v := verification{Outputs: o.outputs(), Drift: []drift{}, Rebuilt: []stages.Remade{}}
	if err := o.compare(ctx, &v); err != nil {
		return err
	}
	if len(f.rebuild) > 0 && len(v.Drift) == 0 { // on what is damaged nothing can be built
		if err := f.again(ctx, m, o, &v); err != nil {
			return err
		}
	}
	if f.json {
		if err := printJSON(m.stdout, v); err != nil {
			return err
		}
	} else {
		printVerification(m, v)
	}
	return v.err(o.layout.Store)
}

// again makes once more what the stages have made that the flags name.
func (f *verifyFlags) again(ctx context.Context, m machine, o own, v *verification) error {
	with, err := f.options(m, o.layout)
	if err != nil {
		return err
	}
	if with.Lock, err = installedLock(o); err != nil {
		return err
	}
	if with.Transport, err = f.transport(m, o.layout); err != nil {
		return err
	}
	with.Mirror, with.MirrorEnv, with.Snapshot = f.mirror, m.getenv("BOOTSTRAP_MIRROR"), f.snapshot
	with.Command, with.Run = "bootstrap "+strings.Join(redacted(m.args), " "), runName(m)
	view := newView(m, viewOptions{json: f.json})
	defer view.Close()
	with.Sink = view
	made, err := stages.Again(ctx, with, f.rebuild...)
	v.Rebuilt = append(v.Rebuilt, made...)
	return errors.Join(err, view.Close())
}

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
		return fault.New(fault.Verify, fmt.Errorf("prefix %q: %d things did not come out the same again", store, different),
			"what is installed is what was made then; if the host is sound, please report this")
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
