package stages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"bootstrap/internal/fault"
	"bootstrap/internal/fetch"
	"bootstrap/internal/journal"
	"bootstrap/internal/lock"
	"bootstrap/internal/mirror"
	"bootstrap/internal/prefix"
	"bootstrap/internal/probe"
)

// Plan is what a run would do, made without writing anything.
type Plan struct {
	Layout     prefix.Layout `json:"layout"`
	NixVersion string        `json:"nix_version"`
	Mode       string        `json:"mode,omitempty"`     // as in the receipt
	Diverted   string        `json:"diverted,omitempty"` // as in the receipt
	Readers    *uint32       `json:"readers,omitempty"`  // the only group that may read the prefix
	From       *Origin       `json:"from,omitempty"`     // the bundle that is installed
	Packages   *Set          `json:"packages,omitempty"` // the package set, unless it is the embedded one
	Facts      probe.Facts   `json:"facts"`
	LockDigest string        `json:"lock_digest"`
	Timestamp  string        `json:"lock_timestamp"` // of the archive the seed was taken from
	// Generation is the number of the generation that will be current; none in runtime mode.
	Generation int `json:"generation,omitempty"`
	// Other says that what is installed is complete, and other than these options make.
	Other  bool    `json:"other,omitempty"`
	Stages []State `json:"stages"`
	// Mirror is where files will come from; nil where nothing has to be fetched.
	Mirror *mirror.Mirror `json:"mirror,omitempty"`
	// SeedFiles and SeedBytes count the whole seed, FetchFiles and FetchBytes what of it
	// has to be fetched.
	SeedFiles  int   `json:"seed_files"`
	SeedBytes  int64 `json:"seed_bytes"`
	FetchFiles int   `json:"fetch_files"`
	FetchBytes int64 `json:"fetch_bytes"`
	// Cached is what comes from binary caches instead of being built; nil if none was asked.
	Cached *Cached `json:"cached,omitempty"`
	// CacheDir is where they are kept; what it holds is not counted in the fields below.
	CacheDir string `json:"cache_dir"`
	// PeakBytes is how much the prefix holds when it holds most, KeepBytes how much in the end.
	PeakBytes int64   `json:"peak_bytes"`
	KeepBytes int64   `json:"keep_bytes"`
	Inodes    int64   `json:"inodes"`
	Seconds   float64 `json:"seconds"` // the estimate for all that is to be done
	// Refusals are the reasons why it cannot work; a run with any of them writes nothing.
	Refusals []*fault.Error `json:"-"`
	Reasons  []Reason       `json:"refusals"`

	run *installation
}

// Reason is a refusal, as `plan --json` prints it.
type Reason struct {
	What string `json:"what"`
	Hint string `json:"hint"`
}

// Complete reports whether there is nothing to do.
func (p *Plan) Complete() bool {
	if len(p.Stages) == 0 {
		return false
	}
	for _, s := range p.Stages {
		if !s.Done {
			return false
		}
	}
	return true
}

// Switches returns the number of the generation that is current now, if another one will be; else 0.
func (p *Plan) Switches() int {
	if p.run.gen.current {
		return 0
	}
	return p.run.leaves.number
}

// Begun reports whether an earlier run has written anything.
func (p *Plan) Begun() bool { return len(p.run.history.Records) > 0 }

// Hooked tells whether new shells will find nix by their start-up files once the plan is carried out.
func (p *Plan) Hooked() bool {
	return p.run.ShellHook || slices.ContainsFunc(p.Stages, func(s State) bool { return s.Outputs["hooked"] == "true" })
}

// HookShells has the plan carried out as with [Options.ShellHook].
func (p *Plan) HookShells() { p.run.ShellHook = true }

// State returns what is known of the named stage.
func (p *Plan) State(name string) State {
	for _, s := range p.Stages {
		if s.Name == name {
			return s
		}
	}
	return State{Name: name}
}

// Err returns the first refusal, with the others in its hint; nil if there is none.
func (p *Plan) Err() error {
	if len(p.Refusals) == 0 {
		return nil
	}
	first := *p.Refusals[0]
	for _, other := range p.Refusals[1:] {
		first.Hint += fmt.Sprintf("\nalso: %s; %s", other.Error(), other.Hint)
	}
	return &first
}

// Make probes the host and makes the plan. It writes nothing, and asks the network only for
// a mirror, if something has to be fetched, and for what the caches have, if something has to be built.
func Make(ctx context.Context, o Options) (*Plan, error) {
	r, err := begin(o)
	if err != nil {
		return nil, err
	}
	return r.plan(ctx)
}

// Survey tells which stages are done. It writes nothing and asks no network: of the plan, what
// has to be fetched, from where, and what it takes are left out.
func Survey(ctx context.Context, o Options) (*Plan, error) {
	r, err := begin(o)
	if err != nil {
		return nil, err
	}
	if err := r.look(ctx); err != nil {
		return nil, err
	}
	r.Runtime, r.Diverted = r.installedMode()
	r.From = r.recordFrom()
	return r.surveyed(ctx)
}

// look finds out what there is: what earlier runs have recorded, and what the host is like.
func (r *installation) look(ctx context.Context) error {
	files := r.layout.Below(r.Below)
	r.history = &journal.History{}
	if r.Below == "" { // else what somebody has begun meanwhile cannot be looked at from here
		history, err := journal.Load(files.Journal())
		if err != nil {
			return err
		}
		r.history = history
	}
	if err := r.loadLock(); err != nil {
		return err
	}
	r.facts = probe.Run(ctx, probe.Options{
		Layout: files, CacheDir: r.CacheDir, Terminal: r.Terminal, ProcProbe: r.ProcProbe,
	})
	r.arch = r.facts.Architecture
	for i := range r.facts.Places {
		if p := &r.facts.Places[i]; r.Below != "" && p.Noun != "cache" {
			p.Flag = "--destdir"
		}
	}
	return nil
}

func (r *installation) surveyed(ctx context.Context) (*Plan, error) {
	p := &Plan{
		Layout: r.layout, NixVersion: r.version.String(), Facts: r.facts,
		Mode: r.mode(), Diverted: r.Diverted, LockDigest: r.lock.Digest(), Timestamp: r.lock.Timestamp,
		CacheDir: r.CacheDir, Reasons: []Reason{}, From: r.From.origin(), Packages: r.set, run: r,
	}
	if gid, ok := r.readers(); ok {
		p.Readers = &gid
	}
	if r.arch == "" {
		return p, nil
	}
	var err error
	if p.Stages, err = r.survey(ctx); err != nil {
		return nil, err
	}
	p.Generation, p.Other = r.gen.number, r.otherThanInstalled() != nil
	return p, nil
}

func (r *installation) plan(ctx context.Context) (*Plan, error) {
	if err := r.look(ctx); err != nil {
		return nil, err
	}
	if err := r.checkMode(); err != nil {
		return nil, err
	}
	r.asks = true
	p, err := r.surveyed(ctx)
	if err != nil {
		return nil, err
	}
	if r.arch == "" {
		return r.refuse(p, p.Need()), nil
	}
	if err := r.otherThanInstalled(); err != nil {
		return nil, err
	}
	if p.Complete() {
		return p, nil
	}
	if err := r.measure(ctx, p); err != nil {
		return nil, err
	}
	more := slices.Concat(r.refuseHost(ctx), r.refuseBuild(p), r.refuseToolchain())
	if !p.State(Native).Done {
		more = append(more, r.refuseSource(ctx)...)
	}
	return r.refuse(p, p.Need(), more...), nil
}

func (r *installation) refuse(p *Plan, need probe.Need, more ...*fault.Error) *Plan {
	p.Refusals = slices.Concat(r.facts.Refusals(need), r.refuseDiverted(), r.refuseBelow(), r.refuseFrom(), r.refuseSet(), more)
	for _, f := range p.Refusals {
		p.Reasons = append(p.Reasons, Reason{What: f.Error(), Hint: f.Hint})
	}
	return p
}

// minimumKernel is what the C library of the seed asks for (glibc 2.41, --enable-kernel of Debian).
const minimumKernel = ">= 3.2"

// measure fills in what has to be fetched, from where, and what it takes.
func (r *installation) measure(ctx context.Context, p *Plan) error {
	entries := r.seed()
	p.SeedFiles = len(entries)
	for _, e := range entries {
		p.SeedBytes += e.Size
	}
	p.PeakBytes, p.KeepBytes, p.Inodes = r.footprint()
	for _, s := range p.Stages {
		if !s.Done {
			p.Seconds += s.Seconds
		}
	}
	if err := r.measureCaches(p); err != nil {
		return err
	}
	if p.State(Fetch).Done {
		return nil
	}
	f, err := fetch.New(fetch.Options{CacheDir: r.CacheDir, Transport: r.Transport})
	if err != nil {
		return err
	}
	p.FetchFiles, p.FetchBytes = f.Missing(r.files(entries, ""))
	if p.FetchFiles == 0 {
		return nil
	}
	p.Seconds += float64(p.FetchBytes) / expectedRate
	if n, _ := f.Missing(r.files(archived(entries), "")); n == 0 {
		return nil
	}
	m, err := mirror.Find(ctx, r.mirrorOptions())
	if err != nil {
		return err
	}
	p.Mirror = &m
	return nil
}

func (r *installation) mirrorOptions() mirror.Options {
	return mirror.Options{
		Flag: r.Mirror, Env: r.MirrorEnv, Root: r.Root, Suite: r.mainSuite(), Transport: r.Transport,
	}
}

// mainSuite returns the suite that most of the seed comes from.
func (r *installation) mainSuite() string {
	for _, e := range r.lock.For(r.arch, lock.Toolchain) {
		return e.Suite
	}
	return r.lock.Suites[0].Name
}

// loadLock takes the lock that an earlier run had to make because a file of r.Lock was gone
// everywhere, if it was made from the very lock this run was given.
func (r *installation) loadLock() error {
	r.lock = r.Lock
	last, ok := r.history.Last(relock)
	if !ok || last.Output["from"] != r.Lock.Digest() {
		return nil
	}
	data, err := readFile(filepath.Join(r.layout.Work, relocked))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// One that is damaged is made again.
	if made, err := lock.Parse(data); err == nil && made.Digest() == last.Output["to"] {
		r.lock = made
	}
	return nil
}
