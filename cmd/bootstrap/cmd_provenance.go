package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/lock"
	"bootstrap/internal/prefix"
	"bootstrap/internal/provenance"

	"github.com/spf13/cobra"
)

func provenanceCommand(m machine) *cobra.Command {
	f := &prefixFlags{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "provenance --prefix DIR",
		Short: "Say what a prefix was made from, each input by its digest, and what came of it",
		Long: `provenance prints the store paths that were built, by the hashes that the prefix's own Nix has of
them, and everything they depend on: the lock and the files of it, the expressions and patches, and
the options. With --json it is an in-toto statement with SLSA provenance, version 1. Two prefixes
with the same directories whose inputs are the same should have the same outputs.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := stateProvenance(cmd.Context(), m, f)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(m.stdout, s)
			}
			printProvenance(m, s)
			return nil
		},
	}
	f.register(cmd.Flags())
	registerJSON(cmd.Flags(), &asJSON, "print an in-toto statement")
	return cmd
}

func stateProvenance(ctx context.Context, m machine, f *prefixFlags) (*provenance.Statement, error) {
	o, err := f.own(m)
	if err != nil {
		return nil, err
	}
	if err := o.nativeOnly(); err != nil {
		return nil, err
	}
	facts := provenance.Facts{Receipt: o.receipt, Outputs: o.outputs()}
	if facts.Lock, err = installedLock(o); err != nil {
		return nil, err
	}
	if facts.Files, err = packageFiles(o.layout); err != nil {
		return nil, err
	}
	if err := o.ask(ctx, facts.Outputs); err != nil {
		return nil, err
	}
	return provenance.New(facts)
}

// installedLock returns the lock that a prefix was built from, if it is what the receipt says.
func installedLock(o own) (*lock.Lock, error) {
	const hint = "`bootstrap repair` writes the package set anew"
	file := filepath.Join(o.layout.Packages, "lock.json")
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.New(fault.Unfit, err, hint)
	}
	l, err := lock.Parse(data)
	if err != nil {
		return nil, fault.New(fault.Verify, fmt.Errorf("lock %q: %w", file, err), hint)
	}
	if got := l.Digest(); got != o.receipt.LockDigest {
		return nil, fault.New(fault.Verify, fmt.Errorf("lock %q: its digest is %s, that of the receipt %s", file, got, o.receipt.LockDigest), hint)
	}
	return l, nil
}

// packageFiles returns the digests of the files of the package set but the lock, by their names.
func packageFiles(l prefix.Layout) (map[string]string, error) {
	sums := map[string]string{}
	top, err := filepath.EvalSymlinks(l.Packages)
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(top, path)
		if err != nil || name == "lock.json" {
			return err
		}
		data, err := os.ReadFile(path)
		sum := sha256.Sum256(data)
		sums[name] = hex.EncodeToString(sum[:])
		return err
	})
	return sums, err
}

func printProvenance(m machine, s *provenance.Statement) {
	b, r := s.Predicate.BuildDefinition, s.Predicate.RunDetails
	o := b.ExternalParameters
	fmt.Fprintf(m.stdout, "%-10s %s\n", "installer", r.Builder.Version["bootstrap"])
	for _, option := range [][2]string{
		{"nix", o.NixVersion},
		{"processor", b.InternalParameters.Architecture},
		{"store", o.Store},
		{"state", o.State},
		{"logs", o.Log},
		{"config", o.Conf},
	} {
		fmt.Fprintf(m.stdout, "%-10s %s\n", option[0], option[1])
	}
	for _, out := range s.Subject {
		fmt.Fprintf(m.stdout, "%-10s %s %s\n", "output", out.Digest["narSha256"], strings.TrimPrefix(out.URI, "file://"))
	}
	for _, in := range b.ResolvedDependencies {
		fmt.Fprintf(m.stdout, "%-10s %s %s\n", "input", in.Digest["sha256"], in.Name)
	}
}
