package main

import (
	"context"
	"io"

	"bootstrap/internal/bundle"

	"github.com/spf13/cobra"
)

func exportTarCommand(m machine) *cobra.Command {
	f := &exportFlags{}
	cmd := &cobra.Command{
		Use:   "tar -o closure.tar.zst --prefix DIR [STOREPATH…] [-f FILE [ATTRIBUTE…]] [--nix]",
		Short: "Write a closure for another prefix of the same store directory",
		Long: `tar writes a tarball, compressed with zstd, with the store paths as they are and what Nix has
registered of them. ` + "`bootstrap import`" + ` on the other side checks and registers them.`,
		RunE: func(cmd *cobra.Command, args []string) error { return exportTar(cmd.Context(), m, f, args) },
	}
	f.register(cmd.Flags(), "the `file` to write, .tar.zst by its nature")
	return cmd
}

func exportTar(ctx context.Context, m machine, f *exportFlags, args []string) error {
	e, err := f.start(ctx, m, args, nil)
	if err != nil {
		return err
	}
	defer e.Close()
	out, err := e.produce(ctx, func(w io.Writer, _ string, done func(int64)) error {
		return bundle.Write(ctx, w, bundle.Options{Closure: e.closure, Root: e.root, Done: done})
	}, nil)
	if err != nil {
		return err
	}
	e.Close()
	if f.json {
		return printJSON(m.stdout, out)
	}
	printExported(m.stdout, out)
	return nil
}
