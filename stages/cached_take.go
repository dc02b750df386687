package stages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"bootstrap/internal/bincache"
	"bootstrap/internal/fault"
	"bootstrap/internal/fetch"
	"bootstrap/internal/lock"
	"bootstrap/internal/nixconf"
)

// produce makes the outputs of a stage be in the store: from the cache that offers them, or by building.
func (r *installation) produce(ctx context.Context, s stage) (outputs, error) {
	var out outputs
	var err error
	if o := r.offers[s.name]; o != nil {
		out, err = r.take(ctx, s, o)
	} else {
		out, err = s.build(r, ctx)
	}
	if err == nil && s.settle != nil {
		err = s.settle(r, ctx, out)
	}
	return out, err
}

// take has the host nix substitute what it would build. It has no leave to build anything, trusts
// the key of the cache alone, and finds the files where they were put once their digests were right.
func (r *installation) take(ctx context.Context, s stage, o *offer) (outputs, error) {
	if err := r.writePackages(ctx, s.name); err != nil {
		return nil, err
	}
	host := r.hostNix(s.name)
	if err := r.guardSchema(ctx, host, "the host nix"); err != nil {
		return nil, err
	}
	if s.name == Native && r.BuildHello {
		if err := r.addSeed(ctx, host, lock.HelloSource); err != nil {
			return nil, err
		}
	}
	paths, err := r.evaluate(ctx, host, s.attributes...)
	if err != nil {
		return nil, err
	}
	for _, name := range s.attributes {
		if paths[name] != o.outputs[name] {
			return nil, fault.New(fault.Verify, fmt.Errorf("cache %q: it has %q as %s, and the package set makes %q of these inputs", o.cache.URL, o.outputs[name], name, paths[name]),
				"whoever fills the cache has to push it again; without --cache it is built here")
		}
	}
	dir := filepath.Join(r.layout.TmpDir(), "cache")
	if err := freshTree(dir); err != nil {
		return nil, err
	}
	f, err := r.fetcher()
	if err != nil {
		return nil, err
	}
	var files []fetch.File
	for _, object := range o.objects {
		files = append(files, unaddressed(object.File()))
	}
	fetched, err := f.Fetch(ctx, files)
	if err != nil {
		return nil, err
	}
	err = bincache.Copy(dir, r.storeDir(), o.objects, func(object bincache.Object, file string) error {
		return linkOrCopy(fetched[object.File().SHA256], file)
	})
	if err != nil {
		return nil, err
	}
	from := url.URL{Scheme: "file", Path: dir}
	for _, setting := range [][2]string{
		{"substituters", from.String()},
		// On a machine without a network, Nix would ask for nothing, as if all caches were far away.
		{"substitute", "true"},
		{"trusted-public-keys", o.cache.Key.String()},
		{"require-sigs", "true"},
		{"max-jobs", "0"},
	} {
		host.Options = append(host.Options, "--option", setting[0], setting[1])
	}
	besides := outputs{}
	attributes := slices.Clone(s.attributes)
	if i := slices.Index(attributes, ShellAttribute); i >= 0 {
		// No derivation makes it: it is in the store since it was evaluated.
		besides[ShellAttribute] = paths[ShellAttribute]
		attributes = slices.Delete(attributes, i, i+1)
	}
	out, err := r.buildWith(ctx, s.name, host, besides, attributes...)
	if err != nil {
		return nil, err
	}
	maps.Copy(out, besides)
	out["cache"] = o.cache.URL
	return out, os.RemoveAll(dir)
}

// offeredFiles returns the files that caches have for what is to be taken from them.
func (r *installation) offeredFiles() []fetch.File {
	var files []fetch.File
	for _, name := range slices.Sorted(maps.Keys(r.offers)) {
		for _, object := range r.offers[name].objects {
			files = append(files, object.File())
		}
	}
	return files
}

// offeredDigests returns the digests of those, for keys.
func (r *installation) offeredDigests() []string {
	var sums []string
	for _, f := range r.offeredFiles() {
		sums = append(sums, f.SHA256)
	}
	return sums
}

// unaddressed returns a file that has to be in the cache of downloads.
func unaddressed(f fetch.File) fetch.File {
	f.URLs = nil
	return f
}

// fetchOffers downloads what caches have.
func (r *installation) fetchOffers(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(r.offers)) {
		o := r.offers[name]
		f, err := fetch.New(fetch.Options{
			CacheDir: r.CacheDir, Transport: o.cache.Transport(), Files: true, Sink: r.Sink, Stage: Fetch, Now: r.Now,
		})
		if err != nil {
			return err
		}
		var files []fetch.File
		for _, object := range o.objects {
			files = append(files, object.File())
		}
		if _, err = f.Fetch(ctx, files); err == nil {
			continue
		}
		if fault.KindOf(err) == fault.Interrupted {
			return err
		}
		hint := "run the same command again, or leave --cache out to build here"
		var gone *fetch.GoneError
		switch {
		case errors.As(err, &gone):
			err = fmt.Errorf("it has lost %d files of what it says it has, one of them %q", len(gone.Files), gone.Files[0].Name)
		case fault.KindOf(err) == fault.Verify:
			hint = "what the cache has is not what its key signed: whoever fills it has to push it again; without --cache it is built here"
		}
		return fault.New(fault.KindOf(err), fmt.Errorf("cache %q: %w", o.cache.URL, err), hint)
	}
	return nil
}

// UsedCaches returns the caches that a prefix asks, by the file that its nix.conf includes.
func UsedCaches(file string) ([]nixconf.Substituter, error) {
	text, err := readFile(file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	used, err := nixconf.ParseCaches(text)
	if err != nil {
		return nil, fault.New(fault.Unfit, fmt.Errorf("caches %q: %w", file, err),
			"remove the file, and name the caches again with `bootstrap cache use`; settings of your own go into "+nixconf.CustomName)
	}
	return used, nil
}

// withCaches returns the caches that the prefix is to ask: those it asks already, and those that a
// person has named now.
func (r *installation) withCaches() (all []nixconf.Substituter, more bool, err error) {
	if all, err = UsedCaches(r.layout.CachesConf()); err != nil {
		return nil, false, err
	}
	for _, c := range r.Caches {
		s := nixconf.Substituter{URL: c.URL, PublicKey: c.Key.String()}
		if !c.Asked || slices.Contains(all, s) {
			continue
		}
		all = slices.DeleteFunc(all, func(old nixconf.Substituter) bool { return old.URL == s.URL })
		all, more = append(all, s), true
	}
	return all, more, nil
}

// usesCaches reports whether the prefix asks the caches that a person has named.
func (r *installation) usesCaches() bool {
	_, more, err := r.withCaches()
	return err == nil && !more
}

// useCaches has the prefix ask the caches that a person has named, from now on.
func (r *installation) useCaches() error {
	all, more, err := r.withCaches()
	if err != nil || !more {
		return err
	}
	text, err := nixconf.RenderCaches(all)
	if err != nil {
		return err
	}
	return r.writeFile(Configure, r.layout.CachesConf(), text, 0o644)
}
