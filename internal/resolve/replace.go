package resolve

import (
	"context"
	"fmt"
	"slices"

	"bootstrap/internal/archive"
	"bootstrap/internal/control"
	"bootstrap/internal/fault"
	"bootstrap/internal/lock"
)

// Replace returns a lock in which the entries in gone, files that are nowhere to be had any more,
// have made way for what the signed index of their suite has now: the package of the same name,
// and what that needs and the role does not have yet. All else stays pinned as it was,
// unless a new package rejects its version, or a library is not needed any more.
//
// The changes are what [lock.Diff] finds. Store paths of what is built from a changed file differ.
//
// A file that the index still lists is a [fault.Error], for the mirror is incomplete;
// so is a package that the suite does not have any more.
func Replace(ctx context.Context, old *lock.Lock, gone []lock.Entry, opts Options) (*lock.Lock, []lock.Change, error) {
	opts.Known = old
	r, err := newResolver(opts)
	if err != nil {
		return nil, nil, err
	}
	r.drafts = draftsOf(old)
	for _, s := range old.Suites {
		r.suites[s.Name] = s
	}
	var suites []string
	for _, e := range gone {
		if r.drafts[fileOf(e)] == nil {
			return nil, nil, fmt.Errorf("replace %q: the lock has no such entry", e.Path)
		}
		suites = append(suites, e.Suite)
	}
	slices.Sort(suites)
	for _, suite := range slices.Compact(suites) {
		if err := r.replaceSuite(ctx, old, suite, gone); err != nil {
			return nil, nil, err
		}
	}
	replaced, err := r.lock()
	if err != nil {
		return nil, nil, err
	}
	for _, e := range replaced.Entries {
		if slices.ContainsFunc(gone, func(g lock.Entry) bool { return fileOf(g) == fileOf(e) }) {
			err := fmt.Errorf("replace %q: the mirror lists the file, but does not have it", e.Path)
			return nil, nil, fault.New(fault.General, err, "the mirror is incomplete: use another one with `--mirror`")
		}
	}
	return replaced, lock.Diff(old, replaced), nil
}

func (r *resolver) replaceSuite(ctx context.Context, old *lock.Lock, suite string, gone []lock.Entry) error {
	gone = slices.DeleteFunc(slices.Clone(gone), func(e lock.Entry) bool { return e.Suite != suite })
	a, err := r.open(ctx, suite)
	if err != nil {
		return err
	}
	for _, arch := range archsOf(gone, isBinary) {
		u, err := r.universe(ctx, a, suite, arch)
		if err != nil {
			return err
		}
		for _, role := range lock.Roles() {
			lost := slices.DeleteFunc(slices.Clone(gone), func(e lock.Entry) bool { return !isBinary(e) || !e.Serves(arch, role) })
			if len(lost) == 0 {
				continue
			}
			if err := r.replaceRole(ctx, u, old, role, lost); err != nil {
				return unresolved(role, suite, arch, err)
			}
		}
	}
	return r.replaceSources(ctx, a, suite, gone)
}

// replaceRole resolves what is lost of one role of one architecture, with the rest of the role held fast.
func (r *resolver) replaceRole(ctx context.Context, u *universe, old *lock.Lock, role lock.Role, lost []lock.Entry) error {
	rule, ok := r.Table[role]
	if !ok || rule.Source != "" {
		return unmet("the table has no packages for it")
	}
	isLost := func(path string) bool {
		return slices.ContainsFunc(lost, func(e lock.Entry) bool { return e.Path == path })
	}
	var seed []*control.Package
	for _, e := range old.For(u.arch, role) {
		if !isLost(e.Path) {
			seed = append(seed, u.pinned(e))
		}
	}
	var roots []control.Dependency
	for _, e := range lost {
		if len(u.real[e.Name]) == 0 {
			err := fmt.Errorf("package %q is gone, and the index does not have it", e.Name)
			return fault.New(fault.General, err, "make a new lock with `bootstrap lock update`")
		}
		roots = append(roots, control.Dependency{{Name: e.Name}})
	}
	packages, err := r.packages(ctx, u, rule, seed, roots)
	if err != nil {
		return err
	}
	r.drafts.drop(role, u.arch)
	for _, p := range packages {
		r.drafts.add(u.entry(p), role, u.arch)
	}
	return nil
}

func (r *resolver) replaceSources(ctx context.Context, a *archive.Archive, suite string, gone []lock.Entry) error {
	var roles []lock.Role
	for _, e := range gone {
		if isBinary(e) {
			continue
		}
		for _, role := range e.Roles {
			if r.Table[role].Source == "" {
				return unresolved(role, suite, lock.Source, unmet("the table has no source for it"))
			}
			for _, arch := range e.For {
				r.drafts.drop(role, arch)
			}
			roles = append(roles, role)
		}
	}
	return r.sources(ctx, a, suite, roles, archsOf(gone, func(e lock.Entry) bool { return !isBinary(e) }))
}

func isBinary(e lock.Entry) bool { return e.Architecture != lock.Source }

// archsOf returns the architectures that the entries which ok accepts serve, sorted.
func archsOf(entries []lock.Entry, ok func(lock.Entry) bool) []string {
	var archs []string
	for _, e := range entries {
		if ok(e) {
			archs = append(archs, e.For...)
		}
	}
	slices.Sort(archs)
	return slices.Compact(archs)
}
