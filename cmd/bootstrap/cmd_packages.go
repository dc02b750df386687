package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"bootstrap/internal/fault"
	"bootstrap/internal/mirror"
	"bootstrap/internal/pkgset"
	"bootstrap/internal/receipt"
	"bootstrap/stages"

	"github.com/spf13/cobra"
)

// packagesShown is what `packages --json` prints of a generation.
type packagesShown struct {
	Generation int       `json:"generation"`
	Since      time.Time `json:"since"` // when that was last made the current one
	Set        string    `json:"set"`   // embedded, or nixpkgs
	pkgset.Pin
	Path       string   `json:"path"` // of its files
	Nix        []string `json:"nix,omitempty"`
	NixVersion string   `json:"nix_version"`
	LockDigest string   `json:"lock_digest"`
}

func packagesCommand(m machine) *cobra.Command {
	f := &prefixFlags{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "packages --prefix DIR",
		Short: "Say which package set a prefix has; pin it to another one, or to its newest state",
		Args:  noArguments,
		RunE:  func(*cobra.Command, []string) error { return showPackages(m, f, asJSON) },
	}
	f.register(cmd.Flags())
	registerJSON(cmd.Flags(), &asJSON, "print it as JSON")
	cmd.AddCommand(packagesPinCommand(m), packagesUpdateCommand(m))
	return cmd
}

func packagesPinCommand(m machine) *cobra.Command {
	f := &installFlags{}
	cmd := &cobra.Command{
		Use:   "pin --prefix DIR SET",
		Short: "Give a prefix another package set, in a new generation",
		Long: `pin is "bootstrap upgrade --packages SET": nixpkgs=PATH, nixpkgs=URL, nixpkgs=FLAKE[@REV], or embedded.
What it came to, by the digest of all files, is kept until another pin, an update or a rollback.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.packages.named = args[0]
			return upgrade(cmd.Context(), m, f, false)
		},
	}
	f.registerUpgrade(cmd.Flags())
	f.packages.registerDigest(cmd.Flags())
	f.packages.registerBuilds(cmd.Flags())
	return cmd
}

func packagesUpdateCommand(m machine) *cobra.Command {
	f := &installFlags{}
	cmd := &cobra.Command{
		Use:   "update --prefix DIR",
		Short: "Look up again what the package set of a prefix was named by, and pin it to that",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return updatePackages(cmd.Context(), m, f) },
	}
	f.registerUpgrade(cmd.Flags())
	f.packages.registerBuilds(cmd.Flags())
	return cmd
}

// nativeReceipt returns the receipt of a prefix that has a package set.
func (f *prefixFlags) nativeReceipt(m machine) (own, error) {
	o, err := f.own(m)
	if err == nil && o.receipt.Mode == receipt.Runtime {
		err = fault.New(fault.Unfit, fmt.Errorf("prefix %q: it is in runtime mode, and has no package set", o.layout.Store),
			"the same command without --runtime makes it native")
	}
	return o, err
}

func showPackages(m machine, f *prefixFlags, asJSON bool) error {
	o, err := f.nativeReceipt(m)
	if err != nil {
		return err
	}
	all, err := generationsOf(o.layout)
	if err != nil {
		return err
	}
	native, _ := o.receipt.Stage(stages.Native)
	shown := packagesShown{Set: pkgset.Embedded, Path: o.layout.Packages, NixVersion: o.receipt.NixVersion, LockDigest: o.receipt.LockDigest}
	for _, g := range all {
		if g.Current {
			shown.Generation, shown.Since = g.Number, g.Since
		}
	}
	if set := stages.InstalledSet(o.receipt); set != nil {
		shown.Set, shown.Pin, shown.Nix = "nixpkgs", set.Pin, set.Nix
		if shown.Path, err = set.Store(o.store); err != nil {
			return err
		}
	}
	if asJSON {
		return printJSON(m.stdout, shown)
	}
	printPackages(m.stdout, shown, native.Outputs["nix"])
	return nil
}

func printPackages(w io.Writer, s packagesShown, nix string) {
	line := func(name, text string) {
		if text != "" {
			row(w, "%-10s %s", name, text)
		}
	}
	line("set", s.Set)
	line("from", mirror.Redact(s.From))
	line("version", s.Version)
	line("revision", s.Rev)
	line("sha256", s.SHA256)
	line("nar hash", s.NARHash)
	line("files", s.Path)
	line("nix", s.NixVersion+"  "+nix)
	line("generation", fmt.Sprintf("%d, since %s", s.Generation, s.Since.Format("2006-01-02 15:04")))
}

// updatePackages is an upgrade to what the name of the set means now.
func updatePackages(ctx context.Context, m machine, f *installFlags) error {
	o, err := f.nativeReceipt(m)
	if err != nil {
		return err
	}
	set := stages.InstalledSet(o.receipt)
	if set == nil {
		return fault.New(fault.Usage, errors.New("packages update: the prefix has the embedded package set, which comes with the program"),
			"`bootstrap upgrade` by a newer program; `bootstrap packages pin` for nixpkgs")
	}
	f.packages.named = set.From
	if pkgset.Settled(set.From) {
		return fault.New(fault.Usage, fmt.Errorf("packages update: %s means the same files for ever", mirror.Redact(set.From)),
			"name another one: `bootstrap packages pin`")
	}
	return upgrade(ctx, m, f, false)
}
