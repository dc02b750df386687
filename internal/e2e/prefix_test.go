//go:build e2e

package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bootstrap/internal/journal"
	"bootstrap/internal/receipt"
)

// place is a prefix, and who works with it.
type place struct {
	w       *world
	store   string // as given to --prefix
	home    string
	account *account
	change  func(*exec.Cmd) // of every command; may be nil
	host    string          // a Nix to begin with, by its path; Debian's if empty
	jobs    int             // compilers at a time; as many as there are processors if 0
}

func (p *place) root() string         { return filepath.Dir(p.store) }
func (p *place) journal() string      { return filepath.Join(p.root(), "var/bootstrap/journal.jsonl") }
func (p *place) packages() string     { return filepath.Join(p.root(), "share/bootstrap/packages") }
func (p *place) env(sh string) string { return filepath.Join(p.root(), "etc/profile.d/nix."+sh) }

// environment is that of somebody who has logged in. Go's is part of it for the script that builds.
func (p *place) environment() []string {
	env := []string{
		"HOME=" + p.home, "USER=" + p.account.name, "LOGNAME=" + p.account.name, "SHELL=/bin/sh",
		"LANG=C.UTF-8", "TERM=dumb", "XDG_CACHE_HOME=" + p.w.xdgCache,
	}
	for _, name := range []string{"BOOTSTRAP_MIRROR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return append(env, p.w.goEnv...)
}

// program returns a command line of the installer's for this prefix.
func (p *place) program(args ...string) command {
	return command{
		argv: append([]string{p.w.program}, append(args, "--prefix", p.store)...), dir: p.w.checkout,
		env: p.environment(), account: p.account, change: p.change,
	}
}

// install returns the command that makes the prefix, ended by SIGKILL after the record of that
// name in the journal, if there is one.
func (p *place) install(crash string, args ...string) command {
	if p.host != "" {
		args = append(args, "--host", p.host)
	}
	if p.jobs > 0 {
		args = append(args, "--jobs", strconv.Itoa(p.jobs))
	}
	c := p.program(append(args, "--yes")...)
	if crash != "" {
		c.env = append(c.env, "BOOTSTRAP_CRASH="+crash)
	}
	return c
}

// shell returns a command that runs a script in a shell without any environment but HOME.
func (p *place) shell(t *testing.T, script string) command {
	t.Helper()
	return command{
		argv: []string{"/bin/sh", "-euc", script}, dir: p.scratch(t),
		env: []string{"HOME=" + p.home}, account: p.account, change: p.change,
	}
}

// nix returns a command of the native nix, called by its path with nothing in its environment but HOME.
func (p *place) nix(t *testing.T, program string, args ...string) command {
	t.Helper()
	return command{
		argv: append([]string{filepath.Join(p.native(t), "bin", program)}, args...), dir: p.scratch(t),
		env: []string{"HOME=" + p.home}, account: p.account, change: p.change,
	}
}

// scratch makes a directory to work in, which is not in HOME.
func (p *place) scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(p.w.dir, "work-")
	if err != nil {
		t.Fatal(err)
	}
	p.w.mkdir(t, dir)
	return dir
}

// native returns the store path of the native nix, from the receipt.
func (p *place) native(t *testing.T) string {
	t.Helper()
	return p.output(t, "native", "nix")
}

// output returns what a stage made, from the receipt.
func (p *place) output(t *testing.T, stage, name string) string {
	t.Helper()
	r, err := receipt.Load(filepath.Join(p.root(), "var/bootstrap/receipt.json"))
	if err != nil {
		t.Fatal(err)
	}
	s, _ := r.Stage(stage)
	if s.Outputs[name] == "" {
		t.Fatalf("receipt: stage %q has no output %q: %v", stage, name, s.Outputs)
	}
	return s.Outputs[name]
}

// complete reports whether the prefix has a receipt.
func (p *place) complete() bool {
	_, err := os.Stat(filepath.Join(p.root(), "var/bootstrap/receipt.json"))
	return err == nil
}

// records returns how often the journal says this of a stage.
func (p *place) records(t *testing.T, stage string, event journal.Event) int {
	t.Helper()
	h, err := journal.Load(p.journal())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, r := range h.Records {
		if r.Stage == stage && r.Event == event {
			n++
		}
	}
	return n
}

// await waits until a process has begun a stage.
func (p *place) await(t *testing.T, run *process, stage string, earlier int) {
	t.Helper()
	for p.records(t, stage, journal.Begin) <= earlier {
		if !run.running() {
			t.Fatalf("it ended before stage %s\n%s", stage, run.wait(t).tail())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// pathInfo is what Nix knows of a store path and does not depend on when it was made.
type pathInfo struct {
	NarHash    string   `json:"narHash"`
	NarSize    int64    `json:"narSize"`
	References []string `json:"references"`
	Deriver    string   `json:"deriver"`
	CA         string   `json:"ca"`
}

// pathInfos asks the native nix about store paths, by the arguments of `nix path-info`.
func (p *place) pathInfos(t *testing.T, args ...string) map[string]pathInfo {
	t.Helper()
	out := p.nix(t, "nix", append([]string{"path-info", "--json"}, args...)...).must(t)
	infos := map[string]pathInfo{}
	if err := json.Unmarshal([]byte(out), &infos); err != nil {
		t.Fatalf("nix path-info: %v\n%s", err, lastLines(out, 5))
	}
	if len(infos) == 0 {
		t.Fatal("nix path-info: it knows no path")
	}
	for path, info := range infos {
		slices.Sort(info.References)
		infos[path] = info
	}
	return infos
}

// proof is an expression for a derivation that was not built before.
func (p *place) proof(t *testing.T, name string) string {
	t.Helper()
	return `derivation { name = "` + name + `"; system = builtins.currentSystem; builder = "` +
		p.output(t, "toolchain", "busybox") + `/bin/sh"; args = [ "-c" "echo ` + name + ` > $out" ]; }`
}

// works evaluates and builds something new with the native nix.
func (p *place) works(t *testing.T, name string) {
	t.Helper()
	if got := strings.TrimSpace(p.nix(t, "nix", "eval", "--raw", "--expr", "builtins.storeDir").must(t)); got != p.store {
		t.Errorf("builtins.storeDir is %q, not %q", got, p.store)
	}
	out := strings.TrimSpace(p.nix(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", p.proof(t, name)).must(t))
	if data, err := os.ReadFile(out); err != nil || string(data) != name+"\n" {
		t.Errorf("built %q: %q, %v", out, data, err)
	}
}
