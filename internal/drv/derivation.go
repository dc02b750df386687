package drv

import (
	"errors"
	"fmt"
	"strings"
)

// Derivation is the content of a .drv file. Lists that Nix keeps sorted are sorted here.
type Derivation struct {
	Name    string // the .drv file's, without hash part and .drv
	Outputs []Output
	Inputs  []Input  // derivations, sorted by path
	Sources []string // store paths, sorted
	System  string
	Builder string
	Args    []string
	Env     []Variable
}

// Output is one output of a derivation.
type Output struct {
	Name string
	Path string // empty if it is not known before the build
	Algo string // method and hash type of a fixed or floating output, such as "r:sha256"
	Hash string // of a fixed output, in hexadecimal
}

// Input is a derivation whose outputs are needed.
type Input struct {
	Path    string // of its .drv file
	Outputs []string
}

// Variable is one variable of the builder's environment.
type Variable struct{ Name, Value string }

// Errors of [Derivation.Kind], for what has no path before it is built.
var (
	ErrDeferred = errors.New("its outputs depend on what is built before it")
	ErrFloating = errors.New("its outputs are known by their content only after the build")
	ErrImpure   = errors.New("it is impure")
)

// Kind is how the paths of a derivation's outputs are computed.
type Kind int

// The kinds of derivations whose paths are known before they are built.
const (
	InputAddressed Kind = iota
	FixedOutput
)

// Kind returns how the outputs' paths are computed, or why they are not known: [ErrDeferred], [ErrFloating],
// [ErrImpure], or another error where the outputs contradict each other.
func (d *Derivation) Kind() (Kind, error) {
	if len(d.Outputs) == 0 {
		return 0, errors.New("it has no outputs")
	}
	fixed := 0
	for _, o := range d.Outputs {
		switch {
		case o.Hash == "impure":
			return 0, ErrImpure
		case o.Algo != "" && o.Hash == "":
			return 0, ErrFloating
		case o.Path == "":
			return 0, ErrDeferred
		case o.Algo == "" && o.Hash != "":
			return 0, fmt.Errorf("output %q has a hash without a type", o.Name)
		case o.Algo != "":
			fixed++
		}
	}
	switch {
	case fixed == 0:
		return InputAddressed, nil
	case len(d.Outputs) != 1:
		return 0, errors.New("a fixed output is not its only one")
	case d.Outputs[0].Name != "out":
		return 0, fmt.Errorf("its fixed output is called %q, not out", d.Outputs[0].Name)
	}
	return FixedOutput, nil
}

// references returns what the .drv file refers to: a sorted set of sources and input derivations.
func (d *Derivation) references() []string {
	refs := make([]string, 0, len(d.Inputs)+len(d.Sources))
	i, s := 0, 0
	for i < len(d.Inputs) || s < len(d.Sources) {
		switch {
		case s == len(d.Sources) || i < len(d.Inputs) && d.Inputs[i].Path < d.Sources[s]:
			refs = append(refs, d.Inputs[i].Path)
			i++
		case i == len(d.Inputs) || d.Sources[s] < d.Inputs[i].Path:
			refs = append(refs, d.Sources[s])
			s++
		default: // in both
			refs = append(refs, d.Sources[s])
			i, s = i+1, s+1
		}
	}
	return refs
}

// place says which string of a derivation is meant.
type place struct {
	kind string
	n    int // of an argument
	name string
}

func (p place) String() string {
	switch {
	case p.n > 0:
		return fmt.Sprintf("%s %d", p.kind, p.n)
	case p.name != "":
		return p.kind + " " + p.name
	}
	return p.kind
}

// strings calls f with every string of the derivation that may name a store path:
// its name, builder, arguments, and environment.
func (d *Derivation) strings(f func(where place, text string) error) error {
	if err := f(place{kind: "its name"}, d.Name); err != nil {
		return err
	}
	if err := f(place{kind: "its builder"}, d.Builder); err != nil {
		return err
	}
	for i, a := range d.Args {
		if err := f(place{kind: "argument", n: i + 1}, a); err != nil {
			return err
		}
	}
	for _, v := range d.Env {
		if err := f(place{kind: "variable", name: v.Name}, v.Value); err != nil {
			return err
		}
	}
	return nil
}

// isOutput says whether a variable has the name of an output.
func (d *Derivation) isOutput(name string) bool {
	for _, o := range d.Outputs {
		if o.Name == name {
			return true
		}
	}
	return false
}

// namesItsOutputs says whether the variables that are called like outputs have their paths.
func (d *Derivation) namesItsOutputs() bool {
	for _, v := range d.Env {
		for _, o := range d.Outputs {
			if o.Name == v.Name && o.Path != v.Value {
				return false
			}
		}
	}
	return true
}

// drvName returns the name of the derivation that a .drv file's base name stands for.
func drvName(base string) (string, bool) {
	name, ok := strings.CutSuffix(base, ".drv")
	if !ok || len(name) < HashLen+2 {
		return "", false
	}
	return name[HashLen+1:], true
}
