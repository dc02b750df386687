// Package uninstall takes a prefix away again: exactly what the installer and its Nix made, and nothing else.
//
// [Plan] looks and changes nothing; [Removal.Execute] does what the plan says.
// What the installer made it learns from the journal and the receipt.
// A directory that has no record was there before and stays, whatever happens to what is in it.
// In the store, state and log directories Nix makes things of its own accord, so there its names decide (names.go).
// Everything else is foreign: it is left where it is, with the directories above it, and listed.
//
// The store is taken for ours only if a record says that its directory, the state directory or the database
// was made, and the build logs only if one says so of the log directory or of `drvs` in it.
// So the installer records [prefix.Layout.Database] and [LogsOf] too, before Nix makes them.
//
// In other stores only the GC roots go that keep what this prefix borrows (internal/loan).
//
// The journal goes last, so that a removal that was interrupted can be run again.
// No symbolic link is followed: one that is in the way is removed itself.
// The package asks nobody and prints nothing.
package uninstall

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/loan"
	"bootstrap/internal/prefix"
	"bootstrap/internal/receipt"
	"bootstrap/internal/shellrc"
)

// ErrNothing is the cause where neither journal nor receipt says that anything was made.
var ErrNothing = errors.New("nothing is installed there: it has no journal and no receipt")

// Options say what to remove. Layout and one of Journal and Receipt are needed.
type Options struct {
	Layout  prefix.Layout
	Journal *journal.History // may be nil
	Receipt *receipt.Receipt // may be nil

	// Shell says whose start-up files to look at besides those that are recorded.
	// Its Root is the layout's, if empty. Without a Home only recorded files are looked at.
	Shell shellrc.Options

	// MountInfo is the list of mounts, as in proc(5). The default is /proc/self/mountinfo.
	MountInfo string
	// Now stamps events, if it is not nil.
	Now func() time.Time
}

// StepName names a step, in the words of the user.
type StepName string

// The steps, in the order they are taken.
const (
	Borrowed      StepName = "borrowed" // GC roots in other stores
	ShellHooks    StepName = "shell hooks"
	Configuration StepName = "configuration" // links, env files, nix.conf
	PackageSet    StepName = "package set"
	// Database comes before the store: a database without a store is a lie that
	// an installation into what is left would believe, a store without a database is none.
	Database    StepName = "database"
	Store       StepName = "store"
	State       StepName = "state"
	Logs        StepName = "logs"
	Work        StepName = "work directory"
	Directories StepName = "directories"
	Journal     StepName = "journal"
)

// Step is one part of a removal.
type Step struct {
	Name StepName `json:"name"`
	// Paths are what the step removes, each with everything in it, save what is foreign.
	Paths []string `json:"paths"`

	groups []group
}

// Removal is what is going to be removed, and what is not.
type Removal struct {
	Layout   prefix.Layout `json:"layout"`
	Steps    []Step        `json:"steps"`
	Hooks    []string      `json:"hooks"`    // shell start-up files that are recorded
	Foreign  []string      `json:"foreign"`  // is not ours and stays
	Dangling []string      `json:"dangling"` // links elsewhere that lead into the store; they stay
	Warnings []string      `json:"warnings"`

	opts  Options
	rec   *records
	loans []receipt.Loan
}

// group is some entries of one directory.
type group struct {
	dir     string
	entries []entry
}

// entry is one thing to be removed.
type entry struct {
	name string
	kind journal.Kind
	ours filter // what in a tree is ours; nil if all of it is
}

// Plan finds out what to remove. It fails, with nothing changed, where a mount is in the way,
// where a directory of the prefix is reached by a symbolic link now,
// where the receipt is that of another store, and with [ErrNothing].
func Plan(ctx context.Context, o Options) (*Removal, error) {
	if o.MountInfo == "" {
		o.MountInfo = "/proc/self/mountinfo"
	}
	if o.Shell.Root == "" {
		o.Shell.Root = o.Layout.Root
	}
	r := &Removal{Layout: o.Layout, opts: o}
	if err := r.check(); err != nil {
		return nil, r.wrap(err)
	}
	r.rec, r.loans = gather(o), loan.Open(o.Journal, o.Receipt)
	if r.rec.empty() {
		return nil, r.wrap(fault.New(fault.Usage, ErrNothing, "give the --prefix it was installed with"))
	}
	s := &survey{Removal: r}
	if err := s.run(ctx); err != nil {
		return nil, r.wrap(err)
	}
	return r, nil
}

// check looks at the layout alone.
func (r *Removal) check() error {
	if got := r.opts.Receipt; got != nil && got.Layout.Store != r.Layout.Store {
		return fault.New(fault.Unfit,
			fmt.Errorf("its receipt is that of %q", got.Layout.Store),
			"if it was moved, move it back first; else remove what is there by hand")
	}
	for _, dir := range strict(r.Layout) {
		if !filepath.IsAbs(dir) {
			return fmt.Errorf("directory %q of the layout is not absolute", dir)
		}
		if err := unlinked(dir); err != nil {
			return fault.New(fault.Unfit, err, "put the directory back where it was")
		}
	}
	return nil
}

func (r *Removal) wrap(err error) error {
	err = fmt.Errorf("uninstall %q: %w", r.Layout.Store, err)
	if hint := fault.HintOf(err); hint != "" {
		return fault.New(fault.KindOf(err), err, hint)
	}
	return err
}

// step returns the step of that name, which it makes where there is none.
func (r *Removal) step(name StepName) *Step {
	for i := range r.Steps {
		if r.Steps[i].Name == name {
			return &r.Steps[i]
		}
	}
	r.Steps = append(r.Steps, Step{Name: name})
	return &r.Steps[len(r.Steps)-1]
}

// add plans the removal of an entry of a directory.
func (r *Removal) add(name StepName, dir string, e entry) {
	s := r.step(name)
	s.Paths = append(s.Paths, filepath.Join(dir, e.name))
	i := slices.IndexFunc(s.groups, func(g group) bool { return g.dir == dir })
	if i < 0 {
		s.groups = append(s.groups, group{dir: dir})
		i = len(s.groups) - 1
	}
	s.groups[i].entries = append(s.groups[i].entries, e)
}

// last returns the files of the work directory that go after everything else, the journal at the very end.
func last(l prefix.Layout) []string {
	return []string{l.LockFile(), l.Receipt(), l.Journal()}
}

// LogsOf returns the directory of Nix's build logs.
func LogsOf(l prefix.Layout) string { return filepath.Join(l.Log, "drvs") }
