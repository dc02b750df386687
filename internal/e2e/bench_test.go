//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bootstrap/internal/journal"
)

// The ratios of the design, which the bench shows and no test holds anybody to:
// a machine that is busy with something else would fail it.
const (
	mostOverhead = 1.15 // whole / (both runs of ninja + downloads)
	mostOfNaive  = 0.5  // whole / naive way
)

// TestBench measures everything in one run and writes a table in Markdown to the file that
// BOOTSTRAP_BENCH names; scripts/bench calls it.
func TestBench(t *testing.T) {
	out := os.Getenv("BOOTSTRAP_BENCH")
	if out == "" {
		t.Skip("only for scripts/bench")
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	p := &place{w: w, store: filepath.Join(w.parent, "store"), home: w.home(t, "bench"), account: w.user}
	plan := p.plan(t)

	run := p.install("").start(t)
	sampled, ninjas := newWatch(run.cmd.Process.Pid, p.root()), newStopwatch(run.cmd.Process.Pid, "ninja")
	whole := run.wait(t).want(t, 0).took.Seconds()
	sampled.end()
	ninja := ninjas.end()
	if len(ninja) < 2 {
		t.Fatalf("ninja was seen to run %v times", ninja)
	}
	slices.Sort(ninja)
	compile := ninja[len(ninja)-1] + ninja[len(ninja)-2] // a dry run for the count is no build
	again := p.install("").run(t).want(t, 0).took.Seconds()

	r := report{}
	stage := p.stageSeconds(t)
	downloads := stage["fetch"]
	r.row("whole command, cold cache", "%.0f s", whole)
	for _, name := range []string{"fetch", "host", "toolchain", "bootstrap", "native", "configure", "install", "prove"} {
		r.row("– stage "+name, "%.1f s", stage[name])
	}
	r.row("ninja, twice", "%.0f s", compile)
	r.row("downloads", "%.1f s", downloads)
	r.ratio("**whole / (ninja twice + downloads)**", whole/(compile+downloads), mostOverhead)

	naive := p.naive(t)
	r.row("one build with the distribution's flags and without unity", "%.0f s", naive)
	r.row("naive way: that twice (built once, doubled)", "%.0f s", 2*naive)
	r.ratio("**whole / naive way**", whole/(2*naive), mostOfNaive)
	both := whole - stage["bootstrap"] - stage["native"] + 2*naive
	r.row("whole / naive way with all other stages", "%.2f", whole/both)

	r.limit("memory of the installer, MB", float64(sampled.memory)/1e6, mostMemory/1e6)
	r.row("disk at its peak", "%.0f MB", float64(sampled.disk)/1e6)
	r.row("disk at its peak, planned", "%.0f MB", float64(plan.PeakBytes)/1e6)
	r.ratio("**planned / measured peak, off by**", abs(float64(plan.PeakBytes)/float64(sampled.disk)-1), planSlack)
	r.limit("closure of the native nix, MiB", p.closureBytes(t)/(1<<20), mostClosure/(1<<20))
	info, err := os.Stat(w.program)
	if err != nil {
		t.Fatal(err)
	}
	r.limit("program, MB", float64(info.Size())/1e6, mostProgram/1e6)
	r.limit("the same command again, s", again, mostAgain.Seconds())

	text := r.text(load)
	t.Log("\n" + text)
	if err := os.WriteFile(out, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// report is a table in the making.
type report struct{ rows []string }

func (r *report) row(what, format string, value float64) {
	r.rows = append(r.rows, fmt.Sprintf("| %s | "+format+" | |", what, value))
}

func (r *report) ratio(what string, value, most float64) {
	r.rows = append(r.rows, fmt.Sprintf("| %s | **%.2f** | ≤ %.2f: %s |", what, value, most, verdict(value, most)))
}

func (r *report) limit(what string, value, most float64) {
	r.rows = append(r.rows, fmt.Sprintf("| %s | %.1f | ≤ %.0f: %s |", what, value, most, verdict(value, most)))
}

func verdict(value, most float64) string {
	if value <= most {
		return "yes"
	}
	return "no"
}

func (r *report) text(load []byte) string {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	before, _, _ := strings.Cut(string(load), " ")
	return fmt.Sprintf("%s, %d processors, Linux %s, %s, load before: %s\n\n| measured in one run | | limit |\n|---|---|---|\n%s\n",
		time.Now().Format(time.DateOnly), runtime.NumCPU(), strings.TrimSpace(string(kernel)), runtime.GOARCH, before,
		strings.Join(r.rows, "\n"))
}

func abs(x float64) float64 { return max(x, -x) }

// stageSeconds returns how long each stage took, from the journal.
func (p *place) stageSeconds(t *testing.T) map[string]float64 {
	t.Helper()
	h, err := journal.Load(p.journal())
	if err != nil {
		t.Fatal(err)
	}
	seconds := map[string]float64{}
	for _, r := range h.Records {
		if r.Event == journal.End {
			seconds[r.Stage], _ = strconv.ParseFloat(r.Output["seconds"], 64)
		}
	}
	return seconds
}

// naive builds Nix as the distribution does, and returns how long it took.
func (p *place) naive(t *testing.T) float64 {
	t.Helper()
	return p.nix(t, "nix", "build", "--no-link", "-f", p.packages(), "nix-naive").run(t).want(t, 0).took.Seconds()
}

func (p *place) closureBytes(t *testing.T) float64 {
	t.Helper()
	var total int64
	for _, info := range p.pathInfos(t, "--recursive", p.native(t)) {
		total += info.NarSize
	}
	return float64(total)
}

// stopwatch takes the time of all processes of a name below another, by looking often.
type stopwatch struct {
	stop  chan struct{}
	ended sync.WaitGroup
	first map[int]time.Time
	last  map[int]time.Time
}

func newStopwatch(pid int, name string) *stopwatch {
	s := &stopwatch{stop: make(chan struct{}), first: map[int]time.Time{}, last: map[int]time.Time{}}
	s.ended.Go(func() {
		ticks := time.NewTicker(250 * time.Millisecond)
		defer ticks.Stop()
		for {
			select {
			case <-s.stop:
				return
			case now := <-ticks.C:
				s.look(now, pid, name)
			}
		}
	})
	return s
}

func (s *stopwatch) look(now time.Time, pid int, name string) {
	for _, child := range descendants(pid) {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", child))
		if strings.TrimSpace(string(comm)) != name {
			continue
		}
		if s.first[child].IsZero() {
			s.first[child] = now
		}
		s.last[child] = now
	}
}

// end returns the seconds that each of the processes ran.
func (s *stopwatch) end() []float64 {
	close(s.stop)
	s.ended.Wait()
	var seconds []float64
	for pid, first := range s.first {
		seconds = append(seconds, s.last[pid].Sub(first).Seconds())
	}
	return seconds
}
