package main

import (
	"github.com/spf13/cobra"
)

func exportCommand(m machine) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write what was built in the prefix to a file that works elsewhere",
		Long: `export takes store paths, what they refer to and nothing else, and writes it to one file: a
container image, a zip file for AWS Lambda, or an archive for another prefix of the same store
directory. The same closure gives the same bytes, whenever and by whomever it is written.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(exportContainerCommand(m), exportLambdaCommand(m), exportTarCommand(m))
	return cmd
}
