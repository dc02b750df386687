//go:build !manual

package main

import "github.com/spf13/cobra"

// releaseCommands are those that only the program has that scripts/release runs: none.
func releaseCommands() []*cobra.Command { return nil }
