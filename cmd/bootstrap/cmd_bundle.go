package main

import (
	"github.com/spf13/cobra"
)

func bundleCommand(m machine) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Carry the Nix of a prefix to another one, without building it again",
		Long: `bundle writes the native nix of a prefix, and what it was made by, to one file.
` + "`bootstrap --prefix DIR --from FILE`" + ` makes a Nix of any other prefix out of it that is as long, or
shorter: the same store paths that building one there would give, in seconds, without a compiler.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(bundleCreateCommand(m), bundleInspectCommand(m), bundleVerifyCommand(m))
	return cmd
}
