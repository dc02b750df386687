package drv_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bootstrap/internal/drv"
)

func TestDistinctive(t *testing.T) {
	for dir, ok := range map[drv.Dir]bool{
		"/opt/nix": true, "/opt/store": true, "/home/somebody/opt/store": true, "/srv/one/store": true,
		"/nix": false, "/s": false, "/nix/store": false, "/nix/store/x": false, "/storeroom1": false,
		"/a/b": false, "/usr/lib": false, "/usr/local": false, "/var/lib": false,
	} {
		err := drv.Distinctive(dir)
		var refused *drv.RefusedError
		if ok != (err == nil) || !ok && (!errors.As(err, &refused) || refused.Reason != drv.NotDistinctive || refused.Detail == "") {
			t.Errorf("%s: %v", dir, err)
		}
	}
	for _, dir := range []drv.Dir{"", "opt/store", "/opt/store/", "/", "/opt//store", "/opt/../store"} {
		if err := drv.Distinctive(dir); err == nil {
			t.Errorf("%q was taken", dir)
		}
	}
}

// TestRefusals: one case for each reason.
func TestRefusals(t *testing.T) {
	const dir = "/opt/some/store"
	hash := func(w *world, p string) string { return w.base(p)[:drv.HashLen] }
	for name, c := range map[string]struct {
		want drv.Reason
		root func(w *world) string
	}{
		"floating": {drv.Dynamic, func(w *world) string {
			d := simple("x")
			d.Outputs = []drv.Output{{Name: "out", Algo: "r:sha256"}}
			return w.keep(d)
		}},
		"impure": {drv.Dynamic, func(w *world) string {
			d := simple("x")
			d.Outputs = []drv.Output{{Name: "out", Algo: "r:sha256", Hash: "impure"}}
			return w.keep(d)
		}},
		"deferred": {drv.Dynamic, func(w *world) string {
			d := simple("x")
			d.Outputs = []drv.Output{{Name: "out"}}
			return w.keep(d)
		}},
		"dependency is floating": {drv.Dynamic, func(w *world) string {
			d := simple("x")
			d.Outputs = []drv.Output{{Name: "out", Algo: "r:sha256"}}
			up := simple("y")
			up.Inputs = []drv.Input{{Path: w.keep(d), Outputs: []string{"out"}}}
			up.Outputs = []drv.Output{{Name: "out"}}
			return w.keep(up)
		}},
		"another text than its path says": {drv.NotComputed, func(w *world) string {
			p := w.add(simple("x"))
			w.files[w.base(p)] = append(w.files[w.base(p)][:0:0], strings.Replace(string(w.files[w.base(p)]), "/bin/sh", "/bin/ksh", 1)...)
			return p
		}},
		"an output that does not follow": {drv.NotComputed, func(w *world) string {
			d := simple("x")
			d.Outputs = []drv.Output{{Name: "out", Path: dir + "/00000000000000000000000000000000-x"}}
			return w.keep(d)
		}},
		"a fixed output that does not follow": {drv.NotComputed, func(w *world) string {
			d := simple("x")
			d.Outputs = []drv.Output{{Name: "out", Path: dir + "/00000000000000000000000000000000-x", Algo: "md5", Hash: strings.Repeat("0", 32)}}
			return w.keep(d)
		}},
		"a hash of the wrong length": {drv.Malformed, func(w *world) string {
			d := simple("x")
			d.Outputs = []drv.Output{{Name: "out", Path: dir + "/00000000000000000000000000000000-x", Algo: "md5", Hash: "00"}}
			return w.keep(d)
		}},
		"not a derivation": {drv.Malformed, func(w *world) string { return w.text("x.drv", "Derive(") }},
		"no .drv":          {drv.Malformed, func(w *world) string { return w.text("x", "x") }},
		"a variable called like an output": {drv.Malformed, func(w *world) string {
			d := simple("x", drv.Variable{Name: "out"})
			w.add(d)
			d.Env[0].Value = "elsewhere"
			return w.keep(d)
		}},
		"inside a word": {drv.InsideWord, func(w *world) string {
			return w.add(simple("x", drv.Variable{Name: "a", Value: "see " + dir + "-old"}))
		}},
		"goes on from a word": {drv.InsideWord, func(w *world) string {
			return w.add(simple("x", drv.Variable{Name: "a", Value: "tree" + dir}))
		}},
		"a path that is not there": {drv.Absent, func(w *world) string {
			return w.add(simple("x", drv.Variable{Name: "a", Value: dir + "/00000000000000000000000000000000-x"}))
		}},
		"a shortened hash": {drv.Truncated, func(w *world) string {
			p := w.add(simple("dep"))
			d := simple("x", drv.Variable{Name: "a", Value: dir + "/" + hash(w, w.out(p, "out"))[:8]})
			d.Inputs = []drv.Input{{Path: p, Outputs: []string{"out"}}}
			return w.add(d)
		}},
		"escaped slashes": {drv.Mangled, func(w *world) string {
			p := w.add(simple("dep"))
			d := simple("x", drv.Variable{Name: "a", Value: strings.ReplaceAll(w.out(p, "out"), "/", `\/`)})
			d.Inputs = []drv.Input{{Path: p, Outputs: []string{"out"}}}
			return w.add(d)
		}},
		"percent": {drv.Mangled, func(w *world) string {
			p := w.add(simple("dep"))
			d := simple("x", drv.Variable{Name: "a", Value: strings.ReplaceAll(w.out(p, "out"), "/", "%2F")})
			d.Inputs = []drv.Input{{Path: p, Outputs: []string{"out"}}}
			return w.add(d)
		}},
		"other separators": {drv.Mangled, func(w *world) string {
			p := w.add(simple("dep"))
			d := simple("x", drv.Variable{Name: "a", Value: strings.ReplaceAll(w.out(p, "out"), "/", "-")})
			d.Inputs = []drv.Input{{Path: p, Outputs: []string{"out"}}}
			return w.add(d)
		}},
		"variables called by a hash": {drv.KeyedByHash, func(w *world) string {
			p := w.add(simple("dep"))
			d := simple("x", drv.Variable{Name: "a" + hash(w, w.out(p, "out")), Value: "1"})
			d.Inputs = []drv.Input{{Path: p, Outputs: []string{"out"}}}
			return w.add(d)
		}},
		"attributes called by a hash": {drv.KeyedByHash, func(w *world) string {
			p := w.add(simple("dep"))
			d := simple("x", drv.Variable{Name: "__json", Value: `{"a":[{"b":{"` + w.out(p, "out") + `":1}}]}`})
			d.Inputs = []drv.Input{{Path: p, Outputs: []string{"out"}}}
			return w.add(d)
		}},
		"an output without its derivation": {drv.Unproven, func(w *world) string {
			other := newWorld(t, dir)
			p := other.out(other.add(simple("dep")), "out")
			w.files[w.base(p)] = []byte("built")
			d := simple("x")
			d.Sources = []string{p}
			return w.add(d)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, dir)
			root := c.root(w)
			_, err := drv.Transport(drv.Options{From: dir, To: "/nix/store", Store: w.files}, root)
			var refused *drv.RefusedError
			if !errors.As(err, &refused) || refused.Reason != c.want {
				t.Fatalf("got %v, want it refused: %s", err, c.want)
			}
			if !strings.Contains(err.Error(), string(c.want)) || refused.What == "" {
				t.Errorf("the error does not say what and why: %v", err)
			}
		})
	}
}

// TestRefusesAPrefixAtOnce: nothing is read if the prefix is not distinctive.
func TestRefusesAPrefixAtOnce(t *testing.T) {
	_, err := drv.Transport(drv.Options{From: "/nix/store", To: "/opt/store"}, "/nix/store/x")
	var refused *drv.RefusedError
	if !errors.As(err, &refused) || refused.Reason != drv.NotDistinctive {
		t.Error(err)
	}
	if _, err := drv.Transport(drv.Options{From: "/opt/store", To: "store"}, "/opt/store/x"); err == nil {
		t.Error("a relative directory was taken")
	}
}

// TestBareIsCounted: the directory alone is replaced, and counted.
func TestBareIsCounted(t *testing.T) {
	w := newWorld(t, "/opt/some/store")
	root := w.add(simple("x", drv.Variable{Name: "a", Value: "-L/opt/some/store:/opt/some/store/lib /opt/some/store."}))
	r, err := drv.Transport(drv.Options{From: w.dir, To: "/nix/store", Store: w.files}, root)
	if err != nil {
		t.Fatal(err)
	}
	d, err := r.Derivation(w.base(root))
	if err != nil {
		t.Fatal(err)
	}
	if want := "-L/nix/store:/nix/store/lib /nix/store."; d.Env[0].Value != want || r.Bare != 3 {
		t.Errorf("%q with %d counted, want %q with 3", d.Env[0].Value, r.Bare, want)
	}
}

// TestOtherDirectories: what follows from the store directory in expressions is replaced as well, and in one pass.
func TestOtherDirectories(t *testing.T) {
	w := newWorld(t, "/opt/some/store")
	root := w.add(simple("x", drv.Variable{Name: "a", Value: "-Dstate=/opt/some/var/nix -Dstore=/opt/some/store"}))
	o := drv.Options{From: w.dir, To: "/opt/some/var/nix/store", Store: w.files, Dirs: []drv.Move{{From: "/opt/some/var/nix", To: "/srv/var/nix"}}}
	r, err := drv.Transport(o, root)
	if err != nil {
		t.Fatal(err)
	}
	d, err := r.Derivation(w.base(root))
	if err != nil {
		t.Fatal(err)
	}
	if want := "-Dstate=/srv/var/nix -Dstore=/opt/some/var/nix/store"; d.Env[0].Value != want {
		t.Errorf("%q, want %q", d.Env[0].Value, want)
	}
	o.Dirs[0].From = "/var"
	var refused *drv.RefusedError
	if _, err := drv.Transport(o, root); !errors.As(err, &refused) || refused.What != "/var" {
		t.Errorf("a directory that is not distinctive: %v", err)
	}
}

// TestMissesSafely: what cannot be seen is left as it is. The result differs from what evaluation would give,
// so it is a name that nobody has.
func TestMissesSafely(t *testing.T) {
	for name, value := range map[string]func(dir drv.Dir, deps []string) string{
		"a part of a hash":       func(dir drv.Dir, deps []string) string { return "id-" + deps[0][len(dir)+1:][:8] },
		"a digest of a path":     func(_ drv.Dir, deps []string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(deps[0]))) },
		"a list in order":        func(_ drv.Dir, deps []string) string { return strings.Join(slices.Sorted(slices.Values(deps)), " ") },
		"by the store directory": func(dir drv.Dir, _ []string) string { return fmt.Sprint(dir == "/nix/store") },
		"by the length of it":    func(dir drv.Dir, _ []string) string { return strings.Repeat("x", len(dir)) },
	} {
		t.Run(name, func(t *testing.T) {
			evaluated := func(w *world) string {
				d := simple("x")
				var outs []string
				for i := range 8 {
					p := w.add(simple(fmt.Sprint("dep", i)))
					d.Inputs = append(d.Inputs, drv.Input{Path: p, Outputs: []string{"out"}})
					outs = append(outs, w.out(p, "out"))
				}
				slices.SortFunc(d.Inputs, func(a, b drv.Input) int { return strings.Compare(a.Path, b.Path) })
				d.Env = []drv.Variable{{Name: "a", Value: value(w.dir, outs)}}
				return w.add(d)
			}
			from, to := newWorld(t, "/opt/some/store"), newWorld(t, "/nix/store")
			root, there := evaluated(from), evaluated(to)
			r, err := drv.Transport(drv.Options{From: from.dir, To: to.dir, Store: from.files}, root)
			if err != nil {
				t.Fatal(err)
			}
			got := r.Bases[from.base(root)]
			if _, taken := to.files[got]; got == to.base(there) || taken || !strings.HasSuffix(got, "-x.drv") {
				t.Errorf("transport gives %s, which somebody has there", got)
			}
			if out := r.Bases[from.base(from.out(root, "out"))]; out == to.base(to.out(there, "out")) {
				t.Errorf("its output is %s, which another derivation makes there", out)
			}
		})
	}
}

// TestVerifyFinds what does not follow from its own text.
func TestVerifyFinds(t *testing.T) {
	w := newWorld(t, "/opt/some/store")
	root := w.add(simple("x", drv.Variable{Name: "out"}))
	r, err := drv.Transport(drv.Options{From: w.dir, To: "/nix/store", Store: w.files}, root)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Verify("/nix/store"); err != nil {
		t.Fatal(err)
	}
	if err := r.Verify("/nix/other"); err == nil {
		t.Error("another directory was taken")
	}
	moved := r.Bases[w.base(root)]
	r.Texts[moved] = []byte(strings.Replace(string(r.Texts[moved]), "/bin/sh", "/bin/ksh", 1))
	if err := r.Verify("/nix/store"); err == nil {
		t.Error("a changed text was taken")
	}
}

// TestOpenFiles: no name leads out of a store on disk.
func TestOpenFiles(t *testing.T) {
	if _, err := drv.OpenFiles(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a store that is not there was opened")
	}
	f, err := drv.OpenFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Derivation("../x"); err == nil {
		t.Error("a name with a way out was read")
	}
	if err := f.NAR(nil, ".."); err == nil {
		t.Error("a name with a way out was dumped")
	}
}
