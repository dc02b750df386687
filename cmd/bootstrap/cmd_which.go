package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/mixing"
	"bootstrap/internal/registry"

	"github.com/spf13/cobra"
)

// found is a path or a command, and the store it belongs to.
type found struct {
	Asked string `json:"asked"`
	Kind  string `json:"kind"` // "file" or "command"
	// Way is the path, and what it has become after each symbolic link.
	Way   []string `json:"way"`
	There bool     `json:"there"` // the way has an end
	registry.Origin
	in bool // it belongs to some store
}

// whichStore is what `which --json` prints where it is given no argument.
type whichStore struct {
	Nix         *found           `json:"nix,omitempty"`
	Environment *registry.Entry  `json:"environment,omitempty"`
	Findings    []mixing.Finding `json:"findings"`
}

func whichCommand(m machine) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "which [PATH|COMMAND]",
		Short: "Say which store a path, a profile or a command belongs to",
		Long: `which follows the symbolic links of a path, or of a command in PATH, and says which store it ends in:
a prefix, a classic Nix, or a store of nobody known. It ends with exit code 1 where it is none.

Without an argument it says so of the command nix, and what in the environment speaks of another
store than that.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError(cmd, fmt.Errorf("unknown argument %q", args[1]))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return whichNix(cmd.Context(), m, asJSON)
			}
			return which(cmd.Context(), m, args[0], asJSON)
		},
	}
	registerJSON(cmd.Flags(), &asJSON, "print it as JSON")
	return cmd
}

func which(ctx context.Context, m machine, asked string, asJSON bool) error {
	path, kind, err := m.find(asked)
	if err != nil {
		return err
	}
	finder, _ := m.finder(ctx)
	f, err := trace(finder, asked, kind, path)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(m.stdout, f)
	}
	printFound(m.stdout, f)
	return nil
}

// find returns the absolute path of what was named: a path, if there is a slash in it, else a
// command in PATH, else a file in the working directory.
func (m machine) find(asked string) (path, kind string, err error) {
	if asked == "" {
		return "", "", fault.New(fault.Usage, errors.New("which: the argument is empty"), "give a path, or the name of a command")
	}
	if !strings.Contains(asked, "/") {
		if path := m.command(asked); path != "" {
			return path, "command", nil
		}
	}
	if path, err = m.absolute("which", asked); err != nil {
		return "", "", err
	}
	if _, err := os.Lstat(path); err != nil && !strings.Contains(asked, "/") {
		return "", "", fault.New(fault.General, fmt.Errorf("%q: is no command in PATH, and no file in this directory", asked),
			"give its path; `bootstrap list` shows which stores there are")
	}
	return path, "file", nil
}

// command returns the absolute path of a program in PATH, or "".
func (m machine) command(name string) string {
	for _, dir := range filepath.SplitList(m.getenv("PATH")) {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(m.cwd, dir)
		}
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); filepath.IsAbs(path) && err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// finder knows all stores of this machine, as far as they can be known. Without the list, of which
// the error speaks, it still finds a prefix by what is in its directories.
func (m machine) finder(ctx context.Context) (registry.Finder, error) {
	entries, err := m.known()
	if err != nil {
		fmt.Fprintf(m.stderr, "warning: %s\n", unlisted(err))
	}
	return registry.Finder{Known: entries, Classic: registry.FindClassic(ctx, registry.ClassicRoot)}, err
}

// trace follows a path to its store. That it belongs to none is an error that says what it is.
func trace(finder registry.Finder, asked, kind, path string) (found, error) {
	f := found{Asked: asked, Kind: kind}
	way, werr := registry.Follow(path)
	f.Way, f.There = way, werr == nil
	f.Origin, f.in = finder.Along(way)
	if f.in {
		return f, nil
	}
	end := way[len(way)-1]
	switch {
	case werr != nil && len(way) > 1:
		return f, fault.New(fault.General, fmt.Errorf("%q: is a link to %q, which is in no store: %w", asked, end, errors.Unwrap(werr)),
			"what it led to was moved or removed; `bootstrap list` shows which stores there are")
	case werr != nil:
		return f, fault.New(fault.General, fmt.Errorf("%q: %w", asked, werr), "give a path that exists, or one in a store")
	}
	what := "file"
	if info, err := os.Stat(end); err == nil && info.IsDir() {
		what = "directory"
	}
	return f, fault.New(fault.General, fmt.Errorf("%q: belongs to no store: it is the %s %s", asked, what, end),
		"`bootstrap list` shows which stores there are")
}
