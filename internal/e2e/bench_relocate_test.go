//go:build e2e

package e2e_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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
	for path := range p.pathInfos(t, "--recursive", b.native) {
		b.names = append(b.names, filepath.Base(path))
	}
	slices.Sort(b.names)
	b.read(t)
	r := report{}
	r.row("closure of the native nix, archives, MB", "%.1f", float64(b.bytes)/1e6)
	work := func(m *relocate.Map) func() { return func() { b.relocate(t, m) } }
	targets := map[int]*relocate.Map{}
	for _, n := range []int{10, 400, 5000} {
		targets[n] = elsewhere(t, p, b.names, n)
		alone, took := sideBySide(b.digests, work(targets[n]))
		r.row(fmt.Sprintf("the two digests alone, beside %d hash parts, MB/s", n), "%.0f", b.rate(median(alone)))
		r.row(fmt.Sprintf("rewriting, both digests and all checks, %d hash parts, MB/s", n), "%.0f", b.rate(median(took)))
		r.atLeast(fmt.Sprintf("**of the digests' rate, %d hash parts**", n), ratio(alone, took), leastOfDigests)
	}
	few, lots := sideBySide(work(targets[10]), work(targets[5000]))
	r.row("processor time of 5000 hash parts / of 10", "%.2f", ratio(lots, few))
	r.atLeast("**two workers against one**", b.workers(t, targets[400]), leastOfWorkers)
	b.conda(t, &r, work(targets[10]))
	b.commands(t, &r, targets[400])

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

// How often two things are measured side by side, and where one of them takes seconds. What is said of them is the median.
const (
	rounds     = 25
	slowRounds = 9
)

// sideBySide is the processor time of two functions in turn, in seconds.
func sideBySide(f, g func()) (first, second []float64) {
	for range rounds {
		runtime.GC()
		first = append(first, cost(f))
		runtime.GC()
		second = append(second, cost(g))
	}
	return first, second
}

func median(list []float64) float64 { return slices.Sorted(slices.Values(list))[len(list)/2] }

// ratio is the median of what was measured side by side.
func ratio(list, of []float64) float64 {
	ratios := make([]float64, len(list))
	for i := range list {
		ratios[i] = list[i] / of[i]
	}
	return median(ratios)
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

// workers says how much more two workers do in the same time, the best of some runs: the other processor has to be free.
func (b *relocation) workers(t *testing.T, m *relocate.Map) float64 {
	best := 0.0
	for range rounds {
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

// condaLoop is conda's replacement, made anew from its code, conda/core/portability.py: for each text, in each of five
// encodings, a regular expression for each file with a zero byte in it, and a plain replacement elsewhere. The texts are
// separated by colons, as are the directories behind them. It reads first, and prints the processor time of the rest
// for each line that it gets.
const condaLoop = `
import os, re, sys, time
texts, files = sys.argv[1].split(":"), []
for top in sys.argv[2].split(":"):
    for dir, _, names in os.walk(top):
        for name in names:
            path = os.path.join(dir, name)
            if os.path.isfile(path) and not os.path.islink(path):
                files.append(open(path, "rb").read())
todo = []
for text in texts:
    for encoding in sys.argv[3].split(":"):
        old, zero = text.encode(encoding), b"\0" * len("\0".encode(encoding))
        new = ("q" * len(text)).encode(encoding)
        pattern = re.compile(re.escape(old) + b"(?:(?!(?:" + zero + b")).)*" + zero, flags=re.DOTALL)
        def put(found, old=old, new=new):
            text = found.group()
            return text.replace(old, new) + b"\0" * ((len(old) - len(new)) * text.count(old))
        todo.append((old, new, pattern, put))
for _ in sys.stdin:
    begin = time.process_time()
    for data in files:
        binary = b"\0" in data
        for old, new, pattern, put in todo:
            data = pattern.sub(put, data) if binary else data.replace(old, new)
    print(time.process_time() - begin, flush=True)
`

// conda measures conda's loop, in one process each, beside relocation of the same archives.
func (b *relocation) conda(t *testing.T, r *report, relocation func()) {
	python, err := exec.LookPath("python3")
	if err != nil {
		return
	}
	const all, ascii = "utf-8:utf-16-le:utf-16-be:utf-32-le:utf-32-be", "utf-8"
	loop := func(times int, encodings string, texts ...string) (theirs, ours []float64) {
		cmd := exec.Command(python, "-c", condaLoop, strings.Join(texts, ":"), strings.Join(b.tops(), ":"), encodings)
		in, errIn := cmd.StdinPipe()
		out, errOut := cmd.StdoutPipe()
		cmd.Stderr = os.Stderr
		if err := errors.Join(errIn, errOut, cmd.Start()); err != nil {
			t.Fatal(err)
		}
		for range times {
			var seconds float64
			_, err := fmt.Fprintln(in)
			if _, scanErr := fmt.Fscan(out, &seconds); err != nil || scanErr != nil {
				t.Fatal(err, scanErr)
			}
			runtime.GC()
			theirs, ours = append(theirs, seconds), append(ours, cost(relocation))
		}
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			t.Fatal(err)
		}
		return theirs, ours
	}
	texts := append(b.tops(), b.p.store, b.p.root()+"/var", b.p.root()+"/etc")
	for _, name := range fillers(400 - len(texts)) {
		texts = append(texts, filepath.Join(b.p.store, name))
	}
	one, _ := loop(slowRounds, all, b.p.store)
	r.row("conda's loop for the store directory alone, no digests, no checks, MB/s", "%.0f", b.rate(median(one)))
	theirs, ours := loop(slowRounds, all, texts[:10]...)
	r.row("conda's loop for 10 texts, MB/s", "%.0f", b.rate(median(theirs)))
	r.atLeast("**processor time of conda's loop for 10 texts / of relocation**", ratio(theirs, ours), leastOfConda)
	theirs, ours = loop(slowRounds, ascii, texts[:10]...)
	r.row("the same if it left out UTF-16 and UTF-32", "%.2f", ratio(theirs, ours))
	theirs, ours = loop(1, all, texts...)
	r.row("the same for 400 texts, all encodings", "%.1f", ratio(theirs, ours))
}

func (b *relocation) tops() []string {
	tops := make([]string, len(b.names))
	for i, name := range b.names {
		tops[i] = filepath.Join(b.p.store, name)
	}
	return tops
}

// fillers are names of store paths that are nowhere.
func fillers(n int) []string {
	r := rand.New(rand.NewPCG(3, 4))
	list := make([]string, n)
	for i := range list {
		hash := make([]byte, 32)
		for j := range hash {
			hash[j] = "0123456789abcdfghijklmnpqrsvwxyz"[r.IntN(32)]
		}
		list[i] = string(hash) + "-more"
	}
	return list
}

// commands measures what a user can do with Nix's own commands, with all their processes, beside the same done here.
func (b *relocation) commands(t *testing.T, r *report, m *relocate.Map) {
	work, runs := b.p.scratch(t), 0
	next := func() string {
		runs++
		return filepath.Join(work, fmt.Sprint("run-", runs))
	}
	// One process reads the closure, relocates it, and writes it.
	here := func() {
		for _, name := range b.names {
			b.move(t, m, name, next())
		}
	}
	with := func(f func(io.Writer, io.Reader) error) func() {
		return func() {
			for _, path := range b.tops() {
				b.filter(t, path, next(), f)
			}
		}
	}
	sed := func(w io.Writer, in io.Reader) error {
		cmd := exec.Command("sed", b.expressions()...)
		cmd.Env, cmd.Stdin, cmd.Stdout = []string{"LC_ALL=C.UTF-8", "PATH=" + os.Getenv("PATH")}, in, w
		return cmd.Run()
	}
	alone := func() {
		for _, a := range b.archives {
			if err := sed(io.Discard, bytes.NewReader(a)); err != nil {
				t.Error(err)
			}
		}
	}
	var edited, ours, sedAlone, oursAlone []float64
	for range 3 {
		edited, ours = append(edited, cost(with(sed))), append(ours, cost(here))
		sedAlone, oursAlone = append(sedAlone, cost(alone)), append(oursAlone, cost(func() { b.relocate(t, m) }))
	}
	r.row("read, relocation, write of the closure in one process, s", "%.2f", median(ours))
	r.row("dump, `sed` with 400 expressions, restore, s", "%.2f", median(edited))
	r.atLeast("**that / relocation in one process**", ratio(edited, ours), leastOfSed)
	r.atLeast("**that / relocation of the archives alone, with both digests and all checks**", ratio(edited, oursAlone), leastOfSed)
	r.row("`sed` alone / relocation alone", "%.1f", ratio(sedAlone, oursAlone))

	relocation := with(func(w io.Writer, in io.Reader) error {
		_, err := relocate.Relocate(w, in, relocate.Options{Map: m})
		return err
	})
	nix, all := sideBySide(func() {
		b.p.nix(t, "nix", "--extra-experimental-features", "nix-command", "store", "make-content-addressed",
			"--to", "local?root="+next(), b.native).must(t)
	}, relocation)
	r.row("dump, relocation, restore of the closure, s", "%.2f", median(all))
	r.row("`nix store make-content-addressed` of the closure, s", "%.2f", median(nix))
	r.atLeast("**that / relocation between dump and restore**", ratio(nix, all), leastOfNix)
}

// expressions are 400 of them, one for each store path.
func (b *relocation) expressions() (args []string) {
	other := fillers(800)
	for i, name := range append(slices.Clone(b.names), other[:400-len(b.names)]...) {
		args = append(args, "-e", fmt.Sprintf("s|%s/%s|%s/%s|g", b.p.store, name, b.p.store, other[400+i][:32]+name[32:]))
	}
	return args
}

// move relocates what has a name in the store to another place.
func (b *relocation) move(t *testing.T, m *relocate.Map, name, to string) {
	t.Helper()
	from, err := os.OpenRoot(b.p.store)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	dir, err := os.OpenRoot(to)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	source, sourceEnd := io.Pipe()
	result, resultEnd := io.Pipe()
	var all sync.WaitGroup
	all.Go(func() {
		w := bufio.NewWriterSize(sourceEnd, 64<<10)
		err := nar.Write(w, from, name)
		_ = sourceEnd.CloseWithError(errors.Join(err, w.Flush()))
	})
	all.Go(func() {
		_, err := relocate.Relocate(resultEnd, source, relocate.Options{Map: m})
		_ = resultEnd.CloseWithError(err)
	})
	if err := nar.Unpack(dir, name, result); err != nil {
		t.Fatal(err)
	}
	all.Wait()
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
