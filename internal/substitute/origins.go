package substitute

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"bootstrap/internal/drv"
)

// origins knows which derivation makes a path here, and what that path is at the other store directory.
type origins struct {
	store, from drv.Dir
	files       string // where the store directory's files lie
	beside      []drv.Move
	shorter     bool
	now         func() time.Time

	mu      sync.Mutex
	listed  time.Time // when the store was listed
	changed time.Time // when it had changed before that
	recipes map[string]*recipe
	makers  map[string]string // .drv files, by the hash parts of what they make
	moved   map[string]*moved // of .drv files
	refused map[string]error  // of .drv files that cannot be moved
	tainted map[string]error  // the same with all that depend on them, as far as it was asked for
}

// recipe is what is kept of a derivation.
type recipe struct {
	outputs []drv.Output
	inputs  []drv.Input
	fixed   bool
	beside  bool // names a directory beside the store
}

// origin is a path here, and what it is at the other store directory.
type origin struct {
	drv        string // the last element of its .drv file here
	base, from string // of the path here, and there
	moved      *moved
}

func (o *origin) hash() string { return o.base[:drv.HashLen] }

// of returns the origin of a path by its hash part.
func (x *origins) of(hash string) (*origin, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	maker, base, err := x.maker(hash)
	if err != nil {
		return nil, err
	}
	if x.recipes[maker].fixed {
		return nil, ErrFixed
	}
	m, err := x.move(maker)
	if err != nil {
		return nil, err
	}
	return &origin{drv: maker, base: base, from: m.there[base], moved: m}, nil
}

// maker finds the derivation of a path, and the path's last element.
func (x *origins) maker(hash string) (maker, base string, err error) {
	maker, ok := x.makers[hash]
	if !ok {
		if err := x.list(); err != nil {
			return "", "", err
		}
		if maker, ok = x.makers[hash]; !ok {
			return "", "", ErrUnknown
		}
	}
	for _, o := range x.recipes[maker].outputs {
		if base = filepath.Base(o.Path); strings.HasPrefix(base, hash) {
			break
		}
	}
	return maker, base, nil
}

// settled is how old a change of a directory is whose time is that of no later one, whatever the file system's clock.
const settled = 2 * time.Second

// list reads the derivations that have come to the store since the last time.
func (x *origins) list() error {
	dir, err := os.Open(x.files)
	if err != nil {
		return err
	}
	defer dir.Close()
	info, err := dir.Stat()
	if err != nil {
		return err
	}
	if info.ModTime().Equal(x.changed) && x.listed.Sub(x.changed) > settled {
		return nil
	}
	x.changed, x.listed = info.ModTime(), x.now()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if x.recipes[name] == nil && strings.HasSuffix(name, ".drv") && drv.CheckBase(name) == nil {
			if err := x.read(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// read takes in one derivation. One that cannot be parsed is perhaps being written just now, and is read the next time.
func (x *origins) read(base string) error {
	text, err := os.ReadFile(filepath.Join(x.files, base))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return nil
	} else if err != nil {
		return err
	}
	d, err := drv.Parse(strings.TrimSuffix(base[drv.HashLen+1:], ".drv"), text)
	if err != nil {
		return nil
	}
	kind, err := d.Kind()
	if err != nil {
		return nil // its outputs have no names yet
	}
	r := &recipe{outputs: d.Outputs, inputs: d.Inputs, fixed: kind == drv.FixedOutput}
	for _, m := range x.beside {
		r.beside = r.beside || strings.Contains(string(text), string(m.From))
	}
	x.recipes[base] = r
	for _, o := range d.Outputs {
		if b, ok := strings.CutPrefix(o.Path, string(x.store)+"/"); ok && drv.CheckBase(b) == nil {
			x.makers[b[:drv.HashLen]] = base
		}
	}
	return nil
}

// move transports a derivation with its closure to the other store directory, once.
func (x *origins) move(base string) (*moved, error) {
	if m := x.moved[base]; m != nil {
		return m, nil
	}
	if err := x.taint(base); err != nil {
		return nil, err
	}
	files, err := drv.OpenFiles(x.files)
	if err != nil {
		return nil, err
	}
	result, err := drv.Transport(drv.Options{From: x.store, To: x.from, Store: files, Dirs: x.beside}, string(x.store)+"/"+base)
	var refused *drv.RefusedError
	if errors.As(err, &refused) {
		x.refused[base] = err
		if culprit := filepath.Base(refused.What); x.recipes[culprit] != nil {
			x.refused[culprit] = err
		}
		clear(x.tainted)
	}
	if err != nil {
		return nil, err
	}
	m := newMoved(x, result)
	for _, base := range result.Derivations {
		if x.moved[base] == nil {
			x.moved[base] = m
		}
	}
	return m, nil
}

// taint returns why a derivation cannot be moved, if it or anything that it is made from was refused before.
func (x *origins) taint(base string) error {
	if len(x.refused) == 0 {
		return nil
	}
	if err, ok := x.tainted[base]; ok {
		return err
	}
	x.tainted[base] = nil
	err := x.refused[base]
	if r := x.recipes[base]; r != nil && err == nil {
		for _, in := range r.inputs {
			if err = x.taint(filepath.Base(in.Path)); err != nil {
				break
			}
		}
	}
	x.tainted[base] = err
	return err
}
