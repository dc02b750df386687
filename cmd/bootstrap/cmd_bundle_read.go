package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"

	"bootstrap/internal/closure"
	"bootstrap/internal/event"
	"bootstrap/internal/nixbundle"
	"bootstrap/internal/prefix"
	"bootstrap/internal/probe"
	"bootstrap/internal/transplant"

	"github.com/spf13/cobra"
)

// readFlags are those of commands that read a bundle.
type readFlags struct {
	key, sha256 string
	seedFlags
	json bool
}

func bundleInspectCommand(m machine) *cobra.Command {
	f := &readFlags{}
	cmd := &cobra.Command{
		Use:   "inspect FILE|URL",
		Short: "Say what a bundle is, by what it says itself",
		Long: `inspect reads the head of a bundle and nothing else: of a bundle behind an address, only the beginning
is fetched. Whether that is true is for ` + "`bundle verify`" + ` to say; with --key, that it is signed.`,
		Args: oneBundle,
		RunE: func(cmd *cobra.Command, args []string) error { return inspectBundle(cmd.Context(), m, f, args[0]) },
	}
	f.register(cmd)
	return cmd
}

func bundleVerifyCommand(m machine) *cobra.Command {
	f := &readFlags{}
	cmd := &cobra.Command{
		Use:   "verify FILE|URL --key KEY|--sha256 DIGEST",
		Short: "Check every byte of a bundle, and every name in it",
		Long: `verify checks the signature or the digest first, then the digest of every store path in the bundle, and
computes the names of all of them from the derivations and sources that are in it.`,
		Args: oneBundle,
		RunE: func(cmd *cobra.Command, args []string) error { return verifyBundle(cmd.Context(), m, f, args[0]) },
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.sha256, "sha256", "", "sha256 `digest` of the file, as create printed it")
	return cmd
}

func (f *readFlags) register(cmd *cobra.Command) {
	s := cmd.Flags()
	s.StringVar(&f.key, "key", "", "public `key` it must be signed by, or a file with one")
	registerCacheDir(s, &f.cacheDir)
	s.StringVar(&f.caCert, "ca-cert", "", "`file` of certificates to trust besides the system's")
	registerJSON(s, &f.json, "print it as JSON")
}

func oneBundle(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return usageError(cmd, fmt.Errorf("give one file or address, not %d", len(args)))
}

// inspected is what `bundle inspect --json` prints.
type inspected struct {
	nixbundle.Head
	Signatures []string `json:"signatures"`
}

func (f *readFlags) source(m machine, location string, known bool) (*nixbundle.Source, error) {
	flags := fromFlags{location: location, key: f.key, sha256: f.sha256, keyFlag: "--key", sha256Flag: "--sha256"}
	from, err := flags.parse(m, known)
	if err != nil {
		return nil, err
	}
	s := &nixbundle.Source{Location: from.Location, Shown: from.Shown, Key: from.Key, SHA256: from.SHA256, Sink: event.Discard(), Now: m.now}
	if !nixbundle.IsURL(from.Location) {
		return s, nil
	}
	var t http.RoundTripper
	if t, err = f.transport(m, prefix.Layout{}); err != nil {
		return nil, err
	}
	s.Transport = t
	s.CacheDir, err = m.cacheDir(f.cacheDir)
	return s, err
}

func inspectBundle(ctx context.Context, m machine, f *readFlags, location string) error {
	s, err := f.source(m, location, false)
	if err != nil {
		return err
	}
	a, err := s.Announce(ctx)
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(m.stdout, inspected{a.Head, slices.Concat([]string{}, a.Signatures)})
	}
	printHead(m.stdout, a)
	return nil
}

func printHead(w io.Writer, a *nixbundle.Announced) {
	h := a.Head
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("nix", "%s for %s", h.NixVersion, h.Architecture)
	line("made at", "%s", h.Store)
	line("fits", "store directories of %d bytes; shorter ones are filled up with slashes", len(h.Store))
	line("contents", "%d store paths; %s in %s", h.Paths, probe.Size(h.Bytes), probe.Size(h.Size))
	line("program", "%s", h.Nix)
	line("made by", "%s", h.Derivation)
	for _, name := range slices.Sorted(maps.Keys(h.Tools)) {
		line("with", "%s", h.Tools[name])
	}
	line("lock", "%s", h.Lock)
	line("packages", "%s", h.Packages)
	for _, s := range a.Signatures {
		line("signature", "%s", s)
	}
}

// verified is what `bundle verify --json` prints.
type verified struct {
	Store string    `json:"store"`
	Paths []pathRow `json:"paths"`
}

func verifyBundle(ctx context.Context, m machine, f *readFlags, location string) error {
	s, err := f.source(m, location, true)
	if err != nil {
		return err
	}
	b, err := s.Open(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	c, err := transplant.Verify(b.Head, b.Body())
	if err != nil {
		return nixbundle.Fault(s.Shown, err)
	}
	if f.json {
		return printJSON(m.stdout, verifiedOf(c))
	}
	fmt.Fprintf(m.stdout, "%s: %d store paths are as they are registered, and have the names that their derivations give.\n", s.Shown, len(c.Paths))
	return nil
}

func verifiedOf(c *closure.Closure) verified {
	v := verified{Store: c.Store, Paths: []pathRow{}}
	for _, p := range c.Paths {
		v.Paths = append(v.Paths, pathRow{p.Path, p.NarSize})
	}
	return v
}
