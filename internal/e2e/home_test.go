//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/journal"
)

// longest is the length of the prefix below HOME, in bytes.
const longest = 60

// inHome returns a place below a HOME, at the end of a long path.
func inHome(t *testing.T, w *world) *place {
	t.Helper()
	p := &place{w: w, home: w.home(t, "h"), account: w.user}
	pad := longest - len(p.home) - len("//store")
	if pad < 1 {
		t.Fatalf("HOME %q is too long", p.home)
	}
	p.store = filepath.Join(p.home, strings.Repeat("p", pad), "store")
	if len(p.store) != longest {
		t.Fatalf("%q has %d bytes", p.store, len(p.store))
	}
	return p
}

// testHome installs in runtime mode first, and then with everything that can be asked for.
func testHome(t *testing.T, p *place) {
	built := testRuntime(t, p)
	run := p.install("", "--shell-hook", "--build-hello").start(t)
	p.await(t, run, "toolchain", 0)
	t.Run("second installer", func(t *testing.T) { testLocked(t, p, run) })
	r := run.wait(t).want(t, 0)
	t.Logf("measured: installation below HOME, with hello, beside another: %s", r.took.Round(time.Second))
	if hello := p.output(t, "prove", "hello"); !strings.HasPrefix(hello, p.store+"/") {
		t.Errorf("hello was built as %q", hello)
	}
	p.works(t, "in-home")
	built.kept(t, p)
	t.Run("login shells", func(t *testing.T) { testLoginShells(t, p) })
}

func testUninstallHome(t *testing.T, p *place, before trees) {
	needs(t, p)
	r := p.program("uninstall", "--yes").run(t).want(t, 0)
	t.Logf("measured: uninstall below HOME: %s", r.took.Round(time.Millisecond))
	if diff := cmp.Diff(before.home, p.w.before(t, p).home); diff != "" {
		t.Errorf("HOME is not as it was (-before +after):\n%s", diff)
	}
}

// testLocked starts a second installer on a prefix that one is at work in.
func testLocked(t *testing.T, p *place, first *process) {
	before := p.records(t, "toolchain", journal.Begin)
	r := p.install("").run(t).want(t, 5)
	if want := fmt.Sprintf("pid %d", first.cmd.Process.Pid); !strings.Contains(r.stderr, want) {
		t.Errorf("it does not name the installer that is at work, %s:\n%s", want, r.tail())
	}
	r = p.program("uninstall", "--yes").run(t).want(t, 5)
	if !first.running() {
		t.Errorf("the first installer ended:\n%s", r.tail())
	}
	if got := p.records(t, "toolchain", journal.Begin); got != before {
		t.Errorf("the second installer wrote to the journal")
	}
}

// testLoginShells logs in anew, with every shell that is there.
func testLoginShells(t *testing.T, p *place) {
	const ask = "command -v nix; nix --version"
	for _, tt := range []struct {
		shell string
		args  []string
	}{
		{"sh", []string{"-l", "-c", ask}},
		{"bash", []string{"-l", "-c", ask}},
		{"bash", []string{"-i", "-c", ask}},
		{"zsh", []string{"-l", "-c", ask}},
		{"zsh", []string{"-c", ask}},
		{"fish", []string{"-l", "-c", ask}},
		{"tcsh", []string{"-c", "which nix; nix --version"}},
	} {
		t.Run(tt.shell+" "+tt.args[0], func(t *testing.T) {
			shell := lookPath(t, tt.shell)
			r := command{
				argv: append([]string{shell}, tt.args...), dir: p.scratch(t), account: p.account,
				env: []string{
					"HOME=" + p.home, "USER=" + p.account.name, "PATH=/usr/local/bin:/usr/bin:/bin", "TERM=dumb", "LANG=C.UTF-8",
					"XDG_DATA_HOME=" + p.scratch(t), // fish makes a directory for its history
				},
			}.run(t).want(t, 0)
			lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
			if len(lines) != 2 || lines[1] != "nix (Nix) 2.26.3" {
				t.Fatalf("got %q\n%s", lines, r.tail())
			}
			real, err := filepath.EvalSymlinks(lines[0])
			if err != nil || !strings.HasPrefix(real, p.store+"/") {
				t.Errorf("nix is %q, in truth %q (%v), and not in %s", lines[0], real, err, p.store)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(p.home, ".bash_profile")); err == nil {
		t.Error("a .bash_profile was made, which hides the .profile that was there")
	}
}
