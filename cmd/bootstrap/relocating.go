package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"sync"

	"bootstrap/internal/drv"
	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/probe"
	"bootstrap/internal/substitute"

	"github.com/spf13/pflag"
	"zombiezen.com/go/nix"
)

// relocateFlags say from which cache of another store directory paths are taken, and how.
type relocateFlags struct {
	from, fromStore, cacheSize, caCert string
	keys                               []string
	keepBare, shorter                  bool
}

func (f *relocateFlags) register(s *pflag.FlagSet) {
	s.StringVar(&f.from, "from", "", "`URL` of the binary cache: file://, http:// or https://")
	s.StringVar(&f.fromStore, "from-store", "/nix/store", "store `directory` of that cache")
	s.StringArrayVar(&f.keys, "key", nil, "public `key` whose signatures count there, NAME:BASE64; may be given more than once")
	s.StringVar(&f.cacheSize, "cache-size", "4G", "how many `bytes` of relocated paths are kept for the next time: 500M, 4G")
	s.BoolVar(&f.keepBare, "refuse-bare", false, "do not take what has the other store directory in it where no store path follows")
	s.BoolVar(&f.shorter, "shorter", false, "fill up a store directory that is shorter than the other one with slashes")
	s.StringVar(&f.caCert, "ca-cert", "", "`file` of certificates to trust besides the system's")
}

// relocating is a substituter that is ready for use.
type relocating struct {
	*substitute.Substituter
	upstream *substitute.Upstream
	cache    *substitute.Cache
	key      *nix.PrivateKey
	store    string
	limit    int64

	mu      sync.Mutex
	refused map[string]string // why, by path
	order   []string          // of those
}

// open asks the cache, and makes what is needed to relocate from it. Close must be called.
func (f *relocateFlags) open(ctx context.Context, m machine, o own, sink event.Sink) (_ *relocating, err error) {
	limit, err := parseSize("--cache-size", f.cacheSize)
	if err != nil {
		return nil, err
	}
	if f.from == "" {
		return nil, fault.New(fault.Usage, errors.New("no cache given"), "say where it is: --from https://… or --from file:///…, and whose signatures count: --key NAME:BASE64")
	}
	store, from := drv.Dir(o.store), drv.Dir(f.fromStore)
	beside := besides(store, from)
	if err := substitute.Check(substitute.CheckOptions{Store: store, From: from, Beside: beside, Shorter: f.shorter}); err != nil {
		return nil, err
	}
	transport, err := (&seedFlags{caCert: f.caCert}).transport(m, o.layout)
	if err != nil {
		return nil, err
	}
	r := &relocating{store: o.store, limit: limit, refused: map[string]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	r.upstream, err = substitute.OpenUpstream(ctx, substitute.UpstreamOptions{URL: f.from, Store: from, Keys: f.keys, Transport: transport})
	if err != nil {
		return r, err
	}
	dir := o.layout.RelocatedDir()
	if r.cache, err = substitute.OpenCache(dir, limit, m.now); err != nil {
		return r, err
	}
	if r.key, err = substitute.LoadKey(filepath.Join(dir, "key"), o.store); err != nil {
		return r, err
	}
	provenance := substitute.Provenance{File: filepath.Join(dir, "provenance.jsonl"), Run: runName(m), Now: m.now}
	r.Substituter, err = substitute.New(substitute.Options{
		Store: store, Files: o.layout.Store, From: from, Beside: beside, Upstream: r.upstream, Cache: r.cache, Key: r.key,
		KeepBare: f.keepBare, Shorter: f.shorter, Workers: runtime.NumCPU(), Now: m.now, Record: provenance.Record,
		Told: func(t substitute.Told) { r.told(m, sink, t) },
	})
	return r, err
}

// Close gives back what open has taken.
func (r *relocating) Close() (err error) {
	if r.upstream != nil {
		err = r.upstream.Close()
	}
	if r.cache != nil {
		err = errors.Join(err, r.cache.Close())
	}
	return err
}

// told says what became of a path, and of each that is not offered once.
func (r *relocating) told(m machine, sink event.Sink, t substitute.Told) {
	e := event.Event{Time: m.now(), Kind: event.Log, Stage: relocateStage, Text: fmt.Sprintf("%s, %s", t.Path, probe.Size(t.Size))}
	if t.Err != nil {
		e.Kind, e.Text = event.Warn, fmt.Sprintf("%s is not offered: %v", t.Path, t.Err)
		r.mu.Lock()
		before := r.refused[t.Path]
		if before == "" {
			r.order = append(r.order, t.Path)
		}
		r.refused[t.Path] = t.Err.Error()
		r.mu.Unlock()
		if before == t.Err.Error() {
			return
		}
	}
	sink.Emit(e)
}

// relocateStage is the stage of events about paths that are relocated.
const relocateStage = "relocate"

// options are the settings by which a Nix uses the substituter: its own key counts, and what it answered a minute ago, or
// another server at this address did, does not.
func (r *relocating) options(address string) []string {
	return []string{
		// A Nix in runtime mode takes a cache for one of the store directory that it was compiled for.
		"--option", "extra-substituters", address + "?store=" + r.store + " " + r.upstream.Sources(),
		"--option", "extra-trusted-public-keys", r.key.PublicKey().String(),
		"--option", "narinfo-cache-negative-ttl", "0",
		"--option", "narinfo-cache-positive-ttl", "0",
		"--option", "fallback", "true",
		// On a machine without a network, Nix would ask for nothing, not even this.
		"--option", "substitute", "true",
	}
}

// besides are the directories that the package set derives from a store directory (templates/packages/directories.nix).
func besides(here, there drv.Dir) (list []drv.Move) {
	for _, d := range []string{"var/nix", "var/log/nix", "etc/nix"} {
		beside := func(store drv.Dir) drv.Dir { return drv.Dir(filepath.Join(filepath.Dir(string(store)), d)) }
		list = append(list, drv.Move{From: beside(here), To: beside(there)})
	}
	return list
}

var anySize = regexp.MustCompile(`^([0-9]+)([KMGT]?)(?:i?B)?$`)

// parseSize reads a number of bytes, with a unit of a power of 1024.
func parseSize(flag, text string) (int64, error) {
	if m := anySize.FindStringSubmatch(text); m != nil {
		shift := map[string]int{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[m[2]]
		if n, err := strconv.ParseInt(m[1], 10, 64); err == nil && n > 0 && n <= (1<<62)>>shift {
			return n << shift, nil
		}
	}
	return 0, fault.New(fault.Usage, fmt.Errorf("%s %q: is not a number of bytes", flag, text), "give a number and K, M, G or T: 4G")
}
