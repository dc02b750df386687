//go:build manual

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// releaseCommands are those that only the program has that scripts/release runs.
func releaseCommands() []*cobra.Command { return []*cobra.Command{manualCommand()} }

// manualCommand writes man pages and completions. What it takes to make them would be a good part
// of the installer's size, so they are made once, and by another program.
func manualCommand() *cobra.Command {
	return &cobra.Command{
		Use: "internal-manual DIR SECONDS", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			seconds, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil {
				return fmt.Errorf("date %q: not a number of seconds since 1970", args[1])
			}
			date := time.Unix(seconds, 0).UTC()
			return errors.Join(manPages(cmd.Root(), args[0], date), completions(cmd.Root(), args[0]))
		},
	}
}

// manPages writes a page for each command.
func manPages(root *cobra.Command, dir string, date time.Time) error {
	dir = filepath.Join(dir, "man", "man1")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root.DisableAutoGenTag = true // it has the day on which it is made
	root.Long += "\n\n# EXIT STATUS\n"
	for line := range strings.Lines(exitCodes) {
		if code, found := strings.CutPrefix(line, "  "); found {
			number, meaning, _ := strings.Cut(code, " ")
			root.Long += "\n**" + number + "**\n: " + strings.TrimSpace(meaning) + "\n"
		}
	}
	return doc.GenManTree(root, &doc.GenManHeader{
		Section: "1", Date: &date, Source: "bootstrap " + programVersion(), Manual: "bootstrap",
	}, dir)
}

// completions writes what shells complete the command line by.
func completions(root *cobra.Command, dir string) error {
	dir = filepath.Join(dir, "completions")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return errors.Join(
		root.GenBashCompletionFileV2(filepath.Join(dir, "bootstrap.bash"), true),
		root.GenZshCompletionFile(filepath.Join(dir, "_bootstrap")),
		root.GenFishCompletionFile(filepath.Join(dir, "bootstrap.fish"), true),
	)
}
