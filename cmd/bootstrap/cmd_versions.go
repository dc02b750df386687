package main

import (
	"fmt"
	"path"
	"strings"

	"bootstrap/stages"

	"github.com/spf13/cobra"
)

// knownVersions is what `versions --json` prints.
type knownVersions struct {
	Versions  []stages.Known    `json:"versions"`
	Series    []stages.Series   `json:"series"`
	Installed []generationShown `json:"installed,omitempty"` // with --prefix
}

func versionsCommand(m machine) *cobra.Command {
	f := &seedFlags{}
	p := &prefixFlags{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "versions",
		Short: "List the versions of Nix that are known: from which source, with which patches, tested or not",
		Long: `versions prints a line for each version of Nix whose source the lock has, and one for each range of
versions that there are patches for. "tested" is a source that the test command of the project builds,
installs and uses; "built" are versions that a whole installation was made of once, with those
patches; of others it is said how far they came, or that the patches are only known to apply. A version that no patch is for is refused by an installation.
With --prefix, what is installed there now and what was before comes first.`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			l, err := f.lock()
			if err != nil {
				return err
			}
			known := knownVersions{}
			if known.Versions, err = stages.Versions(l); err != nil {
				return err
			}
			if known.Series, err = stages.AllSeries(); err != nil {
				return err
			}
			if p.prefix != "" {
				at, err := p.locate(m)
				if err != nil {
					return err
				}
				if known.Installed, err = generationsOf(at.layout); err != nil {
					return err
				}
			}
			if asJSON {
				return printJSON(m.stdout, known)
			}
			printVersions(m, known)
			return nil
		},
	}
	p.register(cmd.Flags())
	cmd.Flags().StringVar(&f.lockFile, "lock", "", "`file` with the lock (default: the one built in)")
	registerJSON(cmd.Flags(), &asJSON, "print it as JSON")
	return cmd
}

func printVersions(m machine, known knownVersions) {
	for _, g := range known.Installed {
		state := "installed earlier"
		switch {
		case !g.Complete:
			continue
		case g.Current:
			state = "installed"
		}
		fmt.Fprintf(m.stdout, "%-9s %s, generation %d, %s\n", g.NixVersion, state, g.Number, g.Nix)
	}
	for _, v := range known.Versions {
		tested := "not tested"
		switch {
		case v.Refused != "":
			tested = "refused: no patches"
		case v.Tested:
			tested = "tested"
		}
		fmt.Fprintf(m.stdout, "%-9s %s, source %s of the %s, sha256 %s\n", v.Version, tested, v.File, v.From, v.SHA256)
		for _, p := range v.Patches {
			fmt.Fprintf(m.stdout, "%-9s patch %s\n", "", path.Base(p))
		}
	}
	if len(known.Versions) == 0 {
		fmt.Fprintln(m.stderr, "The lock has no source of Nix.")
	}
	for _, s := range known.Series {
		built := "only known to apply"
		if len(s.Built) > 0 {
			var each []string
			for _, b := range s.Built {
				each = append(each, fmt.Sprintf("%s built for %s by a Nix %s", b.Nix, b.Architecture, b.Host))
			}
			built = strings.Join(each, "; ")
		}
		patches := "patches"
		if s.Patches == 1 {
			patches = "patch"
		}
		fmt.Fprintf(m.stdout, "%-9s %d %s for %s, %s\n", s.Name, s.Patches, patches, s.Range, built)
	}
}
