package main

import (
	"fmt"
	"time"

	"bootstrap/internal/archive"
	"bootstrap/internal/lock"
	"bootstrap/internal/probe"

	"github.com/spf13/cobra"
)

func lockShowCommand(m machine) *cobra.Command {
	f := &seedFlags{}
	keyring := ""
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show what is trusted: what the lock pins, from which signed indexes, and whose signatures count",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			l, err := f.lock()
			if err != nil {
				return err
			}
			trusted, err := trustedKeys(keyring)
			if err != nil {
				return err
			}
			printLock(m, l, trusted)
			return nil
		},
	}
	cmd.Flags().StringVar(&f.lockFile, "lock", "", "`file` with the lock (default: the one built in)")
	registerKeyring(cmd.Flags(), &keyring)
	return cmd
}

// trustedKeys returns the keys of a file, or Debian's where none is named.
func trustedKeys(path string) (keys, error) {
	if path == "" {
		return archive.DebianKeys()
	}
	return readKeys(path)
}

func printLock(m machine, l *lock.Lock, trusted keys) {
	fmt.Fprintf(m.stdout, "digest    %s\ntimestamp %s\n", l.Digest(), l.Timestamp)
	for _, s := range l.Suites {
		fmt.Fprintf(m.stdout, "suite     %s, index of %s, sha256 %s, signed by %s\n",
			s.Name, s.Date, s.InReleaseSHA256, s.SignedBy)
	}
	for _, k := range archive.Describe(trusted) {
		until := "for ever"
		if !k.Expires.IsZero() {
			until = "until " + k.Expires.Format(time.DateOnly)
		}
		fmt.Fprintf(m.stdout, "key       %s, %s, %s\n", k.Fingerprint, k.Name, until)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		for _, role := range lock.Roles() {
			var bytes int64
			entries := l.For(arch, role)
			for _, e := range entries {
				bytes += e.Size
			}
			fmt.Fprintf(m.stdout, "%-9s %-13s %4d files %10s\n", arch, role, len(entries), probe.Size(bytes))
		}
	}
}
