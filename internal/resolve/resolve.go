// Package resolve makes locks: it takes the signed indexes of a Debian archive and a table of roles
// to the exact files that a seed consists of.
//
// It decides which packages and which versions, and nothing else: the indexes are
// fetched and verified by package archive, and packages it must look into by [Options.Fetch].
// It writes temporary files only.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bootstrap/internal/archive"
	"bootstrap/internal/control"
	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/lock"
)

// Options says from where and for whom a lock is made.
type Options struct {
	// Archive is where the indexes come from; its Suite is set by the table. Required.
	Archive archive.Options
	// Table holds the roles. Required.
	Table Table
	// Architectures are those to resolve for; nil stands for amd64 and arm64.
	Architectures []string
	// Fetch returns the absolute paths of verified copies of the files of entries, by SHA-256.
	// Packages whose libraries matter are looked into this way. Required.
	Fetch func(ctx context.Context, entries []lock.Entry) (map[string]string, error)
	// Known is a lock whose packages [Update] need not look into again, see [VetOptions], and than whose
	// indexes none may be older, see [archive.Options]. Nil stands for none.
	Known *lock.Lock
	// Parallel is how many packages are looked into at a time; default 1.
	Parallel int
	// TempDir is where packages are unpacked to look into them, an absolute path; "" is the system's.
	// What is put there is gone when the call returns.
	TempDir string
	// Sink is told of the progress; nil forgets it.
	Sink event.Sink
	// Stage is the name that events carry.
	Stage string
}

// resolver is one call's state.
type resolver struct {
	Options
	drafts drafts
	suites map[string]lock.Suite
}

func newResolver(opts Options) (*resolver, error) {
	if opts.Table == nil || opts.Fetch == nil || opts.Archive.Now == nil {
		return nil, errors.New("resolve: table, fetch and clock are required")
	}
	if err := opts.Table.prepare(); err != nil {
		return nil, err
	}
	if opts.Architectures == nil {
		opts.Architectures = []string{"amd64", "arm64"}
	}
	if opts.Sink == nil {
		opts.Sink = event.Discard()
	}
	return &resolver{Options: opts, drafts: make(drafts), suites: make(map[string]lock.Suite)}, nil
}

// Update resolves all roles anew and returns the lock, whose packages it has vetted ([Vet]).
//
// Errors of the archive are those of [archive.Open];
// a package that no version satisfies is a [fault.Error] that names who needs it.
func Update(ctx context.Context, opts Options) (*lock.Lock, error) {
	r, err := newResolver(opts)
	if err != nil {
		return nil, err
	}
	for _, suite := range r.Table.suites() {
		if err := r.updateSuite(ctx, suite); err != nil {
			return nil, err
		}
	}
	l, err := r.lock()
	if err != nil {
		return nil, err
	}
	for _, arch := range r.Architectures {
		err := Vet(ctx, VetOptions{
			Lock: l, Arch: arch, Known: r.Known, Fetch: r.Fetch,
			Parallel: r.Parallel, Sink: r.Sink, Stage: r.Stage, Now: r.Archive.Now,
		})
		if err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (r *resolver) updateSuite(ctx context.Context, suite string) error {
	a, err := r.open(ctx, suite)
	if err != nil {
		return err
	}
	for _, arch := range r.Architectures {
		roles := r.Table.rules(suite, false)
		if len(roles) == 0 {
			break
		}
		u, err := r.universe(ctx, a, suite, arch)
		if err != nil {
			return err
		}
		for _, role := range roles {
			packages, err := r.packages(ctx, u, r.Table[role], nil, r.Table[role].roots)
			if err != nil {
				return unresolved(role, suite, arch, err)
			}
			r.note("%s: role %s has %d packages for %s", suite, role, len(packages), arch)
			for _, p := range packages {
				r.drafts.add(u.entry(p), role, arch)
			}
		}
	}
	return r.sources(ctx, a, suite, r.Table.rules(suite, true), r.Architectures)
}

// sources adds the files of roles that are made of source.
func (r *resolver) sources(ctx context.Context, a *archive.Archive, suite string, roles []lock.Role, archs []string) error {
	if len(roles) == 0 {
		return nil
	}
	all, err := a.Sources(ctx)
	if err != nil {
		return err
	}
	for _, role := range roles {
		rule := r.Table[role]
		e, err := findSource(all, rule.Source, rule.File)
		if err != nil {
			return unresolved(role, suite, lock.Source, err)
		}
		e.Suite = suite
		for _, arch := range archs {
			r.drafts.add(e, role, arch)
		}
	}
	return nil
}

// findSource returns the entry of a file of the newest source package that has it.
func findSource(all []control.Source, name, file string) (lock.Entry, error) {
	var found lock.Entry
	for _, s := range all {
		if s.Name != name || found.Version != "" && control.Compare(s.Version, found.Version) < 0 {
			continue
		}
		for _, f := range s.Files {
			if f.Name == file {
				found = lock.Entry{
					Name: name, Version: s.Version, Architecture: lock.Source,
					Path: s.Directory + "/" + f.Name, Size: f.Size, SHA256: f.SHA256,
				}
			}
		}
	}
	if found.Version == "" {
		return found, unmet("no source package %q has a file %q", name, file)
	}
	return found, nil
}

func (r *resolver) open(ctx context.Context, suite string) (*archive.Archive, error) {
	opts := r.Archive
	opts.Suite = suite
	if r.Known != nil {
		opts.NotBefore = r.Known.DateOf(suite)
	}
	a, err := archive.Open(ctx, &opts)
	if err != nil {
		return nil, err
	}
	rel := a.Release()
	r.suites[suite] = lock.Suite{
		Name: suite, Codename: rel.Codename, Date: rel.Date.UTC().Format(lock.TimeLayout),
		InReleaseSHA256: rel.InReleaseSHA256, SignedBy: rel.SignedBy,
	}
	r.note("%s: index of %s, signed by %s", suite, rel.Date.UTC().Format(time.RFC3339), rel.SignedBy)
	return a, nil
}

func (r *resolver) universe(ctx context.Context, a *archive.Archive, suite, arch string) (*universe, error) {
	packages, err := a.Packages(ctx, arch)
	if err != nil {
		return nil, err
	}
	return newUniverse(suite, arch, packages), nil
}

// packages returns what a rule holds when it starts from roots and has seed already.
func (r *resolver) packages(ctx context.Context, u *universe, rule Rule, seed []*control.Package, roots []control.Dependency) ([]*control.Package, error) {
	c := newClosure(u, rule.Exclude)
	c.alone = rule.Alone
	packages, err := c.solve(roots, seed)
	if err != nil || len(rule.NeededBy) == 0 {
		return packages, err
	}
	return r.needed(ctx, u, packages, rule.NeededBy)
}

// lock makes the lock of all drafts.
func (r *resolver) lock() (*lock.Lock, error) {
	l := &lock.Lock{Entries: r.drafts.entries()}
	for _, s := range r.suites {
		l.Suites = append(l.Suites, s)
		l.Timestamp = max(l.Timestamp, s.Date)
	}
	if err := l.Check(); err != nil {
		return nil, err
	}
	return lock.Parse(l.Marshal())
}

// unmet makes the error of a table that asks for what a suite does not have.
func unmet(format string, args ...any) error {
	return fault.New(fault.General, fmt.Errorf(format, args...),
		"the table of roles does not fit this suite: adjust it, or use a mirror that is up to date")
}

// unresolved says which role an error is about.
func unresolved(role lock.Role, suite, arch string, err error) error {
	return fmt.Errorf("resolve role %q in suite %q for %s: %w", role, suite, arch, err)
}

func (r *resolver) note(format string, args ...any) {
	r.Sink.Emit(event.Event{Time: r.Archive.Now(), Kind: event.Note, Stage: r.Stage, Text: fmt.Sprintf(format, args...)})
}
