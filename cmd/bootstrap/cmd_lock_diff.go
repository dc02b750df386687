package main

import (
	"errors"
	"fmt"

	"bootstrap/internal/lock"

	"github.com/spf13/cobra"
)

// builtIn is what the lock in the program is called where a file could be named.
const builtIn = "built-in"

// lockDiff is what `lock diff --json` prints.
type lockDiff struct {
	Old     lockID        `json:"old"`
	New     lockID        `json:"new"`
	Suites  []suiteChange `json:"suites"`
	Entries []entryChange `json:"entries"`
}

type lockID struct {
	Digest    string `json:"digest"`
	Timestamp string `json:"timestamp"`
}

type suiteChange struct {
	Name string      `json:"name"`
	Old  *lock.Suite `json:"old,omitempty"`
	New  *lock.Suite `json:"new,omitempty"`
}

type entryChange struct {
	Kind lock.Kind   `json:"kind"`
	Old  *lock.Entry `json:"old,omitempty"`
	New  *lock.Entry `json:"new,omitempty"`
}

func lockDiffCommand(m machine) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "diff OLD [NEW]",
		Short: "Show what changes from one lock to another",
		Long: `diff prints what is pinned otherwise in the second lock than in the first: packages that came, went,
or changed their version, their bytes or their use, and indexes that are others. "built-in" stands
for the lock in this program, which NEW is if it is left out.`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usageError(cmd, errors.New("no lock given to compare"))
			case len(args) > 2:
				return usageError(cmd, fmt.Errorf("unknown argument %q", args[2]))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			old, err := namedLock(args[0])
			if err != nil {
				return err
			}
			other := builtIn
			if len(args) == 2 {
				other = args[1]
			}
			new, err := namedLock(other)
			if err != nil {
				return err
			}
			return printLockDiff(m, old, new, asJSON)
		},
	}
	registerJSON(cmd.Flags(), &asJSON, "print it as JSON")
	return cmd
}

// namedLock reads the lock of that name.
func namedLock(name string) (*lock.Lock, error) {
	if name == builtIn {
		name = ""
	}
	return (&seedFlags{lockFile: name}).lock()
}

func printLockDiff(m machine, old, new *lock.Lock, asJSON bool) error {
	suites, entries := lock.DiffSuites(old, new), lock.Diff(old, new)
	if asJSON {
		d := lockDiff{
			Old: lockID{old.Digest(), old.Timestamp}, New: lockID{new.Digest(), new.Timestamp},
			Suites: []suiteChange{}, Entries: []entryChange{},
		}
		for _, c := range suites {
			d.Suites = append(d.Suites, suiteChange{c.Name(), c.Old, c.New})
		}
		for _, c := range entries {
			d.Entries = append(d.Entries, entryChange{c.Kind(), c.Old, c.New})
		}
		return printJSON(m.stdout, d)
	}
	for _, c := range suites {
		fmt.Fprintln(m.stdout, c)
	}
	for _, c := range entries {
		fmt.Fprintln(m.stdout, c)
	}
	if old.Digest() == new.Digest() {
		fmt.Fprintln(m.stderr, "The locks pin the same.")
	}
	return nil
}
