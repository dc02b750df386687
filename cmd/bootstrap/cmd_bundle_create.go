package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"bootstrap/internal/drv"
	"bootstrap/internal/fault"
	"bootstrap/internal/nixbundle"
	"bootstrap/internal/probe"
	"bootstrap/internal/transplant"
	"bootstrap/stages"

	"github.com/spf13/cobra"
)

// createFlags are those of `bundle create`.
type createFlags struct {
	exportFlags
	signKeys []string
}

func bundleCreateCommand(m machine) *cobra.Command {
	f := &createFlags{}
	cmd := &cobra.Command{
		Use:   "create -o nix.bundle --prefix DIR",
		Short: "Write the Nix of the prefix to a file that other prefixes can be made from",
		Long: `create writes the native nix of the prefix with all that it refers to, and the derivations and sources
that it was made by, to one file: the same bytes for the same prefix and keys. It moves all of it to
another place first, without writing anything: what cannot be moved is refused here.

The file says nothing of who made it unless it is signed; whoever installs from it gives the public
key, or the sha256 that is printed.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return createBundle(cmd.Context(), m, f) },
	}
	s := cmd.Flags()
	f.prefixFlags.register(s)
	s.StringVarP(&f.output, "output", "o", "", "the `file` to write")
	s.StringArrayVar(&f.signKeys, "sign-key", nil, "`file` with a secret key to sign with, as `nix key generate-secret` prints it; may be given more than once")
	registerJSON(s, &f.json, "print what was written, and events, as JSON")
	return cmd
}

// created is what `bundle create --json` prints.
type created struct {
	exported
	Head *nixbundle.Head `json:"head"`
	Keys []string        `json:"keys"` // that it is signed by, the public halves
}

func createBundle(ctx context.Context, m machine, f *createFlags) error {
	keys, err := secretKeys(f.signKeys)
	if err != nil {
		return err
	}
	f.nix = true
	var head nixbundle.Head
	e, err := f.start(ctx, m, nil, func(o own) (more []string, err error) {
		if stages.InstalledSet(o.receipt) != nil {
			return nil, fault.New(fault.Unfit, fmt.Errorf("prefix %q: its Nix is one of nixpkgs, and a bundle has one of the embedded package set", o.layout.Store),
				"`bootstrap export tar` and `bootstrap cache push` take its store path to a prefix of the same store directory")
		}
		head, err = o.head(ctx)
		return []string{head.Derivation}, err
	})
	if err != nil {
		return err
	}
	defer e.Close()
	if err := transplant.Movable(ctx, &head, e.root, e.closure); err != nil {
		return err
	}
	var written *nixbundle.Head
	out, err := e.produce(ctx, func(w io.Writer, scratch string, done func(int64)) (err error) {
		written, err = nixbundle.Write(ctx, w, nixbundle.Options{
			Head: head, Closure: e.closure, Root: e.root, Keys: keys, Scratch: scratch, Done: done,
		})
		return err
	}, nil)
	if err != nil {
		return err
	}
	e.Close()
	c := created{exported: out, Head: written, Keys: []string{}}
	for _, k := range keys {
		c.Keys = append(c.Keys, k.Public().String())
	}
	if f.json {
		return printJSON(m.stdout, c)
	}
	printCreated(m.stdout, c)
	return nil
}

func printCreated(w io.Writer, c created) {
	fmt.Fprintf(w, "%s: Nix %s of %s, %s of %d store paths\n\n", c.Output, c.Head.NixVersion, c.Head.Store, probe.Size(c.Bytes), c.Head.Paths)
	fmt.Fprintf(w, "sha256 %s\n", c.SHA256)
	for _, k := range c.Keys {
		fmt.Fprintf(w, "key    %s\n", k)
	}
	by := "--from-sha256 " + c.SHA256
	if len(c.Keys) > 0 {
		by = "--from-key " + c.Keys[0]
	}
	fmt.Fprintf(w, "\nOn the other side, for a store directory of %d bytes or less:\n\n    bootstrap --prefix DIR --from %s %s\n",
		len(c.Head.Store), quoted(c.Output), by)
}

// secretKeys reads the keys to sign with.
func secretKeys(files []string) ([]*nixbundle.SecretKey, error) {
	var keys []*nixbundle.SecretKey
	for _, file := range files {
		const hint = "nix key generate-secret --key-name NAME >FILE makes one"
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fault.New(fault.Usage, fmt.Errorf("--sign-key: %w", err), hint)
		}
		k, err := nixbundle.ParseSecretKey(string(data))
		if err != nil {
			return nil, fault.New(fault.Usage, fmt.Errorf("--sign-key %q: %w", file, err), hint)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// head says what a bundle of this prefix is going to have, but for sizes.
func (o own) head(ctx context.Context) (h nixbundle.Head, err error) {
	for _, dir := range []string{o.layout.Store, o.layout.State, o.layout.Log, o.layout.Conf} {
		if err := drv.Distinctive(drv.Dir(dir)); err != nil {
			return h, fault.New(fault.Unfit, fmt.Errorf("prefix %q: %w", o.layout.Store, err),
				"bundles can be made at prefixes such as /opt/store, whose names stand in no text by chance")
		}
	}
	native, err := o.native()
	if err != nil {
		return h, err
	}
	files, err := packageFiles(o.layout)
	if err != nil {
		return h, err
	}
	l, err := installedLock(o)
	if err != nil {
		return h, err
	}
	evaluated, err := o.evaluated(ctx)
	if err != nil {
		return h, err
	}
	if evaluated["nix"] != native {
		return h, fault.New(fault.Unfit, fmt.Errorf("prefix %q: its package set gives %s, and its Nix is %s", o.layout.Store, evaluated["nix"], native),
			"run `bootstrap --prefix` once more, so that both are of the same release")
	}
	h = nixbundle.Head{
		Architecture: o.receipt.Host.Architecture, NixVersion: o.receipt.NixVersion,
		Store: o.layout.Store, State: o.layout.State, Log: o.layout.Log, Conf: o.layout.Conf,
		Nix: native, Derivation: evaluated["drv"], Tools: map[string]string{},
		Lock: l.Digest(), Packages: stages.PackageSet(files),
	}
	infos, err := o.nix.ClosureOf(ctx, native)
	if err != nil {
		return h, err
	}
	for _, name := range slices.Sorted(maps.Keys(evaluated)) {
		path := evaluated[name]
		if _, needed := infos[path]; needed && path != native {
			h.Tools[name] = path
		}
	}
	return h, nil
}

// evaluated returns the store paths of what a relocated Nix may need, by attribute, and as "drv" that
// of what makes the Nix, which evaluation writes.
func (o own) evaluated(ctx context.Context) (map[string]string, error) {
	paths, err := stages.Evaluate(ctx, o.nix, o.layout.Packages, append(stages.ToolAttributes(), "nix")...)
	if err != nil {
		return nil, err
	}
	out, err := o.nix.Command("nix", "eval", "--raw", "--file", o.layout.Packages, "nix.drvPath").Output(ctx)
	if err != nil {
		return nil, err
	}
	paths["drv"] = strings.TrimSpace(string(out))
	if paths["drv"] == "" {
		return nil, errors.New("nix eval: no derivation")
	}
	return paths, nil
}
