//go:build e2e

package e2e_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/prefix"
)

// testShells uses the native nix as the README says, and without anything sourced.
func testShells(t *testing.T, p *place) {
	commands := func(nix string) string {
		return nix + " --version\n" +
			nix + " eval --expr builtins.storeDir\n" +
			nix + " build -f " + p.packages() + " hello\n" +
			"./result/bin/hello\n"
	}
	want := "nix (Nix) 2.26.3\n\"" + p.store + "\"\nHello, world!\n"
	for name, script := range map[string]string{
		"sourced":       ". " + p.env("sh") + "\n" + commands("nix"),
		"absolute path": commands(filepath.Join(p.native(t), "bin/nix")),
	} {
		r := p.shell(t, script).run(t).want(t, 0)
		if diff := cmp.Diff(want, r.stdout); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		t.Logf("measured: %s, with hello: %s", name, r.took.Round(time.Second))
	}
}

// testClosure looks at what the native nix refers to, and into every program and library of it.
func testClosure(t *testing.T, p *place) {
	infos := p.pathInfos(t, "--recursive", p.native(t))
	var total int64
	var paths []string
	for path, info := range infos {
		total += info.NarSize
		paths = append(paths, path)
		if !strings.HasPrefix(path, p.store+"/") {
			t.Errorf("%s is not in the store directory", path)
		}
		for _, builder := range []string{"toolchain", "compiler"} {
			if path == p.output(t, "toolchain", builder) {
				t.Errorf("the native nix refers to %s", path)
			}
		}
	}
	t.Logf("measured: closure of the native nix: %.1f MiB in %d paths", float64(total)/(1<<20), len(infos))
	if total > mostClosure {
		t.Errorf("the closure has %d bytes, more than %d", total, mostClosure)
	}
	text := p.nix(t, "nix", "path-info", "-rsS", p.native(t)).must(t)
	if n := strings.Count(text, "\n"); n != len(infos) {
		t.Errorf("path-info -rsS has %d lines, not %d:\n%s", n, len(infos), text)
	}
	found, files, err := strangers(p.store, paths)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("measured: %d ELF files in the closure", files)
	for _, f := range found {
		t.Error(f)
	}
	if files < 20 {
		t.Errorf("only %d ELF files were found", files)
	}
}

// testInterpreters holds the first line of every script of the toolchain to what internal/prefix
// computes the longest path of a store from.
func testInterpreters(t *testing.T, p *place) {
	layout, err := prefix.Resolve(prefix.Options{Path: p.store})
	if err != nil {
		t.Fatal(err)
	}
	computed := ""
	for _, b := range layout.Budgets() {
		if strings.HasPrefix(b.Worst, "#!") {
			computed = b.Worst
		}
	}
	longest, where, scripts := "", "", 0
	err = filepath.WalkDir(p.output(t, "toolchain", "toolchain"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		line, err := firstLine(path)
		if err != nil || !strings.HasPrefix(line, "#!"+p.store+"/") {
			return err
		}
		scripts++
		if len(line) > len(longest) {
			longest, where = line, path
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("measured: %d scripts in the toolchain, the longest first line has %d bytes: %s", scripts, len(longest), longest)
	if scripts < 10 {
		t.Errorf("only %d scripts were found", scripts)
	}
	if len(longest) != len(computed) {
		t.Errorf("%s begins with %q, %d bytes; internal/prefix computes %d", where, longest, len(longest), len(computed))
	}
}

// firstLine returns the first line of a file, as far as a kernel would read it.
func firstLine(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head := make([]byte, 1024)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	line, _, _ := strings.Cut(string(head[:n]), "\n")
	return line, nil
}

// trace runs a command under strace and returns what it opened or executed.
func (p *place) trace(t *testing.T, c command) []access {
	t.Helper()
	strace := lookPath(t, "strace")
	file := filepath.Join(c.dir, "trace")
	c.argv = slices.Concat([]string{strace}, traceArgs(file)[1:], []string{"--"}, c.argv)
	c.must(t)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := parseTrace(f)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// testTrace watches what the native nix opens on the host while it evaluates and builds.
func testTrace(t *testing.T, p *place) {
	control := p.shell(t, "cat /usr/lib/os-release")
	if len(below(p.trace(t, control), "/usr/lib")) == 0 {
		t.Fatal("the trace of a program that does open a file below /usr/lib shows none")
	}
	for name, c := range map[string]command{
		"eval":  p.nix(t, "nix", "eval", "--impure", "--expr", `builtins.storeDir + builtins.readFile (toString <bootstrap/default.nix>)`),
		"build": p.nix(t, "nix", "build", "--impure", "--no-link", "--expr", p.proof(t, "traced")),
	} {
		all := p.trace(t, c)
		if len(below(all, p.store)) == 0 {
			t.Errorf("%s: the trace shows nothing of the store: %v", name, all)
		}
		for _, a := range below(all, "/nix", "/usr/lib*", "/lib*") {
			t.Errorf("%s: %s opens %s", name, a.program, a.path)
		}
	}
}

// testVerify has Nix compare every path of the store with what it registered.
func testVerify(t *testing.T, p *place) {
	r := p.nix(t, "nix-store", "--verify", "--check-contents").run(t).want(t, 0)
	for line := range strings.Lines(r.stdout + r.stderr) {
		if strings.Contains(line, "error") || strings.Contains(line, "modified") || strings.Contains(line, "disappeared") {
			t.Errorf("nix-store --verify: %s", line)
		}
	}
	t.Logf("measured: nix-store --verify --check-contents: %s", r.took.Round(time.Second))
}

// testCollect collects garbage; what is installed has to outlive it.
func testCollect(t *testing.T, p *place) {
	// Something to collect, so that it is known to have done anything.
	p.works(t, "garbage")
	infos := p.pathInfos(t, "--recursive", p.native(t))
	r := p.nix(t, "nix-collect-garbage", "-d").run(t).want(t, 0)
	if text := r.stdout + r.stderr; !strings.Contains(text, "deleted") || strings.Contains(text, "0 store paths deleted, 0.00") {
		t.Errorf("nothing was collected:\n%s", r.tail())
	}
	if diff := cmp.Diff(infos, p.pathInfos(t, "--recursive", p.native(t))); diff != "" {
		t.Errorf("the closure of the native nix has changed:\n%s", diff)
	}
	p.works(t, "after-collecting")
	for _, s := range p.plan(t).Stages {
		if !s.Done {
			t.Errorf("after collecting garbage stage %s is not done", s.Name)
		}
	}
	p.nix(t, "nix", "build", "--no-link", "-f", p.packages(), "toolchain").must(t)
}

// traceArgs are the options of strace(1) that parseTrace reads the output of.
// Every attempt counts, whether or not there was such a file: on another host there may be.
func traceArgs(file string) []string {
	return []string{
		"strace", "-f", "--seccomp-bpf", "-qq", "-y", "-s", "4096", "-e", "trace=open,openat,openat2,execve,execveat",
		"-e", "signal=none", "-o", file,
	}
}
