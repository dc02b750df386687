package main

import (
	"context"
	"fmt"
	"io"

	"bootstrap/internal/registry"

	"github.com/spf13/cobra"
)

// prefixList is what `list --json` prints.
type prefixList struct {
	Prefixes []registry.Entry  `json:"prefixes"`
	Classic  *registry.Classic `json:"classic,omitempty"`
	Pruned   []string          `json:"pruned,omitempty"`
}

func listCommand(m machine) *cobra.Command {
	prune, asJSON := false, false
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the prefixes of this account, and a classic Nix beside them",
		Long: `list prints a line for each prefix that this account has installed or begun to install, with what is
found there now, and one for the Nix in /nix, where there is one. An asterisk marks the prefix in
the environment of this shell.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(cmd.Context(), m, prune, asJSON)
		},
	}
	cmd.Flags().BoolVar(&prune, "prune", false, "drop those from the list that are gone")
	registerJSON(cmd.Flags(), &asJSON, "print it as JSON")
	return cmd
}

func list(ctx context.Context, m machine, prune, asJSON bool) error {
	entries, err := m.known()
	if err != nil {
		return err
	}
	l := prefixList{Prefixes: []registry.Entry{}, Classic: registry.FindClassic(ctx, registry.ClassicRoot)}
	for _, e := range entries {
		if prune && e.Listed && e.State == registry.Gone {
			l.Pruned = append(l.Pruned, e.Store)
		} else {
			l.Prefixes = append(l.Prefixes, e)
		}
	}
	if len(l.Pruned) > 0 {
		file, err := m.registry()
		if err != nil {
			return err
		}
		if err := file.Remove(ctx, l.Pruned...); err != nil {
			return err
		}
	}
	if asJSON {
		return printJSON(m.stdout, l)
	}
	printList(m.stdout, l)
	if len(l.Prefixes) == 0 && l.Classic == nil {
		fmt.Fprint(m.stderr, "No prefix is listed; `bootstrap --prefix` installs one, or lists one that is there.\n")
	}
	return nil
}

// printList prints a line for each store, and below it what is wrong with it.
func printList(w io.Writer, l prefixList) {
	width := len(registry.ClassicRoot + "/store")
	for _, e := range l.Prefixes {
		width = max(width, len(e.Store))
	}
	for _, e := range l.Prefixes {
		mark, version := " ", ""
		if e.Active {
			mark = "*"
		}
		if e.NixVersion != "" {
			version = "nix " + e.NixVersion
		}
		row(w, "%s %-*s  %-10s  %s", mark, width, e.Store, e.State, version)
		if e.Diverted != "" {
			fmt.Fprintf(w, "    the files of %s\n", e.Diverted)
		}
		if e.Why != "" {
			fmt.Fprintf(w, "    why: %s\n", e.Why)
			fmt.Fprintf(w, "    do:  %s\n", e.Remedy)
		}
		if !e.Listed {
			fmt.Fprint(w, "    in the environment, and in no list of this account\n")
		}
	}
	if c := l.Classic; c != nil {
		row(w, "  %-*s  %-10s  not ours; %s", width, c.Store, "classic", daemonOf(c))
	}
	for _, store := range l.Pruned {
		fmt.Fprintf(w, "dropped from the list: %s\n", store)
	}
}

// row prints a line without blanks at its end.
func row(w io.Writer, format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	for line != "" && line[len(line)-1] == ' ' {
		line = line[:len(line)-1]
	}
	fmt.Fprintln(w, line)
}

// daemonOf says what is known of the daemon of a classic Nix.
func daemonOf(c *registry.Classic) string {
	switch c.Daemon {
	case registry.Answers:
		return "its daemon answers"
	case registry.Silent:
		return "there is a daemon's socket, and no answer"
	}
	return "no daemon"
}
