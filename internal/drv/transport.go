package drv

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Options says from where to where.
type Options struct {
	From  Dir // must be distinctive, unless To is the same
	To    Dir
	Store Reader // what there is at From
	// Dirs are other directories that follow from the store directory in expressions, as those of Nix itself do:
	// state, logs, configuration. They have to be distinctive as well.
	Dirs []Move
}

// Move is a directory, and what it becomes.
type Move struct{ From, To Dir }

// Result is a closure at another store directory.
type Result struct {
	// Bases has what an object's path ends in at To, by what it ends in at From:
	// .drv files, their outputs, and sources.
	Bases map[string]string
	// Texts are the .drv files and the text sources at To.
	Texts Memory
	// Derivations are the bases of the .drv files at From, each behind what it depends on.
	Derivations []string
	// Bare counts the places where the store directory stood alone, without a store path.
	Bare int
}

// Transport computes the closure of .drv files at another store directory. Every path at From is computed as well, and
// must come out as it is there: so what Nix did differently is found before it can do harm. The result is verified in the
// same way, by its own texts alone.
// Errors about what cannot be transported are [RefusedError].
func Transport(o Options, roots ...string) (*Result, error) {
	moves := append([]Move{{o.From, o.To}}, o.Dirs...)
	for _, d := range moves {
		if err := d.check(); err != nil {
			return nil, err
		}
	}
	m := &mover{
		from: o.From, to: o.To, store: o.Store, moves: moves, replacer: newReplacer(moves),
		nodes: map[string]*node{}, makers: map[string][]string{}, hashes: map[string]string{},
		known: map[string]string{}, bases: map[string]string{}, texts: Memory{}, sources: map[string]bool{},
		sumsFrom: map[string]Sum{}, sumsTo: map[string]Sum{},
	}
	if err := m.load(roots); err != nil {
		return nil, err
	}
	if err := m.fixedFirst(); err != nil {
		return nil, err
	}
	for i := 0; i < len(m.order); i++ { // a source may bring in more
		if err := m.visit(m.order[i]); err != nil {
			return nil, err
		}
	}
	r := &Result{Bases: m.bases, Texts: m.texts, Derivations: m.done, Bare: m.bareHits}
	if err := r.Verify(o.To); err != nil {
		return nil, err
	}
	return r, nil
}

// check refuses directories that cannot be replaced.
func (d Move) check() error {
	if err := errors.Join(d.From.check(), d.To.check()); err != nil {
		return err
	}
	if d.From == d.To {
		return nil
	}
	return Distinctive(d.From)
}

// Verify computes the result once more from its own texts alone: each path at to must follow from them.
func (r *Result) Verify(to Dir) error {
	sums := map[string]Sum{}
	for _, base := range r.Derivations {
		d, err := r.Derivation(base)
		if err != nil {
			return err
		}
		want, text := string(to)+"/"+r.Bases[base], r.Texts[r.Bases[base]]
		if got := to.Text(d.Name+".drv", sha256.Sum256(text), d.references()); got != want {
			return fmt.Errorf("verify %s: its text gives %s", want, got)
		}
		recorded := slices.Clone(d.Outputs)
		sums[want], err = d.address(to, func(p string) (Sum, bool) {
			sum, ok := sums[p]
			return sum, ok
		})
		if err != nil {
			return fmt.Errorf("verify %s: %w", want, err)
		}
		if !slices.Equal(recorded, d.Outputs) {
			return fmt.Errorf("verify %s: its outputs are not what its text gives", want)
		}
	}
	return nil
}

// Derivation returns the derivation at To that a .drv file became.
func (r *Result) Derivation(base string) (*Derivation, error) {
	moved, ok := r.Bases[base]
	if !ok {
		return nil, fmt.Errorf("derivation %q: not in this closure", base)
	}
	name, _ := drvName(moved)
	return Parse(name, r.Texts[moved])
}

// mover is one transport.
type mover struct {
	from, to Dir
	moves    []Move // the store directory first
	replacer *replacer
	store    Reader

	queue    []string // .drv files to be read
	order    []string // .drv files that were read; the first searched of them were searched
	searched int
	nodes    map[string]*node    // by base
	makers   map[string][]string // which .drv files make an output, by its hash part: several may share a fixed one
	hashes   map[string]string   // hash parts of .drv files and sources

	known    map[string]string // hash parts, from and to
	bases    map[string]string
	texts    Memory
	sources  map[string]bool // being moved, or done
	sumsFrom map[string]Sum  // of derivations, unmasked, by base
	sumsTo   map[string]Sum  // the same, by path at To
	done     []string
	bareHits int
}

// fixedFirst moves the fixed outputs, which depend on nothing.
func (m *mover) fixedFirst() error {
	for _, base := range m.order {
		n := m.nodes[base]
		if !n.fixed {
			continue
		}
		o := n.drv.Outputs[0]
		f, err := parseFixed(o.Algo, o.Hash)
		if err != nil {
			return refuse(string(m.from)+"/"+base, Malformed, "%v", err)
		}
		if p := m.from.Fixed(n.drv.Name, f); p != o.Path {
			return refuse(o.Path, NotComputed, "%s gives %s", base, p)
		}
		if !n.early {
			continue
		}
		if err := m.place(o.Path[len(m.from)+1:], m.to.Fixed(n.drv.Name, f)); err != nil {
			return err
		}
	}
	return nil
}

// place records where an object went.
func (m *mover) place(base, path string) error {
	moved := path[len(m.to)+1:]
	if before, ok := m.known[base[:HashLen]]; ok && before != moved[:HashLen] {
		return refuse(string(m.from)+"/"+base, NotComputed, "it becomes %s by one way and %s by another", before, moved)
	}
	m.known[base[:HashLen]] = moved[:HashLen]
	m.bases[base] = moved
	return nil
}

// States of a node.
const (
	untouched = iota
	begun
	finished
)

// visit moves an object after everything that it depends on.
func (m *mover) visit(base string) error {
	if !strings.HasSuffix(base, ".drv") {
		return m.visitSource(base)
	}
	n := m.nodes[base]
	switch n.state {
	case finished:
		return nil
	case begun:
		return refuse(string(m.from)+"/"+base, Cycle, "")
	}
	n.state = begun
	for _, dep := range n.deps {
		if err := m.visit(dep); err != nil {
			return err
		}
	}
	if err := m.move(n); err != nil {
		return err
	}
	n.state = finished
	m.done = append(m.done, base)
	return nil
}

func (m *mover) visitSource(base string) error {
	if makers := m.makers[base[:HashLen]]; len(makers) > 0 { // an output, named as a source
		return m.visit(makers[0])
	}
	if m.sources[base] {
		if _, ok := m.bases[base]; !ok {
			return refuse(string(m.from)+"/"+base, Cycle, "")
		}
		return nil
	}
	m.sources[base] = true
	return m.source(base)
}

// move computes a derivation at both directories.
func (m *mover) move(n *node) error {
	what := string(m.from) + "/" + n.base
	before := make([]string, len(n.drv.Outputs))
	for i, o := range n.drv.Outputs {
		before[i] = o.Path
	}
	sum, err := n.drv.address(m.from, func(p string) (Sum, bool) {
		sum, ok := m.sumsFrom[p[len(m.from)+1:]]
		return sum, ok
	})
	if err != nil {
		return refuse(what, Malformed, "%v", err)
	}
	for i, o := range n.drv.Outputs {
		if o.Path != before[i] {
			return refuse(before[i], NotComputed, "%s gives %s", n.base, o.Path)
		}
	}
	m.sumsFrom[n.base] = sum

	d, err := m.moved(n.drv)
	if err != nil {
		return err
	}
	sum, err = d.address(m.to, func(p string) (Sum, bool) {
		sum, ok := m.sumsTo[p]
		return sum, ok
	})
	if err != nil {
		return refuse(what, Malformed, "%v", err)
	}
	for i, o := range d.Outputs {
		if err := m.place(before[i][len(m.from)+1:], o.Path); err != nil {
			return err
		}
	}
	text := d.Text()
	p := m.to.Text(d.Name+".drv", sha256.Sum256(text), d.references())
	m.texts[p[len(m.to)+1:]] = text
	m.sumsTo[p] = sum
	return m.place(n.base, p)
}

// moved returns a derivation at the other directory, but for the paths of its outputs.
func (m *mover) moved(d *Derivation) (*Derivation, error) {
	re := func(s string) string { return rewrite(s, m.known, m.replacer) }
	c := &Derivation{
		Name: re(d.Name), System: d.System, Builder: re(d.Builder),
		Outputs: slices.Clone(d.Outputs),
		Inputs:  make([]Input, len(d.Inputs)),
		Sources: make([]string, len(d.Sources)),
		Args:    make([]string, len(d.Args)),
		Env:     make([]Variable, len(d.Env)),
	}
	to := func(p string) (string, error) {
		moved, ok := m.bases[p[len(m.from)+1:]]
		if !ok {
			return "", refuse(p, Absent, "")
		}
		return string(m.to) + "/" + moved, nil
	}
	var err error
	for i, in := range d.Inputs {
		c.Inputs[i].Outputs = in.Outputs
		if c.Inputs[i].Path, err = to(in.Path); err != nil {
			return nil, err
		}
	}
	for i, s := range d.Sources {
		if c.Sources[i], err = to(s); err != nil {
			return nil, err
		}
	}
	for i, a := range d.Args {
		c.Args[i] = re(a)
	}
	for i, v := range d.Env {
		c.Env[i] = Variable{re(v.Name), re(v.Value)}
	}
	slices.SortFunc(c.Inputs, func(a, b Input) int { return strings.Compare(a.Path, b.Path) })
	slices.Sort(c.Sources)
	slices.SortFunc(c.Env, func(a, b Variable) int { return strings.Compare(a.Name, b.Name) })
	return c, CheckName(c.Name)
}
