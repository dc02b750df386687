package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"bootstrap/internal/shellrc"
	"bootstrap/internal/substitute"

	"github.com/spf13/cobra"
)

// cacheRelocateFlags are those of a substituter.
type cacheRelocateFlags struct {
	prefixFlags
	relocateFlags
	listen string
	json   bool
}

func cacheRelocateCommand(m machine) *cobra.Command {
	f := &cacheRelocateFlags{}
	cmd := &cobra.Command{
		Use:   "relocate --prefix DIR --from URL --key KEY",
		Short: "Serve a cache of another store directory to the prefix, relocated",
		Long: `relocate is a binary cache on this machine for the Nix of the prefix, until it is interrupted. It works
out from the derivations in the store what each path is called at the other store directory, fetches
that, checks its signature and its digest, rewrites it for the prefix, and signs it with a key of the
prefix's own. What cannot be proven, or cannot be rewritten safely, is not offered: Nix builds it.

The two store directories have to be of the same length: /opt/store takes from /nix/store.
` + "`bootstrap build`" + ` does this for one build.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cacheRelocate(cmd.Context(), m, f) },
	}
	f.prefixFlags.register(cmd.Flags())
	f.relocateFlags.register(cmd.Flags())
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:0", "`address` to answer on: one of the loopback interface, or unix:PATH")
	registerJSON(cmd.Flags(), &f.json, "print address and key, and events, as JSON")
	return cmd
}

// offering is what `cache relocate --json` prints once it answers.
type offering struct {
	Address string `json:"address"`
	Key     string `json:"key"`
	From    string `json:"from"`
	Store   string `json:"store"`
}

func cacheRelocate(ctx context.Context, m machine, f *cacheRelocateFlags) (err error) {
	o, err := f.own(m)
	if err != nil {
		return err
	}
	v := newView(m, viewOptions{json: f.json, verbose: true})
	defer v.Close()
	r, err := f.open(ctx, m, o, v)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	l, address, err := m.listen(f.listen)
	if err != nil {
		return err
	}
	server := substitute.Serve(l, r.Handler(ctx), m.now)
	defer func() { err = errors.Join(err, server.Close()) }()
	s := offering{Address: address, Key: r.key.PublicKey().String(), From: f.from, Store: o.store}
	if f.json {
		err = printJSON(m.stdout, s)
	} else {
		err = s.print(m, r)
	}
	if err != nil {
		return err
	}
	<-ctx.Done() // which is how it is meant to end
	return nil
}

func (s offering) print(m machine, r *relocating) error {
	fmt.Fprintf(m.stdout, "Serving %s to %s\naddress     %s\npublic key  %s\n", s.From, s.Store, s.Address, s.Key)
	if strings.HasPrefix(s.Address, "unix:") {
		return nil
	}
	words := r.options(s.Address)
	for i, w := range words {
		if strings.ContainsAny(w, " ?&") {
			words[i] = shellrc.QuotePOSIX(w)
		}
	}
	_, err := fmt.Fprintf(m.stdout, "\nnix build %s …\n", strings.Join(words, " "))
	return err
}
