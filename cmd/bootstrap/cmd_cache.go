package main

import (
	"github.com/spf13/cobra"
)

func cacheCommand(m machine) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Share what was built with others, or take what others built",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(cacheRelocateCommand(m))
	return cmd
}
