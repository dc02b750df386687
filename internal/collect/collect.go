// Package collect runs the garbage collector of a prefix: the prefix's own, on the prefix's own
// store, and only if nothing that somebody may still want would be lost.
//
// [Survey] finds out what a collection would delete without changing anything, and [Plan.Execute]
// deletes that. What is dead is Nix's own answer both times: for the survey it is asked in a copy
// of the state directory that has the roots which would be left, and the database itself.
package collect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/gcroots"
	"bootstrap/internal/generations"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/prefix"
)

// Options say which prefix, and what may go.
type Options struct {
	Layout  prefix.Layout
	Store   string     // the store directory as Nix knows it; Layout.Store, save for a diverted one
	Nix     nixcmd.Nix // the prefix's own
	Scratch string     // a directory for the copy of the state directory; that of temporary files if empty
	Policy  generations.Policy
	// Without are directories of roots that count as if they were gone already.
	Without []string
	// Unused are directories that nothing needs any more, outside the store. They go if nobody is at work.
	Unused []string
	// DropStale forgets the roots that the collector could not follow, and with them what they hold.
	DropStale bool
}

// Dead is a store path that would be deleted.
type Dead struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"` // of disk that are free afterwards; a file that others share counts with the last of them
}

// Leftover is a file or directory outside the store that nothing reads any more.
type Leftover struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
}

// Plan is what a collection is going to do.
type Plan struct {
	Roots       []gcroots.Root           `json:"roots"`       // that the collector could not follow
	Generations []generations.Generation `json:"generations"` // that would be deleted
	Dead        []Dead                   `json:"dead"`
	Leftovers   []Leftover               `json:"leftovers"`
	Bytes       int64                    `json:"bytes"`   // of both
	AtWork      []int                    `json:"at_work"` // processes that use the store; what they use stays

	o Options
}

// Survey finds out what would be deleted. It refuses where the store is not what it should be, and
// unless DropStale is set where a root cannot be followed, but for what a deleted cache has left.
func Survey(ctx context.Context, o Options) (*Plan, error) {
	if err := o.checkStore(ctx); err != nil {
		return nil, err
	}
	if err := o.checkInstalled(ctx); err != nil {
		return nil, err
	}
	p := &Plan{o: o, Roots: []gcroots.Root{}}
	all, err := gcroots.List(o.Dirs())
	if err != nil {
		return nil, err
	}
	p.Roots = append(p.Roots, gcroots.Bad(all)...)
	if p.AtWork, err = o.atWork(); err != nil {
		return nil, err
	}
	made, err := generations.List(o.Layout.Profiles(), o.Store)
	if err != nil {
		return nil, err
	}
	p.Generations = o.Policy.Old(made)
	if blocking := slices.DeleteFunc(slices.Clone(p.Roots), o.forgotten); len(blocking) > 0 && !o.DropStale {
		return p, refused(blocking)
	}
	if p.Dead, err = p.dead(ctx); err != nil {
		return nil, err
	}
	if p.Leftovers, err = o.leftovers(len(p.AtWork) > 0); err != nil {
		return nil, err
	}
	for _, d := range p.Dead {
		p.Bytes += d.Bytes
	}
	for _, l := range p.Leftovers {
		p.Bytes += l.Bytes
	}
	return p, nil
}

// Empty reports whether there is nothing to do.
func (p *Plan) Empty() bool {
	return len(p.Roots)+len(p.Generations)+len(p.Dead)+len(p.Leftovers) == 0
}

// Dirs returns where the roots are.
func (o Options) Dirs() gcroots.Dirs {
	return gcroots.Dirs{
		GCRoots: filepath.Dir(o.Layout.GCRoots()), Profiles: o.Layout.Profiles(), Installer: o.Layout.GCRoots(), Store: o.Store,
	}
}

// refused says which roots keep the collector from being run.
func refused(roots []gcroots.Root) error {
	lines := make([]string, len(roots))
	for i, r := range roots {
		lines[i] = fmt.Sprintf("  %-10s %s: %s", r.Verdict, r.Via, r.Reason)
	}
	return fault.New(fault.Unfit,
		fmt.Errorf("%d GC roots cannot be followed, and what they hold would be deleted:\n%s", len(roots), strings.Join(lines, "\n")),
		"mount, restore or make readable what is missing; or give it up with --drop-stale")
}

// checkStore makes sure that the Nix, the state directory and the store directory belong together.
func (o Options) checkStore(ctx context.Context) error {
	said, err := o.Nix.Command("nix", "eval", "--raw", "--expr", "builtins.storeDir").Output(ctx)
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(said)); got != o.Store {
		return o.mismatch("nix works on the store directory", got)
	}
	stamp, err := os.ReadFile(filepath.Join(o.Layout.State, "store-dir"))
	switch {
	case errors.Is(err, os.ErrNotExist): // the host nix of runtime mode makes none
	case err != nil:
		return err
	default:
		if got := strings.TrimSpace(string(stamp)); got != o.Store {
			return o.mismatch("the state directory is that of", got)
		}
	}
	known, err := o.Nix.Command("nix", "path-info", "--all").Output(ctx)
	if err != nil {
		return err
	}
	paths := strings.Fields(string(known))
	for _, p := range paths {
		if !strings.HasPrefix(p, o.Store+"/") {
			return o.mismatch("the database has a path of another store,", p)
		}
	}
	entries, err := os.ReadDir(o.Layout.Store)
	if err != nil {
		return err
	}
	if len(paths) == 0 && len(entries) > 1 { // .links is one
		return fault.New(fault.Unfit,
			fmt.Errorf("store %q: the database knows no path, and %d entries are there", o.Layout.Store, len(entries)),
			"the database was lost, or is another one's; everything would be deleted")
	}
	return nil
}

func (o Options) mismatch(what, got string) error {
	return fault.New(fault.Unfit, fmt.Errorf("prefix %q: %s %q", o.Store, what, got),
		"`bootstrap status` says what is installed; nothing was deleted")
}

// checkInstalled makes sure that everything installed is rooted, and valid.
func (o Options) checkInstalled(ctx context.Context) error {
	var targets []string
	err := filepath.WalkDir(o.Layout.GCRoots(), func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(o.Without, path):
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		target, err := os.Readlink(path)
		targets = append(targets, target)
		return err
	})
	if err != nil {
		return err
	}
	if len(targets) == 0 || o.Nix.Registered(ctx, targets...) {
		return nil
	}
	return fault.New(fault.Unfit, fmt.Errorf("prefix %q: something that was installed is not valid any more", o.Store),
		"run the same bootstrap command as for the installation; it makes what is missing")
}

// Result is what a collection came to.
type Result struct {
	Paths      int   `json:"paths"`       // store paths deleted
	Bytes      int64 `json:"bytes"`       // announced of those, and of leftovers
	FreeBefore int64 `json:"free_before"` // bytes free on the file system of the store,
	FreeAfter  int64 `json:"free_after"`  // whoever else wrote or deleted there meanwhile
}
