//go:build e2e

package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/journal"
)

// testDestdir makes the files of a prefix below a directory, for the place where a prefix is that
// is installed: once in runtime mode from nothing, and once around the native nix of that one, so
// that nothing is compiled. Each is moved then to where only it is at that place, and works there.
func testDestdir(t *testing.T, p *place) {
	needs(t, p)
	dir := p.scratch(t)
	t.Cleanup(func() { remove(t, dir) })
	a := &apart{p: p, root: filepath.Join(dir, "root")}
	if r := a.program("plan", "--runtime").run(t); r.code == 3 && strings.Contains(r.stderr, "takes user namespaces") {
		t.Logf("skipped: files below a directory: %s", lastLines(r.stderr, 2))
		return
	}
	p.addHelloSource(t)
	p.nix(t, "nix", "build", "--no-link", "-f", p.packages(), "hello").must(t)
	stamp := filepath.Join(dir, "stamp")
	if err := os.WriteFile(stamp, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Millisecond) // later than that by a file system's clock
	t.Run("refused", func(t *testing.T) { testDestdirRefused(t, a) })
	t.Run("runtime", func(t *testing.T) { testDestdirRuntime(t, a) })
	t.Run("native", func(t *testing.T) { testDestdirNative(t, a) })
	if out := p.shell(t, "find "+p.root()+" -newer "+stamp).must(t); out != "" {
		t.Errorf("written at the place itself:\n%s", out)
	}
	p.works(t, "destdir-after")
}

// apart is a prefix whose files lie below a directory, at the place of another.
type apart struct {
	p    *place
	root string // what stands for "/"
}

func (a *apart) files() string { return filepath.Join(a.root, a.p.root()) }

// program returns a command line of the installer's for it.
func (a *apart) program(args ...string) command {
	return a.p.program(append(args, "--destdir", a.root)...)
}

// moved moves the files away from where they were made, and returns a prefix that sees them, and
// nothing of the one that was at its place, as on another machine.
func (a *apart) moved(t *testing.T) *place {
	t.Helper()
	onlyRoot(t)
	to := filepath.Join(filepath.Dir(a.root), "moved")
	if err := os.Rename(a.files(), to); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Rename(to, a.files()); err != nil {
			t.Error(err)
		}
	})
	there := *a.p
	there.change = both(a.p.change, view(a.p.account, binding{to, a.p.root()}))
	return &there
}

// testDestdirRefused asks for it where there are no namespaces.
func testDestdirRefused(t *testing.T, a *apart) {
	change := cannotSandbox(self(t))
	if change == nil {
		t.Skip("skipped: namespaces cannot be taken away here")
	}
	blind := a.program("--yes", "--runtime")
	blind.account, blind.change = self(t), change
	r := blind.run(t).want(t, 3)
	if !strings.Contains(r.stderr, "takes user namespaces: ") || !strings.Contains(r.stderr, "\nhint: ") {
		t.Errorf("it does not say what is missing, and what to do:\n%s", r.tail())
	}
	if _, err := os.Lstat(a.root); err == nil {
		t.Error("it wrote something before it refused")
	}
}

// testDestdirRuntime begins with nothing: what is unpacked, relinked, tried and proved is the
// real thing.
func testDestdirRuntime(t *testing.T, a *apart) {
	r := a.program("--yes", "--runtime").run(t).want(t, 0)
	t.Logf("measured: runtime mode below a directory: %s", r.took.Round(100*time.Millisecond))
	run := func(argv ...string) string { return strings.TrimSpace(a.run(argv...).must(t)) }
	if got := run("nix", "eval", "--raw", "--expr", "builtins.storeDir"); got != a.p.store {
		t.Errorf("builtins.storeDir is %q, not %q", got, a.p.store)
	}
	out := run("nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", a.p.simple("apart"))
	if data, err := os.ReadFile(filepath.Join(a.root, out)); err != nil || string(data) != "apart\n" {
		t.Errorf("built %q: %q, %v", out, data, err)
	}
	a.killed(t)
	t.Run("moved", func(t *testing.T) {
		there := a.moved(t)
		out := strings.TrimSpace(there.runtime(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", there.simple("moved")).must(t))
		if got := there.shell(t, `read -r line <`+out+`; echo "$line"`).must(t); got != "moved\n" {
			t.Errorf("built after it was moved: %q", got)
		}
	})
	a.uninstalled(t, filepath.Dir(a.root))
}

// run returns a command that sees the files at their place.
func (a *apart) run(argv ...string) command {
	c := a.program()
	c.argv = append([]string{a.p.w.program, "run", "--prefix", a.p.store, "--destdir", a.root, "--"}, argv...)
	return c
}

// killed kills the process that waits for a program: that ends, too.
func (a *apart) killed(t *testing.T) {
	t.Helper()
	waiting := a.run("sleep", "1000").start(t)
	comm := func(pid int) string {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		return strings.TrimSpace(string(text))
	}
	sleeper := 0
	for begin := time.Now(); sleeper == 0; time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal("it does not begin to sleep")
		}
		for _, pid := range descendants(waiting.cmd.Process.Pid) {
			if comm(pid) == "sleep" {
				sleeper = pid
			}
		}
	}
	if err := waiting.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waiting.wait(t)
	for begin := time.Now(); comm(sleeper) == "sleep"; time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("it sleeps although nobody waits for it")
		}
	}
}

// uninstalled takes the files away, and makes sure that nothing is left of them in a directory that
// was there before, or of what it was made in.
func (a *apart) uninstalled(t *testing.T, before string) {
	t.Helper()
	a.program("uninstall", "--yes").run(t).want(t, 0)
	left, err := takeManifest(before)
	if err != nil {
		t.Fatal(err)
	}
	delete(left, ".")
	delete(left, "stamp")
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	remove(t, a.root)
}

// testDestdirNative goes on with what a run had done that was killed after it had compiled the
// native nix, and takes it to its end.
func testDestdirNative(t *testing.T, a *apart) {
	p := a.p
	a.afterNative(t)
	r := a.program("--yes").run(t).want(t, 0)
	t.Logf("measured: the last stages below a directory: %s", r.took.Round(100*time.Millisecond))
	for _, stage := range []string{"toolchain", "bootstrap", "native"} {
		if strings.Contains(r.stderr, "> "+stage) {
			t.Errorf("stage %s is done again\n%s", stage, r.tail())
		}
	}
	for _, stage := range []string{"configure", "install", "prove"} {
		if !strings.Contains(r.stderr, "> "+stage) {
			t.Errorf("stage %s is not done\n%s", stage, r.tail())
		}
	}
	// What was made there is what was made here, byte for byte.
	for _, part := range []string{"etc", "share"} {
		want, err := takeManifest(filepath.Join(p.root(), part), "nix/nix.borrowed.conf")
		if err != nil {
			t.Fatal(err)
		}
		got, err := takeManifest(filepath.Join(a.files(), part))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-at the place +below a directory):\n%s", part, diff)
		}
	}
	for _, file := range []string{"etc/nix/nix.conf", "etc/profile.d/nix.sh", "etc/profile.d/nix.fish", "etc/profile.d/nix.csh", "share/bootstrap/environment.sh"} {
		if want, got := string(read(t, filepath.Join(p.root(), file))), string(read(t, filepath.Join(a.files(), file))); got != want {
			t.Errorf("%s: -at the place +below a directory\n%s", file, cmp.Diff(want, got))
		}
	}
	status := a.program("status", "--json").must(t)
	var s struct {
		Complete bool `json:"complete"`
		Drift    []struct{ Path, What string }
	}
	if err := json.Unmarshal([]byte(status), &s); err != nil || !s.Complete || len(s.Drift) > 0 {
		t.Errorf("status: %v, %+v", err, s)
	}
	again := a.program("--yes").run(t).want(t, 0)
	if !strings.Contains(again.stderr, "nothing to do") {
		t.Errorf("again:\n%s", again.tail())
	}
	a.shares(t)
	t.Run("moved", func(t *testing.T) {
		there := a.moved(t)
		if out := there.program("status").must(t); !strings.Contains(out, "complete") {
			t.Errorf("status:\n%s", out)
		}
		there.nix(t, "nix-store", "--verify-path", p.native(t)).must(t)
		out := strings.TrimSpace(there.nix(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", p.proof(t, "destdir-moved")).must(t))
		if got := there.shell(t, `read -r line <`+out+`; echo "$line"`).must(t); got != "destdir-moved\n" {
			t.Errorf("built after it was moved: %q", got)
		}
		hello := strings.TrimSpace(there.nix(t, "nix", "build", "--no-link", "--print-out-paths", "-f", p.packages(), "hello").must(t))
		if got := there.shell(t, hello+"/bin/hello").must(t); got != greeting {
			t.Errorf("hello says %q", got)
		}
		program := strings.TrimSpace(there.nix(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", p.compiled()).must(t))
		if got := there.shell(t, program).must(t); got != "compiled\n" {
			t.Errorf("what was compiled says %q", got)
		}
	})
	a.uninstalled(t, a.files())
}

// shares fills a cache from it, and makes a bundle of it, for whoever has the same place already.
func (a *apart) shares(t *testing.T) {
	t.Helper()
	dir := a.p.scratch(t)
	key := filepath.Join(dir, "key")
	public := strings.TrimSpace(a.p.command("cache", "key", "new", "apart-1", "-o", key).must(t))
	files := "file://" + filepath.Join(dir, "files")
	a.program("cache", "push", files, "--secret-key", key, "-f", a.p.packages(), "hello").run(t).want(t, 0)
	a.p.nix(t, "nix", "store", "verify", "--store", files, "--no-contents", "--all", "--option", "trusted-public-keys", public).must(t)
	a.program("cache", "use", files, "--key", public).must(t)
	if got := a.program("cache", "list").must(t); got != files+"  "+public+"\n" {
		t.Errorf("cache list: %q", got)
	}
	a.program("cache", "drop", files).must(t)
	bundle := filepath.Join(dir, "nix.bundle")
	a.program("bundle", "create", "-o", bundle).run(t).want(t, 0)
	if said := a.p.command("bundle", "inspect", bundle).must(t); !strings.Contains(said, "made at    "+a.p.store+"\n") {
		t.Errorf("the bundle:\n%s", said)
	}
}

// compiled is an expression for a program that says so, by the compiler of the package set.
func (p *place) compiled() string {
	return `let set = import ` + p.packages() + ` { }; in derivation {
		name = "compiled"; system = builtins.currentSystem; builder = "${set.toolchain}/usr/bin/bash";
		PATH = "${set.compiler}/bin:${set.toolchain}/usr/bin";
		args = [ "-euc" "echo 'int puts(const char *); int main(void) { return puts(\"compiled\") < 0; }' >x.c; cc x.c -o $out" ];
	}`
}

// afterNative copies the prefix, and takes from the copy all that was made after the native nix.
// The files of the store get a second name instead: nobody writes to them.
func (a *apart) afterNative(t *testing.T) {
	t.Helper()
	p := a.p
	for dir := a.files(); dir != filepath.Dir(a.root); dir = filepath.Dir(dir) {
		p.w.mkdir(t, dir)
	}
	run := func(argv ...string) {
		t.Helper()
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", argv, err, out)
		}
	}
	if exec.Command("cp", "-al", p.store, a.files()).Run() != nil { // another file system, or not one's own
		remove(t, filepath.Join(a.files(), "store"))
		run("cp", "-a", "--reflink=auto", p.store, a.files())
	}
	run("cp", "-a", filepath.Join(p.root(), "var"), a.files())
	for _, later := range []string{"var/nix/profiles", "var/nix/users", "var/nix/builds", "var/bootstrap/generations", "var/bootstrap/receipt.json"} {
		remove(t, filepath.Join(a.files(), later))
	}
	data := read(t, p.journal())
	h, err := journal.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	last := -1
	for i, r := range h.Records {
		if r.Stage == "native" && r.Event == journal.End {
			last = i
			break
		}
	}
	if last < 0 {
		t.Fatal("the journal has no end of the native nix")
	}
	cut := filepath.Join(a.files(), "var/bootstrap/journal.jsonl")
	if err := os.WriteFile(cut, bytes.Join(lines[:last+1], nil), 0o600); err != nil {
		t.Fatal(err)
	}
	p.w.user.own(t, cut)
}
