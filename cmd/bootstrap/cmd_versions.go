package main

import (
	"fmt"
	"path"

	"bootstrap/stages"

	"github.com/spf13/cobra"
)

// knownVersions is what `versions --json` prints.
type knownVersions struct {
	Versions []stages.Known  `json:"versions"`
	Series   []stages.Series `json:"series"`
}

func versionsCommand(m machine) *cobra.Command {
	f := &seedFlags{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "versions",
		Short: "List the versions of Nix that are known: from which source, with which patches, tested or not",
		Long: `versions prints a line for each version of Nix whose source the lock has, and one for each range of
versions that there are patches for. "tested" is a source that the test command of the project builds,
installs and uses. A version that no patch is for is refused by an installation.`,
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
			if asJSON {
				return printJSON(m.stdout, known)
			}
			printVersions(m, known)
			return nil
		},
	}
	cmd.Flags().StringVar(&f.lockFile, "lock", "", "`file` with the lock (default: the one built in)")
	registerJSON(cmd.Flags(), &asJSON, "print it as JSON")
	return cmd
}

func printVersions(m machine, known knownVersions) {
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
		fmt.Fprintf(m.stdout, "%-9s %d patches for %s\n", s.Name, s.Patches, s.Range)
	}
}
