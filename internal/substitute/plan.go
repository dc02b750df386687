package substitute

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"bootstrap/internal/drv"

	"golang.org/x/sync/errgroup"
)

// Want is outputs of a derivation: a .drv file as a store path, and names of its outputs.
type Want struct {
	Derivation string
	Outputs    []string // none for the ones that are called out, or else all
}

// Plan is what a build comes to.
type Plan struct {
	Relocated []Item   // what the other cache has, in the order in which it was found
	Sources   []string // paths fixed by their hash, which Nix itself fetches
	Build     []string // derivations that are built here
}

// Item is a path that can be taken from the other cache.
type Item struct {
	Path string
	Size int64 // of its archive
}

// Bytes returns how large all that is relocated is.
func (p *Plan) Bytes() (sum int64) {
	for _, i := range p.Relocated {
		sum += i.Size
	}
	return sum
}

// PlanOptions say what a plan is for.
type PlanOptions struct {
	Wants []Want
	// Invalid returns those of the store paths that are not valid in the store.
	Invalid func(ctx context.Context, paths []string) ([]string, error)
	Without map[string]bool // paths that cannot be relocated, as it turned out
}

// lookups is how many questions are put to the other cache at a time.
const lookups = 16

// Plan finds out what Nix has to do for some outputs, as Nix does: from the outputs down, and through the references of
// what can be had, or through the inputs of what has to be built. Nothing is fetched but narinfos.
func (s *Substituter) Plan(ctx context.Context, o PlanOptions) (*Plan, error) {
	p := &planner{s: s, o: o, plan: &Plan{}, built: map[string]bool{}, seen: map[string]bool{}}
	x := s.origins
	x.mu.Lock()
	err := x.list()
	x.mu.Unlock()
	if err != nil {
		return nil, err
	}
	level := make([]goal, 0, len(o.Wants))
	for _, w := range o.Wants {
		level = append(level, p.goals(filepath.Base(w.Derivation), w.Outputs)...)
	}
	for len(level) > 0 {
		if level, err = p.level(ctx, level); err != nil {
			return nil, err
		}
	}
	// An output that was to be had before another one of the same derivation was found missing is built with it.
	p.plan.Relocated = slices.DeleteFunc(p.plan.Relocated, func(i Item) bool {
		maker, _, err := p.maker(i.Path)
		return err == nil && p.built[maker]
	})
	slices.Sort(p.plan.Sources)
	slices.Sort(p.plan.Build)
	return p.plan, nil
}

// planner makes one plan.
type planner struct {
	s     *Substituter
	o     PlanOptions
	plan  *Plan
	seen  map[string]bool // paths that were looked at
	built map[string]bool // .drv files
}

// goal is a path that is needed.
type goal struct {
	drv, path string
	fixed     bool
	info      *found
}

// found is what the other cache has of a path.
type found struct {
	size int64
	refs []string // last elements here
}

// goals returns outputs of a derivation that were not looked at before. A derivation whose outputs have no names yet is
// for Nix to see to.
func (p *planner) goals(base string, outputs []string) (list []goal) {
	x := p.s.origins
	x.mu.Lock()
	r := x.recipes[base]
	x.mu.Unlock()
	if r == nil {
		return nil
	}
	if len(outputs) == 0 && slices.ContainsFunc(r.outputs, func(o drv.Output) bool { return o.Name == "out" }) {
		outputs = []string{"out"}
	}
	for _, o := range r.outputs {
		if (len(outputs) == 0 || slices.Contains(outputs, o.Name)) && !p.seen[o.Path] {
			p.seen[o.Path] = true
			list = append(list, goal{drv: base, path: o.Path, fixed: r.fixed})
		}
	}
	return list
}

func (p *planner) maker(path string) (maker, base string, err error) {
	x := p.s.origins
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.maker(filepath.Base(path)[:drv.HashLen])
}

// level decides on some paths, and returns those that come to be needed by that.
func (p *planner) level(ctx context.Context, goals []goal) (next []goal, err error) {
	paths := make([]string, len(goals))
	for i, g := range goals {
		paths[i] = g.path
	}
	invalid, err := p.o.Invalid(ctx, paths)
	if err != nil {
		return nil, err
	}
	missing := map[string]bool{}
	for _, path := range invalid {
		missing[path] = true
	}
	goals = slices.DeleteFunc(goals, func(g goal) bool { return !missing[g.path] })
	if err := p.look(ctx, goals); err != nil {
		return nil, err
	}
	for _, g := range goals {
		if !g.fixed && g.info == nil && !p.built[g.drv] {
			p.built[g.drv] = true
			p.plan.Build = append(p.plan.Build, string(p.s.Store)+"/"+g.drv)
			next = append(next, p.inputs(g.drv)...)
		}
	}
	for _, g := range goals {
		switch {
		case g.fixed:
			p.plan.Sources = append(p.plan.Sources, g.path)
		case g.info != nil && !p.built[g.drv]:
			p.plan.Relocated = append(p.plan.Relocated, Item{g.path, g.info.size})
			for _, ref := range g.info.refs {
				if maker, _, err := p.maker(ref); err == nil { // otherwise it is a source, which is there
					next = append(next, p.goals(maker, p.outputs(maker, ref))...)
				}
			}
		}
	}
	return next, nil
}

// inputs returns what a derivation is made from.
func (p *planner) inputs(base string) (list []goal) {
	x := p.s.origins
	x.mu.Lock()
	inputs := x.recipes[base].inputs
	x.mu.Unlock()
	for _, in := range inputs {
		list = append(list, p.goals(filepath.Base(in.Path), in.Outputs)...)
	}
	return list
}

// outputs returns the name of the output that has a path.
func (p *planner) outputs(maker, base string) []string {
	x := p.s.origins
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, o := range x.recipes[maker].outputs {
		if strings.HasSuffix(o.Path, "/"+base) {
			return []string{o.Name}
		}
	}
	return nil
}

// look asks the other cache for paths.
func (p *planner) look(ctx context.Context, goals []goal) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lookups)
	var mu sync.Mutex
	for i, g := range goals {
		if g.fixed || p.o.Without[g.path] {
			continue
		}
		group.Go(func() error {
			info, err := p.s.find(ctx, g.path)
			if err != nil {
				return err
			}
			mu.Lock()
			goals[i].info = info
			mu.Unlock()
			return nil
		})
	}
	return group.Wait()
}

// find returns what the other cache has of a path; nil if nothing that is taken.
func (s *Substituter) find(ctx context.Context, path string) (*found, error) {
	o, err := s.origins.of(filepath.Base(path)[:drv.HashLen])
	if errors.Is(err, ErrUnknown) || errors.Is(err, ErrFixed) || final(err) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	info, _, err := s.Upstream.info(ctx, o.from)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !errors.Is(err, fs.ErrNotExist) {
			s.tell(Told{Path: path, Err: err})
		}
		return nil, nil
	}
	refs, err := o.references(info)
	if err != nil {
		s.tell(Told{Path: path, Err: err})
		return nil, nil
	}
	return &found{info.NARSize, refs}, nil
}
