package stages

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/receipt"
)

// Remade is a thing that a stage has made, and that was made once more.
type Remade struct {
	Stage     string `json:"stage"`
	Name      string `json:"name"`
	Path      string `json:"path"`
	Identical bool   `json:"identical"`
}

// remake makes once more what a stage has made, compares, and tells of each thing. It leaves the prefix
// as it was.
type remake func(ctx context.Context, tell func(name, path string, identical bool)) error

// remaking is a stage that is about to be made once more.
type remaking struct {
	stage string
	make  remake
}

// remakable returns the stages that can be made once more, in order.
func (r *installation) remakable() []stage {
	return []stage{
		fetchStage(), hostStage(), r.toolsStage(), bootstrapStage(), relocateStage(), nativeStage(),
		configureStage(), installStage(), proveStage(),
	}
}

// Remakable returns the names of the stages that [Again] takes, in order.
func Remakable() []string {
	var names []string
	for _, s := range (&installation{}).remakable() {
		names = append(names, s.name)
	}
	return names
}

// Again makes once more what stages of an installation have made, and says of each thing whether it is
// identical. What is there stays, and what was removed once it was not needed any more is removed again.
// [Options.Lock] is the one that the prefix was built from.
//
// It refuses what cannot be compared, before anything is written: what the prefix has not, what an older
// program has recorded too little of, and what no Nix can build again there.
func Again(ctx context.Context, o Options, names ...string) (made []Remade, err error) {
	r, err := begin(o)
	if err != nil {
		return nil, err
	}
	if err := r.look(ctx); err != nil {
		return nil, err
	}
	if _, err := r.remakings(names); err != nil {
		return nil, err
	}
	held, err := r.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, held.Release()) }()
	all, err := r.remakings(names) // now that nobody else can change it
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		r.emit(event.Start, m.stage, "once more")
		err := m.make(ctx, func(name, path string, identical bool) {
			made = append(made, Remade{Stage: m.stage, Name: name, Path: path, Identical: identical})
		})
		if ctx.Err() != nil {
			err = fault.New(fault.Interrupted, fmt.Errorf("interrupted while stage %s was made once more", m.stage),
				"what was installed is as it was")
		}
		if err != nil {
			r.emit(event.Fail, m.stage, err.Error())
			return nil, err
		}
		r.emit(event.Done, m.stage, "")
	}
	return made, nil
}

// remakings finds out how stages of what is installed are made once more, without writing anything.
func (r *installation) remakings(names []string) ([]remaking, error) {
	rec, err := r.recall()
	if err != nil {
		return nil, err
	}
	if err := r.findKeys(r.pipeline()); err != nil {
		return nil, err
	}
	var all []remaking
	for _, s := range r.remakable() {
		if !slices.Contains(names, s.name) {
			continue
		}
		if err := r.refuseAgain(rec, s.name); err != nil {
			return nil, err
		}
		of, _ := rec.Stage(s.name)
		again, err := s.again(r, of)
		if err != nil {
			return nil, err
		}
		all = append(all, remaking{s.name, again})
	}
	return all, nil
}

// recall takes for done what the receipt says is, and the options that can be read from that.
func (r *installation) recall() (*receipt.Receipt, error) {
	rec, err := receipt.Load(r.layout.Receipt())
	if err != nil {
		return nil, err
	}
	if rec.LockDigest != r.lock.Digest() {
		return nil, fault.New(fault.Unfit, fmt.Errorf("prefix %q: it is not what it was a moment ago", r.layout.Store), "run the same command again")
	}
	if r.history, err = journal.Load(r.layout.Journal()); err != nil {
		return nil, err
	}
	if err := r.choose(); err != nil {
		return nil, err
	}
	r.done = map[string]outputs{}
	for _, s := range rec.Stages {
		r.done[s.Name] = maps.Clone(s.Outputs)
	}
	r.Host, r.HostSHA256 = r.namedHost(r.done[Host])
	r.BuildHello = r.done[Prove]["hello"] != ""
	for _, name := range []string{Toolchain, Native} {
		if r.done[name]["cache"] == "" {
			r.builds[name] = true
		} else {
			r.offers[name] = &offer{} // of which nothing else is known any more
		}
	}
	return rec, nil
}

// refuseAgain says why a stage cannot be made once more, as far as that is not its own.
func (r *installation) refuseAgain(rec *receipt.Receipt, name string) error {
	refused := func(hint, what string) error {
		return fault.New(fault.Unfit, fmt.Errorf("--rebuild %s: prefix %q %s", name, r.layout.Store, what), hint)
	}
	compiled := slices.Contains([]string{Bootstrap, Native, Prove}, name)
	if _, there := rec.Stage(Toolchain); !there && (compiled || name == Toolchain) {
		return refused("`bootstrap --prefix` brings the one of the package set", "has no compiler")
	}
	if _, ran := rec.Stage(name); !ran {
		return refused("`bootstrap status` lists the stages that it was made by", "was made without that stage")
	}
	if compiled && r.done[Configure]["sandbox"] == "false" {
		// Without one, Nix builds what is there already at a path of another name, and puts the right
		// name where it finds that one. A compiler leaves parts of it where it does not look.
		return refused("install the same at the same place on another host, and compare what `bootstrap verify --json` prints in both (docs/REBUILD.md)",
			"builds without a sandbox, and Nix cannot compare compiled programs then")
	}
	return nil
}

// tooOld says that there is nothing to compare with.
func (r *installation) tooOld(stage, what string) error {
	return fault.New(fault.Unfit, fmt.Errorf("--rebuild %s: the records of prefix %q are without %s: an older bootstrap has written them", stage, r.layout.Store, what),
		"the next `bootstrap upgrade` that makes a generation records it")
}

// otherInputs says that what is recorded of a scaffold was made from other files than the generation is: it
// was made for an earlier one, and this one did without.
func (r *installation) otherInputs(stage string) error {
	return fault.New(fault.Unfit, fmt.Errorf("--rebuild %s: what prefix %q has recorded of that stage was made for another generation", stage, r.layout.Store),
		"`bootstrap rollback` goes back to that one; a login in the address of a host nix is not kept, and makes it another one as well")
}

// builtAgain has Nix build once more, beside what is there, what derivations have made in a stage. The shell,
// and the files of nixpkgs, are added to the store: there is nothing to build.
func (r *installation) builtAgain(s receipt.Stage) (remake, error) {
	return func(ctx context.Context, tell func(name, path string, identical bool)) error {
		n := r.installed(s.Name)
		for _, name := range slices.Sorted(maps.Keys(s.Outputs)) {
			path := s.Outputs[name]
			if !strings.HasPrefix(path, r.layout.Store+"/") || !Derived(name) {
				continue
			}
			r.emit(event.Note, s.Name, "building "+path+" once more")
			same, err := n.Rebuild(ctx, r.layout.Packages, name, path)
			if err != nil {
				return err
			}
			tell(name, path, same)
		}
		return nil
	}, nil
}
