//go:build e2e

package e2e_test

import (
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/journal"
)

// mostInterrupt is how soon an interrupted installer has to be gone.
const mostInterrupt = 2 * time.Second

// mostCompile is how long one compiler may work, which is far more than any of them does.
const mostCompile = 5 * time.Minute

// blow is one way to end an installation before its time.
type blow struct {
	record string        // it kills itself after this record of the journal; or, if there is none:
	stage  string        // it is hit in this stage,
	from   time.Duration // so long after its begin, or up to as long again later,
	signal syscall.Signal
	all    bool // and with it everything it has started, as when the machine goes down
}

// blows are in the order of the pipeline: each stage is hit at its beginning, in the middle where
// it takes long enough to have one, and when it has ended.
func blows() []blow {
	return []blow{
		{record: "create"},
		{record: "fetch begin"},
		{record: "fetch end"},
		{record: "host begin"},
		{stage: "host", from: 400 * time.Millisecond, signal: syscall.SIGKILL},
		{record: "host end"},
		{record: "toolchain begin"},
		{stage: "toolchain", from: 3 * time.Second, signal: syscall.SIGKILL},
		{record: "toolchain end"},
		{record: "bootstrap begin"},
		{stage: "bootstrap", from: 10 * time.Second, signal: syscall.SIGKILL, all: true},
		{stage: "bootstrap", from: 5 * time.Second, signal: syscall.SIGINT},
		{record: "bootstrap end"},
		{record: "native begin"},
		{stage: "native", from: 10 * time.Second, signal: syscall.SIGKILL},
		{stage: "native", from: 5 * time.Second, signal: syscall.SIGTERM},
		{record: "native end"},
		{record: "configure begin"},
		{record: "configure end"},
		{record: "install begin"},
		{record: "install end"},
		{record: "prove begin"},
		{record: "prove end"},
	}
}

// testKilled installs with all those blows, and has to end with the bytes of an installation that had none.
func testKilled(t *testing.T, p *place, want map[string]pathInfo) {
	if cannotSandbox(p.account) == nil {
		t.Log("skipped: user namespaces cannot be made here, so the first installation had no sandbox either")
	}
	begin := time.Now()
	struck := *p
	struck.host = "" // until the one of the seed has had its blows
	for _, b := range blows() {
		if b.record == "toolchain begin" {
			struck.host = p.host
		}
		b.strike(t, &struck)
	}
	p.install("").run(t).want(t, 0)
	t.Logf("measured: installation with %d blows: %s", len(blows()), time.Since(begin).Round(time.Second))
	p.logStages(t)

	if got := p.output(t, "host", "sandbox"); got != "false" {
		t.Errorf("builds were sandboxed (%q), which this was to be without", got)
	}
	if want == nil {
		t.Fatal("there is no first installation to compare with")
	}
	if diff := cmp.Diff(want, p.pathInfos(t, "--all")); diff != "" {
		t.Errorf("the store is not that of the first installation (-first +second):\n%s", diff)
	}
	t.Logf("measured: %d store paths, the same as of the first installation", len(want))
	testVerify(t, p)
	p.works(t, "after-being-killed")
}

// strike runs the installer and ends it.
func (b blow) strike(t *testing.T, p *place) {
	t.Helper()
	if b.record != "" {
		r := p.install(b.record).run(t)
		if r.signal != syscall.SIGKILL {
			t.Fatalf("%s\nit was to be killed after the record %q\n%s", r, b.record, r.tail())
		}
		return
	}
	earlier := p.records(t, b.stage, journal.Begin)
	// A compiler that is at work when the installer is killed works on to its end; the next blow
	// is not to be blamed for it.
	b.nothingLeft(t, p, mostCompile)
	run := p.install("").start(t)
	p.await(t, run, b.stage, earlier)
	moment := time.Duration((1 + rand.Float64()) * float64(b.from))
	time.Sleep(moment)
	if !run.running() {
		t.Fatalf("it ended before it was hit\n%s", run.wait(t).tail())
	}
	t.Logf("%s %s into stage %s, %d processes", b.signal, moment.Round(100*time.Millisecond), b.stage, len(descendants(run.cmd.Process.Pid)))
	hit := time.Now()
	if b.signal == syscall.SIGKILL {
		b.kill(t, run)
		return
	}
	// As a terminal does, to the whole process group.
	if err := syscall.Kill(-run.cmd.Process.Pid, b.signal); err != nil {
		t.Fatal(err)
	}
	r := run.wait(t).want(t, 130)
	took := time.Since(hit)
	t.Logf("measured: %s in stage %s: gone after %s", b.signal, b.stage, took.Round(time.Millisecond))
	if took > mostInterrupt {
		t.Errorf("%s: gone after %s, more than %s", b.signal, took, mostInterrupt)
	}
	if !strings.Contains(r.stderr, "interrupted in stage "+b.stage) || !strings.Contains(r.stderr, "hint: run the same command again") {
		t.Errorf("%s: it does not say how to go on\n%s", b.signal, r.tail())
	}
	b.nothingLeft(t, p, mostInterrupt)
}

func (b blow) kill(t *testing.T, run *process) {
	t.Helper()
	var pids []int
	if b.all {
		pids = descendants(run.cmd.Process.Pid)
	}
	if err := run.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if r := run.wait(t); r.signal != syscall.SIGKILL {
		t.Fatalf("%s\nit was to be killed\n%s", r, r.tail())
	}
}

// nothingLeft waits for the last process of the prefix to end.
func (b blow) nothingLeft(t *testing.T, p *place, most time.Duration) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(most); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if left = processesIn(t, p.root()); len(left) == 0 {
			return
		}
	}
	t.Errorf("%s: processes are left: %q", b.signal, left)
}

// hostPrograms are executed although they are the host's, by a name that the sources of hello have.
// What they open in turn is their own business.
var hostPrograms = map[string]string{
	"/bin/arch": configLog, "/bin/machine": configLog, "/bin/uname": configLog, "/bin/universe": configLog,
	"/usr/bin/arch": configLog, "/usr/bin/hostinfo": configLog, "/usr/bin/oslevel": configLog,
	"/usr/bin/uname": configLog, "/usr/convex/getsysinfo": configLog,
	"build-aux/vc-list-files": "make lists the sources; its interpreter is /bin/sh by its first line",
}

const configLog = "configure describes the machine at the top of config.log, and goes by nothing of it"

// hostFiles are opened although they are the host's, by a name that is compiled in.
var hostFiles = map[string]string{
	"/usr/include/cfg.mk":            "make looks there for what a makefile includes if it exists",
	"/usr/local/include/cfg.mk":      "make looks there for what a makefile includes if it exists",
	"/usr/lib/locale":                "configure tries locales, and the C library has them there",
	"/usr/share/locale/locale.alias": "configure tries locales, and the C library has them there",
}

// excuse returns why a build may open a file of the host's all the same.
func excuse(a access) (reason string, ok bool) {
	for _, program := range []string{a.program, a.path} {
		if reason, ok := hostPrograms[program]; ok {
			return reason, true
		}
	}
	for name, reason := range hostFiles {
		if a.path == name || strings.HasPrefix(a.path, name+"/") {
			return reason, true
		}
	}
	return "", false
}

// testUnsandboxed watches what a build opens on the host when nothing keeps it from doing so.
func testUnsandboxed(t *testing.T, p *place) {
	needs(t, p)
	all := p.trace(t, p.nix(t, "nix", "build", "--no-link", "-f", p.packages(), "hello"))
	if n := len(below(all, p.output(t, "toolchain", "toolchain"))); n < 100 {
		t.Errorf("the trace shows no compiler at work: it opens %d files of the toolchain", n)
	}
	excused := map[string]int{}
	for _, a := range below(all, "/usr", "/lib*", "/nix", "/bin", "/sbin", "/home", "/root") {
		if reason, ok := excuse(a); ok {
			excused[reason]++
			continue
		}
		t.Errorf("the build of hello: %s opens %s", a.program, a.path)
	}
	for reason, n := range excused {
		t.Logf("excused, %d files: %s", n, reason)
	}
	p.program("uninstall", "--yes").run(t).want(t, 0)
}
