package stages

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"bootstrap/internal/bincache"
	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/lock"
)

// Cache is a binary cache of the same store directory.
//
// How something was made is not part of what it is: a stage whose outputs come from a cache has the
// key, the outputs and the records of one that was built. The cache has a record of the store paths
// by that key, so what there is to fetch is known before there is a Nix; the host nix evaluates the
// package set and takes nothing but what it would build itself.
type Cache struct {
	URL string
	Key *bincache.Key // has to have signed all that comes from it
	// Asked says that a person has named it now: it is written into the configuration of the prefix,
	// and that it cannot be used is an error.
	Asked bool
}

// Cached is what a plan says of caches.
type Cached struct {
	Files      int      `json:"files"` // of store paths, packed
	Bytes      int64    `json:"bytes"`
	FetchFiles int      `json:"fetch_files"` // those that are not downloaded yet
	FetchBytes int64    `json:"fetch_bytes"`
	Lacks      []string `json:"lacks"` // what no cache has, and why
}

// CachedOutputs returns those outputs of a stage, as its receipt has them, that a cache has a record of.
func CachedOutputs(name string, recorded map[string]string) map[string]string {
	out := map[string]string{}
	for _, s := range []stage{toolchainStage(), nativeStage()} {
		for _, attribute := range s.attributes {
			if s.name == name {
				out[attribute] = recorded[attribute]
			}
		}
	}
	return out
}

// offer is what a cache has of a stage.
type offer struct {
	cache   *bincache.Cache
	outputs outputs           // by attribute
	objects []bincache.Object // to be fetched for them
}

// askCaches asks for what lasts and is not done. Each stage is asked for once in a run.
func (r *installation) askCaches(ctx context.Context, all []stage, states []State) error {
	if !r.asks {
		return nil
	}
	for i, s := range all {
		st := &states[i]
		r.builds[s.name] = false
		if s.attributes == nil || st.Done {
			delete(r.offers, s.name) // taken by now
			continue
		}
		if !r.asked[st.Key] {
			r.asked[st.Key] = true
			delete(r.offers, s.name)
			if err := r.askFor(ctx, s, st.Key); err != nil {
				return err
			}
		}
		if o := r.offers[s.name]; o != nil {
			st.Cache, st.Does = o.cache.URL, r.doing(s)
		}
		r.builds[s.name] = st.Cache == ""
	}
	return nil
}

// askFor asks one cache after the other for a stage.
func (r *installation) askFor(ctx context.Context, s stage, key string) error {
	for _, c := range r.Caches {
		o, err := r.offerOf(ctx, c, s, key)
		switch {
		case err == nil:
			r.offers[s.name] = o
			return nil
		case ctx.Err() != nil:
			return fault.New(fault.Interrupted, errors.New("interrupted"), "")
		case errors.Is(err, bincache.ErrMissing):
			r.lacks = append(r.lacks, fmt.Sprintf("%s has no %s of these inputs", c.URL, s.name))
		case c.Asked:
			return err
		default:
			r.lacks = append(r.lacks, err.Error())
			r.emit(event.Warn, "", err.Error())
		}
	}
	return nil
}

// offerOf asks a cache for the record of a stage, and for the files of its outputs.
func (r *installation) offerOf(ctx context.Context, c Cache, s stage, key string) (*offer, error) {
	cache, err := bincache.Open(ctx, bincache.Options{
		URL: c.URL, Store: r.storeDir(), Key: c.Key, Transport: r.Transport, Netrc: r.layout.Netrc(),
	})
	if err == nil {
		err = cache.Existing()
	}
	if err != nil {
		return nil, err
	}
	record, err := cache.Record(ctx, s.name, key)
	if err != nil {
		return nil, err
	}
	o := &offer{cache: cache, outputs: outputs(record.Outputs)}
	if got := slices.Sorted(maps.Keys(o.outputs)); !slices.Equal(got, slices.Sorted(slices.Values(s.attributes))) {
		return nil, fault.New(fault.Verify, fmt.Errorf("cache %q: its record of stage %s is of %s", c.URL, s.name, strings.Join(got, ", ")),
			"whoever fills the cache has to push it again")
	}
	// What an earlier stage brings is there by then, and the shell comes from the seed.
	there := slices.Collect(maps.Values(r.known(Toolchain)))
	if earlier := r.offers[Toolchain]; earlier != nil && s.name != Toolchain {
		there = append(there, slices.Collect(maps.Values(earlier.outputs))...)
	}
	if s.name == Toolchain {
		there = []string{o.outputs[ShellAttribute]}
	}
	o.objects, err = cache.Closure(ctx, slices.Sorted(maps.Values(o.outputs)), func(p string) bool { return slices.Contains(there, p) })
	return o, err
}

// doing says what a stage is about to do.
func (r *installation) doing(s stage) string {
	if r.offers[s.name] == nil {
		return s.does
	}
	return "take it from " + r.offers[s.name].cache.URL
}

// buildRoles are the roles of what is only needed to build what comes from no cache.
func (r *installation) buildRoles() []lock.Role {
	switch {
	case r.Runtime, r.set != nil:
		return nil
	case len(r.offers) == 0:
		return []lock.Role{lock.Toolchain, lock.NixSource, lock.HelloSource}
	}
	var roles []lock.Role
	if r.builds[Toolchain] {
		roles = append(roles, lock.Toolchain)
	}
	if r.builds[Native] {
		roles = append(roles, lock.NixSource)
	}
	if r.builds[Native] || r.BuildHello {
		roles = append(roles, lock.HelloSource)
	}
	return roles
}

// refuseBuild says what would have to be built, where nothing is to be.
func (r *installation) refuseBuild(p *Plan) []*fault.Error {
	if !r.CacheOnly || r.Runtime || r.From != nil {
		return nil
	}
	var all []*fault.Error
	for _, name := range []string{Toolchain, Native} {
		if st := p.State(name); !st.Done && st.Cache == "" {
			all = append(all, fault.New(fault.Unfit, fmt.Errorf("stage %s: no cache has it, and --cache-only builds nothing", name),
				strings.Join(append(slices.Clone(r.lacks), "leave --cache-only out to build it, or push it from a prefix that has it: bootstrap cache push --nix"), "; ")))
		}
	}
	return all
}

// measureCaches fills in what comes from caches.
func (r *installation) measureCaches(p *Plan) error {
	if len(r.Caches) == 0 || r.Runtime {
		return nil
	}
	files := r.offeredFiles()
	p.Cached = &Cached{Files: len(files), Lacks: slices.Clone(r.lacks)}
	for _, f := range files {
		p.Cached.Bytes += f.Size
	}
	f, err := r.fetcher()
	if err != nil {
		return err
	}
	p.Cached.FetchFiles, p.Cached.FetchBytes = f.Missing(files)
	p.Seconds += float64(p.Cached.FetchBytes) / expectedRate
	return nil
}
