//go:build e2e

package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/journal"
)

// The limits of the design: memory of the installer, size of its program, of the native closure.
const (
	mostMemory  = 150e6
	mostProgram = 20e6
	mostClosure = 60 << 20
	planSlack   = 0.15
	mostAgain   = 2 * time.Second
)

// estimate is what the tests need of `plan --json`.
type estimate struct {
	PeakBytes  int64  `json:"peak_bytes"`
	KeepBytes  int64  `json:"keep_bytes"`
	FetchFiles int    `json:"fetch_files"`
	LockDigest string `json:"lock_digest"`
	Stages     []struct {
		Name string `json:"name"`
		Done bool   `json:"done"`
	} `json:"stages"`
}

func (p *place) plan(t *testing.T, args ...string) estimate {
	t.Helper()
	out := p.program(append([]string{"plan", "--json"}, args...)...).must(t)
	var e estimate
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		t.Fatalf("plan --json: %v\n%s", err, out)
	}
	return e
}

// testInstall runs the command of the README in a checkout.
func testInstall(t *testing.T, p *place) {
	before := p.w.before(t, p)
	plan := p.plan(t)
	if diff := cmp.Diff(before, p.w.before(t, p), cmp.AllowUnexported(trees{})); diff != "" {
		t.Errorf("the plan wrote something (-before +after):\n%s", diff)
	}
	if plan.FetchFiles == 0 || plan.PeakBytes <= plan.KeepBytes {
		t.Errorf("the plan cannot be right: %+v", plan)
	}

	c := p.install("")
	c.argv[0] = filepath.Join(p.w.checkout, "scripts", "install.sh")
	run := c.start(t)
	sampled := newWatch(run.cmd.Process.Pid, p.root())
	r := run.wait(t)
	sampled.end()
	r.want(t, 0)
	t.Logf("measured: installation, cold, with the build of the installer: %s", r.took.Round(time.Second))
	if r.stdout != "    . "+p.env("sh")+"\n" {
		t.Errorf("standard output is %q, not what to type next", r.stdout)
	}
	p.logStages(t)

	t.Logf("measured: memory of the installer: %d MB (at most %d)", sampled.memory/1e6, int(mostMemory)/1e6)
	if sampled.memory == 0 || sampled.memory > mostMemory {
		t.Errorf("the installer took %d bytes of memory, not between 1 and %d", sampled.memory, int(mostMemory))
	}
	off := float64(plan.PeakBytes)/float64(sampled.disk) - 1
	t.Logf("measured: disk at its peak: %d MB, planned %d MB, which is %+.0f %%; in the end %d MB, planned %d MB",
		sampled.disk/1e6, plan.PeakBytes/1e6, 100*off, diskUse(p.root())/1e6, plan.KeepBytes/1e6)
	if off < -planSlack || off > planSlack {
		t.Errorf("the plan's peak is %+.0f %% off what was measured", 100*off)
	}
	for _, program := range []string{p.w.program, filepath.Join(p.w.xdgCache, "bootstrap/bin/bootstrap-checkout")} {
		info, err := os.Stat(program)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("measured: %s: %.1f MB", program, float64(info.Size())/1e6)
		if info.Size() > mostProgram {
			t.Errorf("%s has %d bytes, more than %d", program, info.Size(), int(mostProgram))
		}
	}
	after, err := takeManifest(p.home, goOwn...)
	if err != nil {
		t.Fatal(err)
	}
	if list := ".local/state/bootstrap/prefixes.json"; after[list] == "" {
		t.Errorf("HOME has no %s", list)
	}
	for _, known := range []string{".local", ".local/state", ".local/state/bootstrap", ".local/state/bootstrap/prefixes.json"} {
		delete(after, known) // the list of prefixes, and its directories
	}
	if diff := cmp.Diff(before.home, after); diff != "" {
		t.Errorf("HOME has changed without --shell-hook (-before +after):\n%s", diff)
	}
	if left := processesIn(t, p.root()); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
}

// logStages says how long each stage took.
func (p *place) logStages(t *testing.T) {
	t.Helper()
	h, err := journal.Load(p.journal())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range h.Records {
		if r.Event == journal.End {
			t.Logf("measured: stage %s: %s s", r.Stage, r.Output["seconds"])
		}
	}
}

// testAgain runs the command on a complete prefix, with no way to reach any other machine.
func testAgain(t *testing.T, p *place) {
	needs(t, p)
	before, err := takeManifest(p.root())
	if err != nil {
		t.Fatal(err)
	}
	offline := *p
	if offline.change = cannotConnect(); offline.change == nil {
		t.Log("skipped: only root can take the network away; the mirror is a closed port all the same")
	}
	var took []time.Duration
	for range 3 {
		r := offline.install("", "--mirror", "http://127.0.0.1:1").run(t).want(t, 0)
		if !strings.Contains(r.stderr, "nothing to do") {
			t.Errorf("it does not say that there is nothing to do:\n%s", r.tail())
		}
		took = append(took, r.took)
	}
	slices.Sort(took)
	t.Logf("measured: the same command again: %s, %s, %s", took[0], took[1], took[2])
	if took[1] > mostAgain {
		t.Errorf("the same command again takes %s, more than %s", took[1], mostAgain)
	}
	after, err := takeManifest(p.root())
	if err != nil {
		t.Fatal(err)
	}
	// Nix and SQLite make and remove files in the database's directory when they only read.
	for _, m := range []manifest{before, after} {
		for name := range m {
			if strings.HasPrefix(name, "var/nix/db/") || strings.HasPrefix(name, "var/bootstrap/home") ||
				strings.HasPrefix(name, "var/log/bootstrap") {
				delete(m, name)
			}
		}
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the same command again changed something (-before +after):\n%s", diff)
	}
}

// testStatus asks what is installed.
func testStatus(t *testing.T, p *place) {
	text := p.program("status").must(t)
	for _, want := range []string{p.store, "2.26.3", "complete", "toolchain", "native"} {
		if !strings.Contains(text, want) {
			t.Errorf("status does not mention %q:\n%s", want, text)
		}
	}
	var status struct {
		Complete bool `json:"complete"`
		Stages   []struct {
			Name string `json:"name"`
			Done bool   `json:"done"`
		} `json:"stages"`
	}
	if err := json.Unmarshal([]byte(p.program("status", "--json").must(t)), &status); err != nil {
		t.Fatal(err)
	}
	if !status.Complete || len(status.Stages) < 8 {
		t.Errorf("status --json: %+v", status)
	}
	for _, s := range append(status.Stages, p.plan(t).Stages...) {
		if !s.Done {
			t.Errorf("stage %s is not done", s.Name)
		}
	}
}

// testUninstall removes a prefix into which somebody has put a file.
func testUninstall(t *testing.T, p *place, before trees) {
	foreign := filepath.Join(p.store, "note-of-somebody")
	if err := os.WriteFile(foreign, []byte("keep me\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	dry := p.program("uninstall", "--dry-run").run(t).want(t, 0)
	if !strings.Contains(dry.stderr, foreign) {
		t.Errorf("the dry run does not name the file that stays:\n%s", dry.tail())
	}
	needs(t, p)
	r := p.program("uninstall", "--yes").run(t).want(t, 0)
	t.Logf("measured: uninstall: %s", r.took.Round(time.Millisecond))
	if !strings.Contains(r.stdout+r.stderr, foreign) {
		t.Errorf("it does not name the file that stays:\n%s", r.tail())
	}
	if data, err := os.ReadFile(foreign); err != nil || string(data) != "keep me\n" {
		t.Errorf("the file of somebody else: %q, %v", data, err)
	}
	remove(t, foreign)
	if err := os.Remove(p.store); err != nil {
		t.Errorf("something else is left in the store: %v", err)
	}
	if diff := cmp.Diff(before, p.w.before(t, p), cmp.AllowUnexported(trees{})); diff != "" {
		t.Errorf("not as it was before the installation (-before +after):\n%s", diff)
	}
}
