package drv_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/drv"
)

// random makes a store with n derivations that name each other in every way that transport knows.
// With the same seed, two directories get what evaluation would give there.
func random(w *world, seed uint64, n int) (paths []string) {
	r := rand.New(rand.NewPCG(seed, 1))
	var texts []string
	for i := range n {
		d := simple(fmt.Sprintf("d%d", i))
		inputs, sources := map[string]bool{}, map[string]bool{}
		var env []drv.Variable
		set := func(value string) {
			env = append(env, drv.Variable{Name: fmt.Sprintf("v%03d", len(env)), Value: value})
		}
		for range r.IntN(4) * min(i, 1) {
			dep := paths[r.IntN(i)]
			out := w.out(dep, "out")
			switch r.IntN(6) {
			case 0: // its context was discarded
				set("x " + out + "-more\n")
			case 1:
				set(dep)
			case 2:
				set(w.base(out) + " and " + w.base(out)[:drv.HashLen] + "0")
				inputs[dep] = true
			case 3:
				d.Args = append(d.Args, "-I"+out+"/include", string(w.dir)+"/")
				inputs[dep] = true
			case 4:
				sources[dep] = true
			default:
				inputs[dep] = true
			}
		}
		if r.IntN(3) == 0 {
			content := fmt.Sprintf("text %d\n", i)
			var refs []string
			if len(texts) > 0 && r.IntN(2) == 0 {
				refs = []string{texts[r.IntN(len(texts))]}
				content += refs[0]
			}
			p := w.text(fmt.Sprintf("t%d", i), content, refs...)
			texts = append(texts, p)
			sources[p] = true
		}
		switch r.IntN(5) {
		case 0:
			d.Outputs = []drv.Output{{Name: "out", Algo: "r:sha256", Hash: strings.Repeat(fmt.Sprintf("%04x", i), 16)}}
		case 1:
			d.Outputs = []drv.Output{{Name: "dev"}, {Name: "out"}}
		}
		env = append(env, drv.Variable{Name: "out"})
		slices.SortFunc(env, func(a, b drv.Variable) int { return strings.Compare(a.Name, b.Name) })
		d.Env = env
		for p := range inputs {
			d.Inputs = append(d.Inputs, drv.Input{Path: p, Outputs: []string{"out"}})
		}
		slices.SortFunc(d.Inputs, func(a, b drv.Input) int { return strings.Compare(a.Path, b.Path) })
		for p := range sources {
			d.Sources = append(d.Sources, p)
		}
		slices.Sort(d.Sources)
		paths = append(paths, w.add(d))
	}
	return paths
}

// TestTransportIsEvaluation: what a closure becomes is what the same rules make at the other directory;
// and back it becomes what it was.
func TestTransportIsEvaluation(t *testing.T) {
	const a, b = drv.Dir("/opt/some/store"), drv.Dir("/srv/other/place/store")
	for seed := range uint64(60) {
		from, to := newWorld(t, a), newWorld(t, b)
		roots, want := random(from, seed, 30), random(to, seed, 30)
		r, err := drv.Transport(drv.Options{From: a, To: b, Store: from.files}, roots...)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for i, root := range roots {
			if got := string(b) + "/" + r.Bases[from.base(root)]; got != want[i] {
				t.Fatalf("seed %d: %s becomes %s, not %s", seed, root, got, want[i])
			}
		}
		back, err := drv.Transport(drv.Options{From: b, To: a, Store: r.Texts}, want...)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if diff := cmp.Diff(texts(from.files), texts(back.Texts)); diff != "" {
			t.Fatalf("seed %d: there and back (-before +after):\n%s", seed, diff)
		}
	}
}

// TestTransportDependsOnTheRootOnly: whoever asks, and in whatever order, a path becomes the same.
func TestTransportDependsOnTheRootOnly(t *testing.T) {
	w := newWorld(t, "/opt/some/store")
	roots := random(w, 7, 40)
	all, err := drv.Transport(drv.Options{From: w.dir, To: "/nix/store", Store: w.files}, roots...)
	if err != nil {
		t.Fatal(err)
	}
	alone := 0
	for _, root := range roots {
		one, err := drv.Transport(drv.Options{From: w.dir, To: "/nix/store", Store: w.files}, root)
		var refused *drv.RefusedError
		if errors.As(err, &refused) && refused.Reason == drv.Absent {
			continue // it names an output whose derivation only another root depends on
		}
		if err != nil {
			t.Fatal(err)
		}
		alone++
		for base, moved := range one.Bases {
			if all.Bases[base] != moved {
				t.Errorf("%s: %s alone, %s together", base, moved, all.Bases[base])
			}
		}
	}
	if alone < len(roots)/2 {
		t.Errorf("only %d of %d can be moved alone", alone, len(roots))
	}
	slices.Reverse(roots)
	reversed, err := drv.Transport(drv.Options{From: w.dir, To: "/nix/store", Store: w.files}, roots...)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(all.Bases, reversed.Bases); diff != "" {
		t.Errorf("in another order:\n%s", diff)
	}
}

// FuzzTransport: whatever a .drv file says, it is refused, or its own transport is proven.
func FuzzTransport(f *testing.F) {
	c := loadCorpus(f, "opt")
	for base, text := range c.files {
		if strings.HasSuffix(base, ".drv") {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := drv.Parse("x", text)
		if err != nil {
			return
		}
		files := drv.Memory{}
		for base, text := range c.files {
			files[base] = text
		}
		root := d.Path(c.dir)
		files[strings.TrimPrefix(root, string(c.dir)+"/")] = text
		r, err := drv.Transport(drv.Options{From: c.dir, To: "/nix/store", Store: files}, root)
		if err != nil {
			return
		}
		if err := r.Verify("/nix/store"); err != nil {
			t.Error(err)
		}
	})
}

// BenchmarkTransport: derivations of about 3 kB with a dozen inputs, as package sets have them.
func BenchmarkTransport(b *testing.B) {
	const n = 3000
	w := newWorld(b, "/opt/some/store")
	r := rand.New(rand.NewPCG(1, 1))
	var paths []string
	bytes := 0
	for i := range n {
		d := simple(fmt.Sprintf("package-%d", i))
		deps := map[string]bool{}
		for range min(i, 12) {
			deps[paths[max(0, i-60)+r.IntN(min(i, 60))]] = true
		}
		var list []string
		for dep := range deps {
			d.Inputs = append(d.Inputs, drv.Input{Path: dep, Outputs: []string{"out"}})
			list = append(list, w.out(dep, "out"))
		}
		slices.SortFunc(d.Inputs, func(a, b drv.Input) int { return strings.Compare(a.Path, b.Path) })
		d.Env = []drv.Variable{
			{Name: "buildInputs", Value: strings.Join(list, " ")},
			{Name: "configureFlags", Value: "--prefix=/usr --with-" + strings.Join(list[:len(list)/2], "/lib --with-")},
			{Name: "installPhase", Value: strings.Repeat("install -m 644 a \"$out\"/b\n", 30)},
			{Name: "out"},
		}
		paths = append(paths, w.add(d))
		bytes += len(w.files[w.base(paths[i])])
	}
	b.ResetTimer()
	before := cpu(b)
	for range b.N {
		r, err := drv.Transport(drv.Options{From: w.dir, To: "/nix/store", Store: w.files}, paths...)
		if err != nil || len(r.Derivations) != n {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "drv/s")
	b.ReportMetric(float64(n*b.N)/(cpu(b)-before), "drv/cpu-s") // on a machine that has other things to do
	b.ReportMetric(float64(bytes)/n, "B/drv")
}

// cpu is how many seconds of processor time this process had.
func cpu(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
