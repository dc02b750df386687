//go:build e2e

package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bootstrap/internal/lock"
)

// generation is what the tests need of `history --json`.
type generation struct {
	Number   int    `json:"number"`
	Current  bool   `json:"current"`
	Complete bool   `json:"complete"`
	Nix      string `json:"nix"`
	LockDate string `json:"lock_timestamp"`
}

// history asks for the history, and returns the current one with it.
func (p *place) history(t *testing.T) (all []generation, current generation) {
	t.Helper()
	if err := json.Unmarshal([]byte(p.program("history", "--json").must(t)), &all); err != nil {
		t.Fatal(err)
	}
	for _, g := range all {
		if g.Current {
			current = g
		}
	}
	if current.Number == 0 {
		t.Fatalf("no generation is current: %+v", all)
	}
	return all, current
}

// otherLock writes the prefix's own lock with the date of a day later, which it returns: a lock that
// nothing has to be compiled for, since no build goes by it.
func (p *place) otherLock(t *testing.T) (file, date string) {
	t.Helper()
	l, err := lock.Parse(read(t, filepath.Join(p.packages(), "lock.json")))
	if err != nil {
		t.Fatal(err)
	}
	was, err := time.Parse(lock.TimeLayout, l.Timestamp)
	if err != nil {
		t.Fatal(err)
	}
	l.Timestamp = was.AddDate(0, 0, 1).Format(lock.TimeLayout)
	for i := range l.Suites {
		l.Suites[i].Date = l.Timestamp
	}
	file = filepath.Join(p.scratch(t), "lock.json")
	p.w.put(t, file, string(l.Marshal()))
	return file, l.Timestamp
}

// testGenerations upgrades a prefix, with hello as the proof, kills that at its records, goes back
// and forth, and removes what is not current.
func testGenerations(t *testing.T, p *place) {
	needs(t, p)
	p.program("gc", "--keep", "0", "--yes").must(t) // none besides the one that is current
	p.addHelloSource(t)
	before := p.pathInfos(t, "--all")
	_, old := p.history(t)
	file, date := p.otherLock(t)
	upgrade := func(crash string) command {
		return p.install(crash, "upgrade", "--lock", file, "--build-hello")
	}
	for _, s := range p.upgradePlan(t, file) {
		if (s.Name == "toolchain" || s.Name == "native") && !s.Done {
			t.Fatalf("the upgrade would build %s: this program is another one than that of the prefix", s.Name)
		}
	}
	var next int
	for _, record := range []string{
		"configure begin", "configure end", "install end", "prove begin", "prove end", "generation proved", "generation noted", "generation current",
	} {
		if r := upgrade(record).run(t); r.signal != syscall.SIGKILL {
			t.Fatalf("%s\nit was to be killed after the record %q\n%s", r, record, r.tail())
		}
		_, now := p.history(t)
		if record == "generation current" {
			next = now.Number
		} else if now.Number != old.Number {
			t.Errorf("killed after %q: generation %d is current", record, now.Number)
		}
		if text := string(read(t, filepath.Join(p.packages(), "lock.json"))); strings.Contains(text, date) != (now.Number == next) {
			t.Errorf("killed after %q: the package set is not that of generation %d", record, now.Number)
		}
		p.works(t, "killed-"+strings.ReplaceAll(record, " ", "-"))
	}
	r := upgrade("").run(t).want(t, 0)
	t.Logf("measured: an upgrade that was made, found again: %s", r.took)
	all, now := p.history(t)
	if next == old.Number || now.Number != next || now.LockDate != date || now.Nix != old.Nix {
		t.Fatalf("generations after the upgrade: %+v", all)
	}
	p.program("verify").must(t)
	if out := p.shell(t, `. "`+p.env("sh")+`"; nix eval --raw --expr builtins.storeDir`).must(t); out != p.store {
		t.Errorf("a shell says %q", out)
	}

	hello := p.evaluated(t, "hello")
	r = p.program("rollback").run(t).want(t, 0)
	t.Logf("measured: rollback: %s", r.took)
	if _, now := p.history(t); now.Number != old.Number {
		t.Errorf("generation %d is current after the rollback", now.Number)
	}
	if strings.Contains(string(read(t, filepath.Join(p.packages(), "lock.json"))), date) {
		t.Error("the package set is not that of before")
	}
	p.works(t, "rolled-back")
	p.nix(t, "nix-collect-garbage", "-d").must(t)
	if !isThere(hello) {
		t.Error("what a generation has was collected: hello")
	}
	p.program("rollback", "--to", strconv.Itoa(next)).must(t)
	p.program("verify").must(t)
	p.program("rollback", "--to", strconv.Itoa(old.Number)).must(t)

	p.program("gc", "--keep", "0", "--yes").must(t)
	if all, _ := p.history(t); len(all) != 1 || all[0].Number != old.Number {
		t.Errorf("after gc: %+v", all)
	}
	if _, there := before[hello]; !there && isThere(hello) {
		t.Errorf("%s was not collected with its generation", hello)
	}
	after := p.pathInfos(t, "--all")
	for path, info := range before {
		if _, ok := after[path]; !ok && !strings.Contains(path, "hello") {
			t.Errorf("%s was collected, which was there before: %+v", path, info)
		}
	}
	p.program("verify").must(t)
	p.works(t, "after-generations")
}

// evaluated returns the output path of an attribute of the package set.
func (p *place) evaluated(t *testing.T, attribute string) string {
	t.Helper()
	return p.nix(t, "nix", "eval", "--raw", "-f", p.packages(), attribute).must(t)
}

// upgradePlan returns the stages of the plan of an upgrade.
func (p *place) upgradePlan(t *testing.T, file string) []plannedStage {
	t.Helper()
	var plan struct {
		Stages []plannedStage `json:"stages"`
	}
	out := p.program("upgrade", "--dry-run", "--json", "--lock", file).must(t)
	if err := json.Unmarshal([]byte(out), &plan); err != nil {
		t.Fatalf("upgrade --dry-run --json: %v\n%s", err, out)
	}
	if len(plan.Stages) == 0 {
		t.Fatal("the plan has no stages")
	}
	return plan.Stages
}

type plannedStage struct {
	Name string `json:"name"`
	Done bool   `json:"done"`
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
