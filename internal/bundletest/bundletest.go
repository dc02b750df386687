// Package bundletest makes bundles of a few files for tests, without a Nix. Their names are those that
// Nix would give.
package bundletest

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"bootstrap/internal/closure"
	"bootstrap/internal/drv"
	"bootstrap/internal/nixbundle"
	"bootstrap/internal/storetest"
)

// Version is the version of Nix that bundles say they have.
const Version = "2.26.3"

// World is a store of a few paths, with a Nix among them.
type World struct {
	t     testing.TB
	dir   string // where its files are
	store drv.Dir
	sums  map[string]drv.Sum // of derivations
	paths []closure.Path
	Head  nixbundle.Head
}

// New makes the store of a prefix below dir. The program is that of its Nix; beside it are the
// directories that it has compiled in, so to speak, in etc/state, and in etc/paths the names that
// evaluation gives attributes. Whatever else is in the Nix is up to more, by the names of files.
func New(t testing.TB, dir, root, program string, more storetest.Tree) *World {
	t.Helper()
	w := &World{t: t, dir: dir, store: drv.Dir(root + "/store"), sums: map[string]drv.Sum{}}
	busybox := w.source("busybox", storetest.Tree{"bin/busybox": "+x #!/bin/sh\nexec /bin/sh \"$@\"\n", "bin/sh": "-> busybox"})
	patch := w.source("0001-some.patch", storetest.Tree{"": "a patch\n"})
	runtimeDrv, libraries := w.derive("runtime", nil, []string{busybox}, nil)
	cacertDrv, cacert := w.derive("cacert", nil, []string{busybox}, nil)
	nixDrv, nix := w.derive("nix", []string{runtimeDrv, cacertDrv}, []string{busybox, patch}, []drv.Variable{
		{Name: "conf", Value: root + "/etc/nix"},
		{Name: "log", Value: root + "/var/log/nix"},
		{Name: "patches", Value: patch},
		{Name: "runtime", Value: libraries},
		{Name: "state", Value: root + "/var/nix"},
		{Name: "store", Value: string(w.store)},
	})
	w.add(libraries, runtimeDrv, storetest.Tree{"lib/libx.so": "library of " + libraries + "\n"}, libraries)
	w.add(cacert, cacertDrv, storetest.Tree{"etc/ssl/certs/ca-bundle.crt": ""})
	tree := storetest.Tree{
		"bin/nix": "+x " + program, "bin/nix-store": "-> nix", "bin/nix-env": "-> nix",
		"etc/state":   root + "/var/nix",
		"etc/paths":   "nix " + nix + "\nruntime " + libraries + "\ncacert " + cacert + "\nbusybox " + busybox + "\n",
		"lib/runtime": "-> " + libraries + "/lib",
	}
	for name, text := range more {
		tree[name] = text
	}
	w.add(nix, nixDrv, tree, nix, libraries, cacert, busybox)
	w.Head = nixbundle.Head{
		Architecture: runtime.GOARCH, NixVersion: Version,
		Store: string(w.store), State: root + "/var/nix", Log: root + "/var/log/nix", Conf: root + "/etc/nix",
		Nix: nix, Derivation: nixDrv, Tools: map[string]string{"busybox": busybox, "runtime": libraries, "cacert": cacert},
		Lock: strings.Repeat("1", 64), Packages: strings.Repeat("2", 64),
	}
	return w
}

// Closure returns all of the store.
func (w *World) Closure() *closure.Closure { return storetest.Closure(w.dir, string(w.store), w.paths) }

// Write writes it as a bundle, and returns the head.
func (w *World) Write(file string, keys ...*nixbundle.SecretKey) *nixbundle.Head {
	w.t.Helper()
	root, err := os.OpenRoot(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	defer root.Close()
	out, err := os.Create(file)
	if err != nil {
		w.t.Fatal(err)
	}
	defer out.Close()
	h, err := nixbundle.Write(context.Background(), out, nixbundle.Options{
		Head: w.Head, Closure: w.Closure(), Root: root, Keys: keys, Scratch: filepath.Dir(file),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// Key returns a secret key that follows from a name.
func Key(t testing.TB, name string) *nixbundle.SecretKey {
	t.Helper()
	k, err := nixbundle.ParseSecretKey(KeyText(name))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// KeyText is the same as a text.
func KeyText(name string) string {
	seed := (name + strings.Repeat(".", ed25519.SeedSize))[:ed25519.SeedSize]
	return name + ":" + base64.StdEncoding.EncodeToString(ed25519.NewKeyFromSeed([]byte(seed)))
}

// source adds a path that is known by its content.
func (w *World) source(name string, tree storetest.Tree) string {
	w.t.Helper()
	draft := w.dir + "-draft-" + name
	defer os.RemoveAll(draft)
	sum := storetest.Path(w.t, draft, string(w.store), "x", tree).NarHash
	p := w.store.Source(name, drv.Sum(sum), nil, false)
	w.add(p, "", tree)
	return p
}

// derive adds a derivation with one output, and returns both paths.
func (w *World) derive(name string, inputs, sources []string, env []drv.Variable) (drvPath, out string) {
	w.t.Helper()
	d := &drv.Derivation{
		Name: name, System: "x86_64-linux", Builder: sources[0] + "/bin/sh", Args: []string{"-c", "make it"},
		Outputs: []drv.Output{{Name: "out", Path: "to be computed"}}, Sources: slices.Sorted(slices.Values(sources)),
		Env: append([]drv.Variable{{Name: "out"}}, env...),
	}
	for _, in := range slices.Sorted(slices.Values(inputs)) {
		d.Inputs = append(d.Inputs, drv.Input{Path: in, Outputs: []string{"out"}})
	}
	slices.SortFunc(d.Env, func(a, b drv.Variable) int { return strings.Compare(a.Name, b.Name) })
	of := func(p string) (drv.Sum, bool) { s, ok := w.sums[p]; return s, ok }
	masked, err := d.Modulo(true, of)
	if err != nil {
		w.t.Fatal(err)
	}
	out = w.store.Output(name, "out", masked)
	d.Outputs[0].Path = out
	for i := range d.Env {
		if d.Env[i].Name == "out" {
			d.Env[i].Value = out
		}
	}
	drvPath = d.Path(w.store)
	if w.sums[drvPath], err = d.Modulo(false, of); err != nil {
		w.t.Fatal(err)
	}
	w.add(drvPath, "", storetest.Tree{"": string(d.Text())}, slices.Concat(inputs, sources)...)
	return drvPath, out
}

// add makes a path of the store.
func (w *World) add(p, deriver string, tree storetest.Tree, references ...string) {
	w.t.Helper()
	bases := make([]string, len(references))
	for i, r := range references {
		bases[i] = path.Base(r)
	}
	made := storetest.Path(w.t, w.dir, string(w.store), path.Base(p), tree, bases...)
	made.Deriver = deriver
	w.paths = append(w.paths, made)
}
