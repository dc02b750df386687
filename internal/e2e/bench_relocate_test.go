//go:build e2e

package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bootstrap/internal/nar"
	"bootstrap/internal/relocate"
)

// What relocation is to reach: of the digests' rate, of one worker's, and of others' times.
const (
	leastOfDigests = 0.7
	leastOfWorkers = 1.8
	leastOfConda   = 3
	leastOfSed     = 100
	leastOfNix     = 1
)

// TestBenchRelocate measures relocation of the closure of the native nix of a prefix that is there, and what others do
// about the same bytes. BOOTSTRAP_BENCH_RELOCATE is its store directory, and BOOTSTRAP_BENCH the file for the table;
// scripts/bench relocate calls it.
func TestBenchRelocate(t *testing.T) {
	store, out := os.Getenv("BOOTSTRAP_BENCH_RELOCATE"), os.Getenv("BOOTSTRAP_BENCH")
	if store == "" || out == "" {
		t.Skip("only for scripts/bench relocate")
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/var/tmp", "b-bench-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, dir) })
	w := &world{dir: dir, checkout: dir, user: owner(t, store)}
	w.mkdir(t, dir)
	p := &place{w: w, store: store, home: w.home(t, "home"), account: w.user}

	b := &relocation{p: p, native: p.native(t)}
	for _, path := range slices.Sorted(maps.Keys(p.pathInfos(t, "--recursive", b.native))) {
		b.names = append(b.names, filepath.Base(path))
	}
	b.read(t)
	r := report{}
	r.row("closure of the native nix, archives, MB", "%.1f", float64(b.bytes)/1e6)
	alone := b.best(b.digests)
	r.row("the two digests alone, MB/s", "%.0f", b.rate(alone))
	for _, n := range []int{10, 400, 5000} {
		m := elsewhere(t, p, b.names, n)
		took := b.best(func() { b.relocate(t, m) })
		r.row(fmt.Sprintf("rewriting, both digests and all checks, %d hash parts, MB/s", n), "%.0f", b.rate(took))
		r.atLeast(fmt.Sprintf("**of the digests' rate, %d hash parts**", n), alone/took, leastOfDigests)
	}
	m := elsewhere(t, p, b.names, 400)
	r.atLeast("**two workers against one**", b.workers(t, m), leastOfWorkers)
	b.others(t, &r, m, b.best(func() { b.relocate(t, m) }))

	text := r.text(load)
	t.Log("\n" + text)
	if err := os.WriteFile(out, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (r *report) atLeast(what string, value, least float64) {
	verdict := "no"
	if value >= least {
		verdict = "yes"
	}
	r.rows = append(r.rows, fmt.Sprintf("| %s | **%.2f** | ≥ %g: %s |", what, value, least, verdict))
}

// relocation is what is measured.
type relocation struct {
	p        *place
	native   string
	names    []string // of the closure
	archives [][]byte
	bytes    int64
}

func (b *relocation) read(t *testing.T) {
	t.Helper()
	root, err := os.OpenRoot(b.p.store)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, name := range b.names {
		var archive bytes.Buffer
		if err := nar.Write(&archive, root, name); err != nil {
			t.Fatal(err)
		}
		b.archives = append(b.archives, archive.Bytes())
		b.bytes += int64(archive.Len())
	}
}

// best is the least processor time of three runs, in seconds.
func (b *relocation) best(f func()) float64 {
	least := 1e9
	for range 3 {
		runtime.GC()
		least = min(least, cost(f))
	}
	return least
}

// cost is the processor time that a function takes, with that of the programs it runs.
func cost(f func()) float64 {
	time := func() (sum float64) {
		for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
			var u syscall.Rusage
			_ = syscall.Getrusage(who, &u)
			sum += float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
		}
		return sum
	}
	before := time()
	f()
	return time() - before
}

func (b *relocation) rate(seconds float64) float64 { return float64(b.bytes) / seconds / 1e6 }

// digests reads the archives in pieces, as relocation does.
func (b *relocation) digests() {
	for _, a := range b.archives {
		both := io.MultiWriter(sha256.New(), sha256.New())
		_, _ = io.CopyBuffer(struct{ io.Writer }{both}, struct{ io.Reader }{bytes.NewReader(a)}, make([]byte, 64<<10))
	}
}

func (b *relocation) relocate(t *testing.T, m *relocate.Map) {
	for _, a := range b.archives {
		if _, err := relocate.Relocate(io.Discard, bytes.NewReader(a), relocate.Options{Map: m}); err != nil {
			t.Error(err)
		}
	}
}

// workers says how much more two workers do in the same time, the best of three runs.
func (b *relocation) workers(t *testing.T, m *relocate.Map) float64 {
	best := 0.0
	for range 3 {
		began := time.Now()
		b.relocate(t, m)
		one := time.Since(began)
		began = time.Now()
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() { b.relocate(t, m) })
		}
		both.Wait()
		best = max(best, 2*one.Seconds()/time.Since(began).Seconds())
	}
	return best
}

// condaLoop is conda's replacement, made anew from its description: a regular expression for each file with a zero
// byte in it, and a plain replacement elsewhere, for each of some texts, which are separated by colons, as are the
// directories behind them. It reads first, and prints the processor time of the rest.
const condaLoop = `
import os, re, sys, time
texts, files = [t.encode() for t in sys.argv[1].split(":")], []
for top in sys.argv[2].split(":"):
    for dir, _, names in os.walk(top):
        for name in names:
            path = os.path.join(dir, name)
            if os.path.isfile(path) and not os.path.islink(path):
                files.append(open(path, "rb").read())
least = 1e9
for _ in range(3 if len(texts) < 100 else 1):
    begin = time.process_time()
    for data in files:
        for old in texts:
            new = b"q" * len(old)
            if b"\0" in data:
                def put(found):
                    text = found.group()
                    return text.replace(old, new) + b"\0" * ((len(old) - len(new)) * text.count(old))
                data = re.sub(re.escape(old) + b"([^\0]*?)\0", put, data)
            else:
                data = data.replace(old, new)
    least = min(least, time.process_time() - begin)
print(least)
`

// others measures what others do: conda's loop in one process, and whole commands with all their processes.
func (b *relocation) others(t *testing.T, r *report, m *relocate.Map, ours float64) {
	tops := make([]string, len(b.names))
	for i, name := range b.names {
		tops[i] = filepath.Join(b.p.store, name)
	}
	if python, err := exec.LookPath("python3"); err == nil {
		loop := func(texts ...string) (seconds float64) {
			out, err := exec.Command(python, "-c", condaLoop, strings.Join(texts, ":"), strings.Join(tops, ":")).Output()
			if _, scanErr := fmt.Sscan(string(out), &seconds); err != nil || scanErr != nil {
				t.Fatal(err, scanErr)
			}
			return seconds
		}
		r.row("conda's loop for the store directory alone, no digests, no checks, MB/s", "%.0f", b.rate(loop(b.p.store)))
		all := append(slices.Clone(tops), b.p.store, b.p.root()+"/var", b.p.root()+"/etc")
		for i := len(all); i < 400; i++ {
			all = append(all, fmt.Sprintf("%s/%032d-x", b.p.store, i))
		}
		few, many := loop(all[:10]...), loop(all...)
		r.row("conda's loop for 10 texts, MB/s", "%.0f", b.rate(few))
		r.row("conda's loop for 400 texts, MB/s", "%.0f", b.rate(many))
		r.atLeast("**processor time of conda's loop for 10 texts / of relocation**", few/ours, leastOfConda)
		r.row("the same for 400 texts", "%.1f", many/ours)
	}
	work, runs := b.p.scratch(t), 0
	filter := func(f func(io.Writer, io.Reader) error, paths ...string) float64 {
		return cost(func() {
			for _, path := range paths {
				runs++
				b.filter(t, path, filepath.Join(work, fmt.Sprint("restored-", runs)), f)
			}
		})
	}
	relocation := func(w io.Writer, in io.Reader) error {
		_, err := relocate.Relocate(w, in, relocate.Options{Map: m})
		return err
	}
	script := filepath.Join(work, "script")
	var expressions strings.Builder
	for i := range 400 {
		fmt.Fprintf(&expressions, "s|%032d|%032d|g\n", i, i+1000)
	}
	if err := os.WriteFile(script, []byte(expressions.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	sed := func(w io.Writer, in io.Reader) error {
		cmd := exec.Command("sed", "-f", script)
		cmd.Env, cmd.Stdin, cmd.Stdout = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}, in, w
		return cmd.Run()
	}
	filtered, edited := filter(relocation, b.native), filter(sed, b.native)
	r.row("dump, relocation, restore of the native nix, s", "%.2f", filtered)
	r.row("dump, `sed` with 400 expressions, restore, s", "%.2f", edited)
	r.atLeast("**that / relocation**", edited/filtered, leastOfSed)
	all := min(filter(relocation, tops...), filter(relocation, tops...))
	r.row("dump, relocation, restore of the closure, s", "%.2f", all)
	nix := 1e9
	for i := range 2 {
		nix = min(nix, cost(func() {
			b.p.nix(t, "nix", "--extra-experimental-features", "nix-command", "store", "make-content-addressed",
				"--to", "local?root="+filepath.Join(work, fmt.Sprint("root-", i)), b.native).must(t)
		}))
	}
	r.row("`nix store make-content-addressed` of the closure, s", "%.2f", nix)
	r.atLeast("**that / relocation**", nix/all, leastOfNix)
}

// filter has Nix dump a path and restore what a function makes of it.
func (b *relocation) filter(t *testing.T, path, to string, f func(io.Writer, io.Reader) error) {
	t.Helper()
	nix := filepath.Join(b.native, "bin", "nix-store")
	dump, restore := exec.Command(nix, "--dump", path), exec.Command(nix, "--restore", to)
	in, err := dump.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := restore.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []*exec.Cmd{dump, restore} {
		cmd.Env, cmd.Stderr = []string{"HOME=" + b.p.home}, os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []*exec.Cmd{dump, restore} {
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v: %v", cmd.Args, err)
		}
	}
}
