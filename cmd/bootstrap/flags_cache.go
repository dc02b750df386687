package main

import (
	"errors"
	"fmt"

	"bootstrap/internal/bincache"
	"bootstrap/internal/fault"
	"bootstrap/internal/prefix"
	"bootstrap/stages"

	"github.com/spf13/pflag"
)

// cacheFlags are those by which an installation finds a binary cache.
type cacheFlags struct {
	url, key string
	only     bool
}

func (f *cacheFlags) register(s *pflag.FlagSet) {
	s.StringVar(&f.url, "cache", "", "`URL` of a binary cache of the same store directory, which is asked before anything is compiled")
	s.StringVar(&f.key, "key", "", "public `key` of that cache, or the file with it: nothing else is trusted")
	s.BoolVar(&f.only, "cache-only", false, "refuse to compile what no cache has")
}

// caches returns the cache that was named, and after it those that the prefix uses already.
func (f *cacheFlags) caches(l prefix.Layout) ([]stages.Cache, error) {
	used, err := stages.UsedCaches(l.CachesConf())
	if err != nil {
		return nil, err
	}
	var all []stages.Cache
	if f.url != "" {
		u, err := bincache.ParseURL(f.url)
		if err != nil {
			return nil, err
		}
		key := f.key
		for _, s := range used {
			if key == "" && s.URL == u.String() {
				key = s.PublicKey
			}
		}
		if key == "" {
			return nil, fault.New(fault.Usage, fmt.Errorf("--cache %q: no key to check what it has", u), "add --key with the public key of whoever fills the cache")
		}
		named := stages.Cache{URL: u.String(), Asked: true}
		if named.Key, err = bincache.ParseKey(key); err != nil {
			return nil, err
		}
		all = append(all, named)
	} else if f.key != "" {
		return nil, fault.New(fault.Usage, errors.New("--key: there is no --cache that it could be the key of"), "add --cache URL, or leave --key out")
	}
	for _, s := range used {
		key, err := bincache.ParseKey(s.PublicKey)
		if err == nil && (len(all) == 0 || s.URL != all[0].URL) {
			all = append(all, stages.Cache{URL: s.URL, Key: key})
		}
	}
	if f.only && len(all) == 0 {
		return nil, fault.New(fault.Usage, errors.New("--cache-only: there is no cache"), "name one with --cache URL --key KEY")
	}
	return all, nil
}
