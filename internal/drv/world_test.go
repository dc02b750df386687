package drv_test

import (
	"crypto/sha256"
	"slices"
	"strings"
	"testing"

	"bootstrap/internal/drv"
)

// world is a store in memory, made by the package's own rules: for cases that Nix itself would not write.
type world struct {
	t     testing.TB
	dir   drv.Dir
	files drv.Memory
	sums  map[string]drv.Sum // unmasked digests of derivations, by path
}

func newWorld(t testing.TB, dir drv.Dir) *world {
	return &world{t, dir, drv.Memory{}, map[string]drv.Sum{}}
}

// add completes a derivation with its outputs' paths, keeps it, and returns its path.
func (w *world) add(d *drv.Derivation) string {
	w.t.Helper()
	if len(d.Outputs) == 0 {
		d.Outputs = []drv.Output{{Name: "out"}}
	}
	for i, o := range d.Outputs {
		if o.Path == "" {
			d.Outputs[i].Path = "unknown"
		}
	}
	of := func(p string) (drv.Sum, bool) { sum, ok := w.sums[p]; return sum, ok }
	if k, err := d.Kind(); err == nil && k == drv.FixedOutput {
		method, algo := "", d.Outputs[0].Algo
		if rest, ok := strings.CutPrefix(algo, "r:"); ok {
			method, algo = "r:", rest
		}
		d.Outputs[0].Path = w.dir.Fixed(d.Name, drv.Fixed{Method: method, Algo: algo, Hash: d.Outputs[0].Hash})
	} else {
		masked, err := d.Modulo(true, of)
		if err != nil {
			w.t.Fatal(err)
		}
		for i, o := range d.Outputs {
			d.Outputs[i].Path = w.dir.Output(d.Name, o.Name, masked)
		}
	}
	for i, v := range d.Env {
		for _, o := range d.Outputs {
			if o.Name == v.Name {
				d.Env[i].Value = o.Path
			}
		}
	}
	sum, err := d.Modulo(false, of)
	if err != nil {
		w.t.Fatal(err)
	}
	p := w.keep(d)
	w.sums[p] = sum
	return p
}

// keep keeps a derivation as it is.
func (w *world) keep(d *drv.Derivation) string {
	p := d.Path(w.dir)
	w.files[w.base(p)] = d.Text()
	return p
}

// text keeps a text object.
func (w *world) text(name, content string, refs ...string) string {
	slices.Sort(refs)
	p := w.dir.Text(name, sha256.Sum256([]byte(content)), refs)
	w.files[w.base(p)] = []byte(content)
	return p
}

func (w *world) base(p string) string { return strings.TrimPrefix(p, string(w.dir)+"/") }

// out is the path of an output.
func (w *world) out(p, output string) string {
	name := w.base(p)[drv.HashLen+1:]
	d, err := drv.Parse(strings.TrimSuffix(name, ".drv"), w.files[w.base(p)])
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range d.Outputs {
		if o.Name == output {
			return o.Path
		}
	}
	w.t.Fatalf("%s has no output %s", p, output)
	return ""
}

func simple(name string, env ...drv.Variable) *drv.Derivation {
	return &drv.Derivation{Name: name, System: "s", Builder: "/bin/sh", Env: env}
}
