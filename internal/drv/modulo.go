package drv

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Modulo returns what Nix calls hashDerivationModulo: a digest of the derivation in which fixed outputs count for
// what they are, not for how they are made. of gives that digest, unmasked, for each input derivation's path.
// With mask set, the outputs' own paths are left out: the digest that they are computed from.
func (d *Derivation) Modulo(mask bool, of func(path string) (Sum, bool)) (Sum, error) {
	k, err := d.Kind()
	if err != nil {
		return Sum{}, fmt.Errorf("hash derivation %q: %w", d.Name, err)
	}
	if k == FixedOutput {
		f, err := parseFixed(d.Outputs[0].Algo, d.Outputs[0].Hash)
		if err != nil {
			return Sum{}, fmt.Errorf("hash derivation %q: %w", d.Name, err)
		}
		return f.sum(d.Outputs[0].Path), nil
	}
	inputs, err := d.moduloInputs(of)
	if err != nil {
		return Sum{}, fmt.Errorf("hash derivation %q: %w", d.Name, err)
	}
	return sha256.Sum256(d.appendText(nil, inputs, mask)), nil
}

// moduloInputs returns the inputs with digests for paths, sorted, and merged where the digests are equal.
func (d *Derivation) moduloInputs(of func(path string) (Sum, bool)) ([]Input, error) {
	type hashed struct {
		sum Sum
		in  Input
	}
	list := make([]hashed, 0, len(d.Inputs))
	for _, in := range d.Inputs {
		sum, ok := of(in.Path)
		if !ok {
			return nil, fmt.Errorf("the digest of input %q is not known", in.Path)
		}
		list = append(list, hashed{sum, in})
	}
	slices.SortStableFunc(list, func(a, b hashed) int { return bytes.Compare(a.sum[:], b.sum[:]) })
	inputs := make([]Input, 0, len(list))
	for i, h := range list {
		if i > 0 && list[i-1].sum == h.sum {
			last := &inputs[len(inputs)-1]
			last.Outputs = slices.Concat(last.Outputs, h.in.Outputs)
			slices.SortFunc(last.Outputs, strings.Compare)
			last.Outputs = slices.Compact(last.Outputs)
			continue
		}
		inputs = append(inputs, Input{hex.EncodeToString(h.sum[:]), h.in.Outputs})
	}
	return inputs, nil
}

// Path returns the path of the .drv file in dir.
func (d *Derivation) Path(dir Dir) string {
	return dir.Text(d.Name+".drv", sha256.Sum256(d.Text()), d.references())
}

// address computes the outputs' paths in dir and puts them where they belong: in Outputs, and in the variables
// that are called like them. It returns the unmasked digest, for the derivations that need this one.
func (d *Derivation) address(dir Dir, of func(path string) (Sum, bool)) (Sum, error) {
	k, err := d.Kind()
	if err != nil {
		return Sum{}, err
	}
	if k == FixedOutput {
		f, err := parseFixed(d.Outputs[0].Algo, d.Outputs[0].Hash)
		if err != nil {
			return Sum{}, err
		}
		d.setOutput(0, dir.Fixed(d.Name, f))
		return f.sum(d.Outputs[0].Path), nil
	}
	inputs, err := d.moduloInputs(of)
	if err != nil {
		return Sum{}, err
	}
	b := d.appendText(make([]byte, 0, 8192), inputs, true)
	masked := sha256.Sum256(b)
	for i, o := range d.Outputs {
		d.setOutput(i, dir.Output(d.Name, o.Name, masked))
	}
	return sha256.Sum256(d.appendText(b[:0], inputs, false)), nil
}

func (d *Derivation) setOutput(i int, path string) {
	d.Outputs[i].Path = path
	for j := range d.Env {
		if d.Env[j].Name == d.Outputs[i].Name {
			d.Env[j].Value = path
		}
	}
}
