package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"bootstrap/internal/fault"
	"bootstrap/internal/prefix"

	"github.com/spf13/cobra"
)

// lockSourceFlags are those of `lock source`.
type lockSourceFlags struct {
	seedFlags
	source sourceFlags
	output string
}

func lockSourceCommand(m machine) *cobra.Command {
	f := &lockSourceFlags{}
	cmd := &cobra.Command{
		Use:   "source URL|PATH",
		Short: "Make a lock with another source of Nix: to install it with --lock",
		Long: `source writes a lock that is another one (--lock, or else the built-in one) but for the source of Nix,
which it takes from a tarball. The version is what the tarball itself says. One that there are no
patches for, or that one of them does not apply to, is refused: a Nix without them would not keep to
its prefix. --nix-source of an installation does the same for that one prefix.`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usageError(cmd, errors.New("no source given"))
			case len(args) > 1:
				return usageError(cmd, fmt.Errorf("unknown argument %q", args[1]))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f.source.address = args[0]
			return lockSource(cmd.Context(), m, f)
		},
	}
	s := cmd.Flags()
	f.seedFlags.register(s, "`file` with the lock to take all else from (default: the one built in)")
	f.source.registerDigest(s)
	s.StringVarP(&f.output, "output", "o", "", "`file` to write (default: "+newLock+")")
	return cmd
}

func lockSource(ctx context.Context, m machine, f *lockSourceFlags) error {
	old, err := f.seedFlags.lock()
	if err != nil {
		return err
	}
	transport, err := f.transport(m, prefix.Layout{})
	if err != nil {
		return err
	}
	cacheDir, err := m.cacheDir(f.cacheDir)
	if err != nil && f.cacheDir != "" {
		return err
	}
	output, err := m.absolute("--output", cmp.Or(f.output, newLock))
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Dir(output)); err != nil {
		return fault.New(fault.Usage, err, hintOutput)
	}
	made, err := f.source.lock(ctx, m, old, cacheDir, transport)
	if err != nil {
		return err
	}
	return writeLock(m, output, old, made)
}
