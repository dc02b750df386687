package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"

	"bootstrap/internal/bundle"
	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/probe"

	"github.com/spf13/cobra"
)

// importFlags are those of an import.
type importFlags struct {
	prefixFlags
	sha256 string
	json   bool
}

func importCommand(m machine) *cobra.Command {
	f := &importFlags{}
	cmd := &cobra.Command{
		Use:   "import FILE --prefix DIR",
		Short: "Take store paths from a file of `export tar` into the store of the prefix",
		Long: `import reads a file that ` + "`bootstrap export tar`" + ` has written in a prefix of the same store directory.
It compares every store path with the digest that is registered of it before the first of them is
registered, and registers all or none. What is valid here already stays as it is.

The digests are in the file itself: they show damage, not who made it. --sha256 does, if the digest
of the file comes from somebody you trust; export prints it.`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error { return importFile(cmd.Context(), m, f, args[0]) },
	}
	f.register(cmd.Flags())
	cmd.Flags().StringVar(&f.sha256, "sha256", "", "`digest` that the file must have, as export printed it")
	registerJSON(cmd.Flags(), &f.json, "print what was registered, and events, as JSON")
	return cmd
}

func oneFile(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 1:
		return nil
	case 0:
		return usageError(cmd, errors.New("no file given"))
	}
	return usageError(cmd, fmt.Errorf("unknown argument %q", args[1]))
}

var anySHA256 = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

func importFile(ctx context.Context, m machine, f *importFlags, name string) (err error) {
	if f.sha256 != "" && !anySHA256.MatchString(f.sha256) {
		return fault.New(fault.Usage, fmt.Errorf("--sha256 %q: is not a sha256", f.sha256), "give its 64 digits, as export or sha256sum prints them")
	}
	path, err := m.absolute("FILE", name)
	if err != nil {
		return err
	}
	o, err := f.own(m)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return fault.New(fault.Usage, err, "give a file that `bootstrap export tar` has written")
	}
	defer file.Close()
	held, err := o.lock(ctx, m, "import")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Release()) }()
	v := newView(m, viewOptions{json: f.json})
	defer v.Close()
	done := func(int64) {}
	made, err := bundle.Import(ctx, bundle.ImportOptions{
		File: path, From: file, SHA256: f.sha256,
		Nix: o.nix, Store: o.store, Files: o.layout.Store, State: o.layout.State,
		Begin: func(total int64) { done = meter(m, v, "import", total) },
		Done:  func(n int64) { done(n) },
		Waiting: func(what string) {
			v.Emit(event.Event{Time: m.now(), Kind: event.Note, Text: "waiting for " + what})
		},
	})
	ended(m, v, "import", err)
	if err != nil {
		return err
	}
	for _, p := range made.Other {
		v.Emit(event.Event{Time: m.now(), Kind: event.Warn, Text: p + " has other contents in the file than here; what is here stays"})
	}
	if err := v.Close(); err != nil {
		return err
	}
	if f.json {
		return printJSON(m.stdout, made)
	}
	for _, p := range made.Paths {
		fmt.Fprintln(m.stdout, p)
	}
	fmt.Fprintf(m.stdout, "Registered %d store paths, %s; %d were here already.\n", len(made.Paths), probe.Size(made.Bytes), len(made.Had))
	if len(made.Paths) > 0 {
		fmt.Fprintln(m.stdout, "No GC root keeps them yet: nix-store --realise PATH --add-root LINK makes one.")
	}
	return nil
}
