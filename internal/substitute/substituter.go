package substitute

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"bootstrap/internal/drv"
	"bootstrap/internal/fault"
	"bootstrap/internal/relocate"

	"golang.org/x/sync/singleflight"
	"zombiezen.com/go/nix"
)

// Options say for whom paths are relocated, and from where. All but Bare, Shorter, Record and Told are required.
type Options struct {
	Store    drv.Dir    // the store directory here, as Nix knows it
	Files    string     // where its files lie
	From     drv.Dir    // the store directory of the other cache
	Beside   []drv.Move // directories beside the store, here and there
	Upstream *Upstream
	Cache    *Cache
	Key      *nix.PrivateKey // signs what is offered
	// KeepBare refuses what has the other store directory in it where no store path follows. Otherwise it is replaced
	// like a path: nobody can tell whether the build put it there or the source had it.
	KeepBare bool
	Shorter  bool // allows a store directory here that is shorter than there
	Workers  int  // how many are relocated at a time
	Now      func() time.Time
	Record   func(Made) error // puts on record what was made, before it is offered
	Told     func(Told)       // told what became of a path; may be nil
}

// Made is the provenance of a path that was relocated.
type Made struct {
	Path, From     string // here and there
	URL, Key       string // the other cache, and the key that signed there
	Source, Result string // digests of the archives, "sha256-" and base 64
	Map            string // digest of what was replaced by what
	Counts         map[relocate.Verdict]int
}

// Told is what became of a path that was asked for: Err is nil if it was relocated.
type Told struct {
	Path string
	Size int64
	Err  error
}

// Substituter is a binary cache for one store, made of one for another.
type Substituter struct {
	Options
	origins *origins
	flights singleflight.Group
	workers chan struct{}

	mu      sync.Mutex
	refused map[string]error // by hash part: asking again would have the same result
}

// New refuses store directories between which nothing can be relocated.
func New(o Options) (*Substituter, error) {
	x := &origins{
		store: o.Store, from: o.From, files: o.Files, beside: o.Beside, shorter: o.Shorter, now: o.Now,
		recipes: map[string]*recipe{}, makers: map[string]string{}, moved: map[string]*moved{},
		refused: map[string]error{}, tainted: map[string]error{},
	}
	s := &Substituter{Options: o, origins: x, workers: make(chan struct{}, max(1, o.Workers)), refused: map[string]error{}}
	return s, Check(CheckOptions{Store: o.Store, From: o.From, Beside: o.Beside, Shorter: o.Shorter})
}

// CheckOptions are the store directories of [Options].
type CheckOptions struct {
	Store, From drv.Dir
	Beside      []drv.Move
	Shorter     bool
}

// Check refuses store directories between which nothing can be relocated, before anything is read or written.
func Check(o CheckOptions) error {
	x := &origins{store: o.Store, from: o.From, beside: o.Beside, shorter: o.Shorter}
	if o.Store == o.From {
		return fault.New(fault.Usage, fmt.Errorf("the store directory of the other cache is %q, as that of the prefix: nothing has to be relocated", o.From),
			"add it to substituters in nix.custom.conf")
	}
	if err := drv.Distinctive(o.Store); err != nil {
		return fault.New(fault.Unfit, err, "a prefix with a longer path, which stands in no other text, can be told apart")
	}
	if _, err := x.mapping(nil, false); err != nil {
		hint := fmt.Sprintf("a prefix whose store directory has %d bytes, as %s has, can take what is in that cache", len(o.From), o.From)
		if len(o.Store) < len(o.From) {
			hint += "; --shorter fills this one up with slashes"
		}
		return fault.New(fault.Unfit, err, hint)
	}
	return nil
}

// way says how something is relocated: what was done in another way is done again.
func (s *Substituter) way() string {
	return fmt.Sprintf("1 bare=%t shorter=%t", !s.KeepBare, s.Shorter)
}

// offer makes a path ready, by its hash part. Without an error its archive is in the cache.
func (s *Substituter) offer(ctx context.Context, hash string) (*entry, error) {
	s.mu.Lock()
	err := s.refused[hash]
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	made, err, _ := s.flights.Do(hash, func() (any, error) {
		e, err := s.ready(ctx, hash)
		if err != nil && final(err) && ctx.Err() == nil {
			s.mu.Lock()
			s.refused[hash] = err
			s.mu.Unlock()
		}
		return e, err
	})
	if err != nil {
		return nil, err
	}
	return made.(*entry), nil
}

// Offer makes a store path ready to be taken by Nix, or says why it is not offered.
func (s *Substituter) Offer(ctx context.Context, storePath string) error {
	_, err := s.offer(ctx, filepath.Base(storePath)[:drv.HashLen])
	return err
}

// ready takes a path from the cache, or makes it.
func (s *Substituter) ready(ctx context.Context, hash string) (*entry, error) {
	o, err := s.origins.of(hash)
	if err != nil {
		if final(err) {
			s.tell(Told{Path: hash, Err: err})
		}
		return nil, err
	}
	e, err := s.Cache.load(hash)
	if err != nil {
		return nil, err
	}
	if e != nil && s.trusted(e, o) {
		return e, nil
	}
	select {
	case s.workers <- struct{}{}:
		defer func() { <-s.workers }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	e, err = s.make(ctx, o)
	told := Told{Path: string(s.Store) + "/" + o.base, Err: err}
	if e != nil {
		told.Size = e.NarSize
	}
	if !errors.Is(err, fs.ErrNotExist) {
		s.tell(told)
	}
	return e, err
}

func (s *Substituter) tell(t Told) {
	if s.Told != nil {
		s.Told(t)
	}
}

// trusted reports whether an entry of an earlier run would be made in the same way now, from something that somebody signed
// who is trusted now.
func (s *Substituter) trusted(e *entry, o *origin) bool {
	m, err := o.moved.mapping()
	if err != nil || e.Way != s.way() || e.Path != string(s.Store)+"/"+o.base || e.From != string(s.From)+"/"+o.from {
		return false
	}
	info, err := s.Upstream.check(o.from, []byte(e.Upstream))
	if err != nil {
		return false
	}
	refs, err := o.references(info)
	return err == nil && m != nil && slices.Equal(refs, e.References)
}

// references returns what a path here refers to, as last elements, sorted: all that it refers to there, at its new names.
func (o *origin) references(info *nix.NARInfo) ([]string, error) {
	refs := make([]string, 0, len(info.References))
	for _, r := range info.References {
		here, ok := o.moved.here[r.Base()]
		if !ok {
			return nil, proof("it refers to %s, which nothing here becomes", r)
		}
		refs = append(refs, here)
	}
	slices.Sort(refs)
	return slices.Compact(refs), nil
}

// fetch writes the archive of a path to a file, and goes back to its beginning.
func (s *Substituter) fetch(ctx context.Context, to *os.File, info *nix.NARInfo) error {
	err := patiently(ctx, func() error {
		if _, err := to.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err := to.Truncate(0); err != nil {
			return err
		}
		return s.Upstream.nar(ctx, to, info)
	})
	if err != nil {
		return err
	}
	_, err = to.Seek(0, io.SeekStart)
	return err
}

// make fetches a path from the other cache, checks it, and relocates it.
func (s *Substituter) make(ctx context.Context, o *origin) (_ *entry, err error) {
	info, text, err := s.Upstream.info(ctx, o.from)
	if err != nil {
		return nil, err
	}
	refs, err := o.references(info)
	if err != nil {
		return nil, err
	}
	m, err := o.moved.mapping()
	if err != nil {
		return nil, err
	}
	source, err := s.Cache.scratch()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	if err := s.fetch(ctx, source, info); err != nil {
		return nil, err
	}
	archive, err := s.Cache.begin(o.hash())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, archive.Cleanup()) }()
	there := make([]string, 0, len(info.References))
	for _, r := range info.References {
		there = append(there, r.Base())
	}
	report, err := relocate.Relocate(archive, source, relocate.Options{
		Map: m.Map, References: there, KeepBare: s.KeepBare, Spill: relocate.TempSpill(filepath.Join(s.Cache.dir, tmpDir)),
	})
	if err != nil {
		return nil, err
	}
	was := nix.NewHash(nix.SHA256, report.Source.Sum[:])
	if !was.Equal(info.NARHash) {
		return nil, proof("its archive is %s now, not %s", was.SRI(), info.NARHash.SRI())
	}
	e := &entry{
		Path: string(s.Store) + "/" + o.base, From: string(info.StorePath), Upstream: string(text), Way: s.way(), Map: m.digest,
		NarHash: fmt.Sprintf("%x", report.Result.Sum), NarSize: report.Result.Size, References: refs, Deriver: o.drv,
	}
	if s.Record != nil {
		err := s.Record(Made{
			Path: e.Path, From: e.From, URL: s.Upstream.address, Key: s.Upstream.signer(info),
			Source: was.SRI(), Result: nix.NewHash(nix.SHA256, report.Result.Sum[:]).SRI(), Map: m.digest, Counts: report.Counts,
		})
		if err != nil {
			return nil, err
		}
	}
	return e, s.Cache.commit(o.hash(), archive, e)
}
