package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/nixsource"
	"bootstrap/patches"

	"github.com/spf13/cobra"
)

// patchReport is what `patches check --json` prints.
type patchReport struct {
	Version string        `json:"version"` // as the source says
	InRange bool          `json:"in_range"`
	Patches []patchResult `json:"patches"`
}

type patchResult struct {
	File      string             `json:"file"`
	Subject   string             `json:"subject"`
	Verdict   patches.Verdict    `json:"verdict"`
	Offset    int                `json:"offset"` // lines
	Conflicts []patches.Conflict `json:"conflicts,omitempty"`
	After     []string           `json:"after,omitempty"`
	Until     string             `json:"until"`
}

func patchesCommand(m machine) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "patches",
		Short: "Check whether the patches to Nix apply to a source",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(patchesCheckCommand(m))
	return cmd
}

func patchesCheckCommand(m machine) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "check SOURCE",
		Short: "Say of each patch whether it applies to a source of Nix, is obsolete, or conflicts",
		Long: `check applies the patches for the version of a source, an archive or an unpacked directory, in their
order, in memory: it writes nothing. It is as strict as the build is: each line of context has to be
there. If no patches are for that version, those of the nearest one are tried.

A patch is obsolete if all of it is in the source already. Of one that conflicts, the hunks that do
are printed; it is left out as a whole, and what builds on it conflicts as well.
The exit code is 0 if all patches apply, and 1 if any does not.`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usageError(cmd, errors.New("no source given to check"))
			case len(args) > 1:
				return usageError(cmd, fmt.Errorf("unknown argument %q", args[1]))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return checkPatches(cmd.Context(), m, args[0], asJSON)
		},
	}
	registerJSON(cmd.Flags(), &asJSON, "print it as JSON")
	return cmd
}

func checkPatches(ctx context.Context, m machine, source string, asJSON bool) error {
	all, err := patches.All()
	if err != nil {
		return err
	}
	s, err := nixsource.Read(ctx, source, patches.Files(all))
	if err != nil {
		return err
	}
	_, rangeErr := patches.Select(all, s.Version)
	report := patchReport{Version: s.Version.Original(), InRange: rangeErr == nil, Patches: []patchResult{}}
	bad := 0
	for _, f := range patches.Check(s.Files, patches.Nearest(all, s.Version)) {
		report.Patches = append(report.Patches, patchResult{
			File: f.Patch.File, Subject: f.Patch.Subject, Verdict: f.Verdict, Offset: f.Offset,
			Conflicts: f.Conflicts, After: f.After, Until: f.Patch.Until,
		})
		if f.Verdict != patches.Applies {
			bad++
		}
	}
	if asJSON {
		err = printJSON(m.stdout, report)
	} else {
		printPatches(m.stdout, report)
	}
	if err == nil && bad > 0 {
		return fault.New(fault.General,
			fmt.Errorf("source %q: %d of %d patches do not apply as they are", source, bad, len(report.Patches)),
			"leave out what is obsolete, and make what conflicts again: docs/PATCHES.md says how")
	}
	return err
}

func printPatches(w io.Writer, r patchReport) {
	fmt.Fprintf(w, "Nix %s\n", r.Version)
	if !r.InRange {
		fmt.Fprintf(w, "no patches are for it; these are those for %s\n", path.Dir(r.Patches[0].File))
	}
	for _, p := range r.Patches {
		line := fmt.Sprintf("%-9s %s", p.Verdict, p.File)
		if p.Offset > 0 {
			line += fmt.Sprintf(", up to %d lines away", p.Offset)
		}
		if len(p.After) > 0 {
			line += ", behind " + strings.Join(p.After, ", ")
		}
		fmt.Fprintln(w, line)
		for _, c := range p.Conflicts {
			fmt.Fprintf(w, "    %s: %s\n", c.File, c.Why)
			for hunk := range strings.Lines(c.Hunk) {
				fmt.Fprintf(w, "    | %s", hunk)
			}
		}
	}
}
