package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"bootstrap/internal/bincache"
	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/nixconf"
	"bootstrap/stages"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
)

// usedCache is a row of what `cache list --json` prints, and what use and drop print.
type usedCache struct {
	URL       string `json:"url"`
	PublicKey string `json:"public_key"`
	Changed   bool   `json:"changed"`
}

func cacheUseCommand(m machine) *cobra.Command {
	f := &prefixFlags{}
	key, caCert := "", ""
	asJSON := false
	cmd := &cobra.Command{
		Use:   "use URL --key KEY --prefix DIR",
		Short: "Have the prefix ask a cache before it builds",
		Long: `use asks the cache who it is, and refuses one of another store directory. Then it writes its address
and its key into a file that nix.conf includes. Only what the key has signed is taken from it.`,
		Args: oneArgument("cache"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return cacheUse(cmd.Context(), m, f, args[0], key, &seedFlags{caCert: caCert}, asJSON)
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().StringVar(&key, "key", "", "public `key` of the cache, or the file with it")
	cmd.Flags().StringVar(&caCert, "ca-cert", "", "`file` of certificates to trust besides the system's")
	registerJSON(cmd.Flags(), &asJSON, "print it as JSON")
	return cmd
}

func cacheUse(ctx context.Context, m machine, f *prefixFlags, address, key string, net *seedFlags, asJSON bool) error {
	u, err := bincache.ParseURL(address)
	if err != nil {
		return err
	}
	if key == "" {
		return fault.New(fault.Usage, fmt.Errorf("cache %q: no key to check what it has", u), "add --key with the public key of whoever fills the cache")
	}
	public, err := bincache.ParseKey(key)
	if err != nil {
		return err
	}
	o, err := f.own(m)
	if err != nil {
		return err
	}
	cache, err := o.openCache(ctx, m, net, u.String(), nil)
	if err == nil {
		err = cache.Existing()
	}
	if err != nil {
		return err
	}
	used := nixconf.Substituter{URL: cache.URL, PublicKey: public.String()}
	changed, err := f.changeCaches(ctx, m, "cache use", func(all []nixconf.Substituter) ([]nixconf.Substituter, error) {
		if slices.Contains(all, used) {
			return all, nil
		}
		all = slices.DeleteFunc(all, func(s nixconf.Substituter) bool { return s.URL == used.URL })
		return append(all, used), nil
	})
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(m.stdout, usedCache{used.URL, used.PublicKey, changed})
	}
	what := "Builds in %s ask %s first, and trust %s for it.\n"
	if !changed {
		what = "Builds in %s ask %s already, and trust %s for it; nothing to do.\n"
	}
	fmt.Fprintf(m.stdout, what, o.layout.Store, used.URL, public.Name())
	return nil
}

// openCache asks a cache who it is, for this prefix.
func (o own) openCache(ctx context.Context, m machine, net *seedFlags, address string, key *bincache.Key) (*bincache.Cache, error) {
	transport, err := net.transport(m, o.layout)
	if err != nil {
		return nil, err
	}
	return bincache.Open(ctx, bincache.Options{URL: address, Store: o.store, Key: key, Transport: transport, Netrc: o.layout.Netrc()})
}

// changeCaches changes which caches a prefix asks, while nobody else does.
func (f *prefixFlags) changeCaches(ctx context.Context, m machine, command string, change func([]nixconf.Substituter) ([]nixconf.Substituter, error)) (changed bool, err error) {
	o, err := f.own(m)
	if err != nil {
		return false, err
	}
	held, err := o.lock(ctx, m, command)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, held.Release()) }()
	path := o.layout.CachesConf()
	before, err := stages.UsedCaches(path)
	if err != nil {
		return false, err
	}
	after, err := change(slices.Clone(before))
	if err != nil || slices.Equal(before, after) {
		return false, err
	}
	if len(after) == 0 {
		return true, os.Remove(path)
	}
	conf, err := os.ReadFile(o.layout.NixConf())
	if err != nil || !nixconf.Includes(conf, filepath.Base(path)) {
		return false, fault.New(fault.Unfit, fmt.Errorf("%q: does not include %q", o.layout.NixConf(), filepath.Base(path)),
			"run the same bootstrap command as for the installation; it writes the file anew")
	}
	text, err := nixconf.RenderCaches(after)
	if err != nil {
		return false, fault.New(fault.Usage, err, "give an address that can be written into nix.conf")
	}
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		if err := o.record(m, journal.Record{Event: journal.Create, Kind: journal.File, Path: path}); err != nil {
			return false, err
		}
	}
	return true, renameio.WriteFile(path, text, 0o644, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o644))
}
