package main

import (
	"context"
	"fmt"
	"slices"

	"bootstrap/internal/fault"
	"bootstrap/internal/nixconf"
	"bootstrap/stages"

	"github.com/spf13/cobra"
)

func cacheListCommand(m machine) *cobra.Command {
	f := &prefixFlags{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "list --prefix DIR",
		Short: "List the caches that the prefix asks",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			o, err := f.own(m)
			if err != nil {
				return err
			}
			used, err := stages.UsedCaches(o.layout.CachesConf())
			if err != nil {
				return err
			}
			if asJSON {
				rows := []listedCache{}
				for _, s := range used {
					rows = append(rows, listedCache(s))
				}
				return printJSON(m.stdout, rows)
			}
			for _, s := range used {
				fmt.Fprintf(m.stdout, "%s  %s\n", s.URL, s.PublicKey)
			}
			return nil
		},
	}
	f.register(cmd.Flags())
	registerJSON(cmd.Flags(), &asJSON, "print them as JSON")
	return cmd
}

// listedCache is an element of what `cache list --json` prints.
type listedCache struct {
	URL       string `json:"url"`
	PublicKey string `json:"public_key"`
}

func cacheDropCommand(m machine) *cobra.Command {
	f := &prefixFlags{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "drop URL --prefix DIR",
		Short: "Have the prefix ask a cache no more",
		Args:  oneArgument("cache"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return cacheDrop(cmd.Context(), m, f, args[0], asJSON)
		},
	}
	f.register(cmd.Flags())
	registerJSON(cmd.Flags(), &asJSON, "print it as JSON")
	return cmd
}

// cacheDrop takes a cache out of the configuration; it need not be there any more.
func cacheDrop(ctx context.Context, m machine, f *prefixFlags, address string, asJSON bool) error {
	var dropped nixconf.Substituter
	_, err := f.changeCaches(ctx, m, "cache drop", func(all []nixconf.Substituter) ([]nixconf.Substituter, error) {
		i := slices.IndexFunc(all, func(s nixconf.Substituter) bool { return s.URL == address || s.URL+"/" == address })
		if i < 0 {
			return nil, fault.New(fault.Usage, fmt.Errorf("cache %q: the prefix does not ask it", address), "`bootstrap cache list` shows which it asks")
		}
		dropped = all[i]
		return slices.Delete(all, i, i+1), nil
	})
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(m.stdout, usedCache{dropped.URL, dropped.PublicKey, true})
	}
	fmt.Fprintf(m.stdout, "%s is not asked any more. What came from it stays.\n", dropped.URL)
	return nil
}
