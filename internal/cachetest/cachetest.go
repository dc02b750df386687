// Package cachetest makes, for tests and without a Nix, a store that has derivations, and a binary cache of another store
// directory that has what they make.
package cachetest

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bootstrap/internal/drv"
	"bootstrap/internal/storetest"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"zombiezen.com/go/nix"
	"zombiezen.com/go/nix/nar"
)

// Pair is the store and the cache.
type Pair struct {
	Store, From drv.Dir // the store directories
	Files       string  // where the store's files are
	Cache       string  // directory of the cache
	Secret      *nix.PrivateKey

	t    testing.TB
	sums map[string]drv.Sum // unmasked digests of derivations, by path
}

// New makes a store without anything in it, in files, and a cache that is empty.
func New(t testing.TB, store, from drv.Dir, files, cache string) *Pair {
	t.Helper()
	p := &Pair{Store: store, From: from, Files: files, Cache: cache, t: t, sums: map[string]drv.Sum{}}
	for _, dir := range []string{files, filepath.Join(cache, "nar")} {
		p.check(os.MkdirAll(dir, 0o755))
	}
	var err error
	_, p.Secret, err = nix.GenerateKey("upstream-1", rand.Reader)
	p.check(err)
	p.check(os.WriteFile(filepath.Join(cache, "nix-cache-info"), []byte("StoreDir: "+string(from)+"\n"), 0o644))
	return p
}

func (p *Pair) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// Key returns the key that signs in the cache.
func (p *Pair) Key() string { return p.Secret.PublicKey().String() }

// Made is a derivation, and its output.
type Made struct {
	Derivation string // store path here
	Out        string // store path here
	There      string // the output's at the other store directory
}

// Hash returns the hash part of the output here.
func (m *Made) Hash() string { return filepath.Base(m.Out)[:drv.HashLen] }

// HashThere returns the same of the other store directory.
func (m *Made) HashThere() string { return filepath.Base(m.There)[:drv.HashLen] }

// Recipe is what a derivation is made of.
type Recipe struct {
	Name  string
	Needs []*Made
	Fixed string // hexadecimal SHA-256 of a flat file, for a fixed output
	Env   []drv.Variable
	// Alone leaves out what it is at the other store directory, for one that cannot be transported.
	Alone bool
}

// Derive writes a derivation to the store, with the paths that Nix would give it.
func (p *Pair) Derive(r Recipe) *Made {
	p.t.Helper()
	d := &drv.Derivation{Name: r.Name, System: "x86_64-linux", Builder: "/bin/sh", Outputs: []drv.Output{{Name: "out", Path: "unknown"}}}
	d.Env = append([]drv.Variable{{Name: "out"}}, r.Env...)
	for _, need := range r.Needs {
		d.Inputs = append(d.Inputs, drv.Input{Path: need.Derivation, Outputs: []string{"out"}})
		d.Env = append(d.Env, drv.Variable{Name: "need" + string(rune('a'+len(d.Inputs))), Value: need.Out})
	}
	slices.SortFunc(d.Inputs, func(a, b drv.Input) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(d.Env, func(a, b drv.Variable) int { return strings.Compare(a.Name, b.Name) })
	of := func(path string) (drv.Sum, bool) { sum, ok := p.sums[path]; return sum, ok }
	if r.Fixed != "" {
		d.Outputs[0] = drv.Output{Name: "out", Algo: "sha256", Hash: r.Fixed, Path: p.Store.Fixed(r.Name, drv.Fixed{Algo: "sha256", Hash: r.Fixed})}
	} else {
		masked, err := d.Modulo(true, of)
		p.check(err)
		d.Outputs[0].Path = p.Store.Output(r.Name, "out", masked)
	}
	for i, v := range d.Env {
		if v.Name == "out" {
			d.Env[i].Value = d.Outputs[0].Path
		}
	}
	sum, err := d.Modulo(false, of)
	p.check(err)
	m := &Made{Derivation: d.Path(p.Store), Out: d.Outputs[0].Path}
	p.sums[m.Derivation] = sum
	p.check(os.WriteFile(filepath.Join(p.Files, filepath.Base(m.Derivation)), d.Text(), 0o444))
	if r.Alone {
		return m
	}
	files, err := drv.OpenFiles(p.Files)
	p.check(err)
	result, err := drv.Transport(drv.Options{From: p.Store, To: p.From, Store: files}, m.Derivation)
	p.check(err)
	m.There = string(p.From) + "/" + result.Bases[filepath.Base(m.Out)]
	return m
}

// Object is what the cache has of an output.
type Object struct {
	Made        *Made
	Tree        storetest.Tree // its contents; "@" stands for its own path there
	References  []string       // store paths there
	Compression nix.CompressionType
	// Change is called before the narinfo is signed, Forge after it, Spoil with the packed archive; each may be nil.
	Change, Forge func(*nix.NARInfo)
	Spoil         func(packed []byte) []byte
}

// Publish puts an output into the cache.
func (p *Pair) Publish(o Object) *nix.NARInfo {
	p.t.Helper()
	tree := storetest.Tree{}
	for name, text := range o.Tree {
		tree[name] = strings.ReplaceAll(text, "@", o.Made.There)
	}
	dir, base := p.t.TempDir(), filepath.Base(o.Made.There)
	path := storetest.Path(p.t, dir, string(p.From), base, tree)
	var plain bytes.Buffer
	p.check(nar.DumpPath(&plain, filepath.Join(dir, base)))
	packed := p.pack(o.Compression, plain.Bytes())
	if o.Spoil != nil {
		packed = o.Spoil(packed)
	}
	info := &nix.NARInfo{
		StorePath: nix.StorePath(o.Made.There), URL: "nar/" + o.Made.HashThere() + ".nar." + string(o.Compression), Compression: o.Compression,
		NARHash: nix.NewHash(nix.SHA256, path.NarHash[:]), NARSize: path.NarSize,
	}
	if o.Compression != nix.NoCompression {
		info.FileSize = int64(len(packed))
	}
	for _, r := range o.References {
		info.References = append(info.References, nix.StorePath(r))
	}
	if o.Change != nil {
		o.Change(info)
	}
	sig, err := nix.SignNARInfo(p.Secret, info)
	p.check(err)
	info.AddSignatures(sig)
	if o.Forge != nil {
		o.Forge(info)
	}
	text, err := info.MarshalText()
	p.check(err)
	p.check(os.WriteFile(filepath.Join(p.Cache, o.Made.HashThere()+nix.NARInfoExtension), text, 0o644))
	p.check(os.WriteFile(filepath.Join(p.Cache, "nar", o.Made.HashThere()+".nar."+string(o.Compression)), packed, 0o644))
	return info
}

func (p *Pair) pack(how nix.CompressionType, plain []byte) []byte {
	p.t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch how {
	case nix.XZ:
		w, err = xz.NewWriter(&b)
	case nix.Zstandard:
		w, err = zstd.NewWriter(&b)
	case nix.Gzip:
		w = gzip.NewWriter(&b)
	default:
		return plain
	}
	p.check(err)
	_, err = w.Write(plain)
	p.check(err)
	p.check(w.Close())
	return b.Bytes()
}
