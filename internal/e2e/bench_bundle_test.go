//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bootstrap/internal/closure"
	"bootstrap/internal/nixbundle"
	"bootstrap/internal/prefix"
	"bootstrap/internal/transplant"
)

// How long an installation from a bundle may take, in times of what tar takes for the same bytes, and in seconds.
const (
	mostOfTar  = 3
	mostBundle = 5
)

// TestBenchBundle measures an installation from a bundle of a prefix that is there, and tar with the same bytes.
// BOOTSTRAP_BENCH_BUNDLE is the store directory of the prefix, BOOTSTRAP_BENCH_PROGRAM the installer, and
// BOOTSTRAP_BENCH the file for the table; scripts/bench bundle calls it.
func TestBenchBundle(t *testing.T) {
	store, out := os.Getenv("BOOTSTRAP_BENCH_BUNDLE"), os.Getenv("BOOTSTRAP_BENCH")
	if store == "" || out == "" {
		t.Skip("only for scripts/bench bundle")
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
	w := &world{
		dir: dir, checkout: dir, user: owner(t, store),
		xdgCache: filepath.Join(dir, "cache"), program: os.Getenv("BOOTSTRAP_BENCH_PROGRAM"),
	}
	w.mkdir(t, dir)
	p := &place{w: w, store: store, home: w.home(t, "home"), account: w.user}
	b := newBundle(t, p)
	files := filepath.Join(b.dir, "closure.tar.zst")
	argv := []string{"--zstd", "-C", store, "-cf", files}
	for path := range p.pathInfos(t, "--recursive", p.native(t)) {
		argv = append(argv, filepath.Base(path))
	}
	runTar(t, argv...)

	// The best of three rounds, each of which does everything: by the clock, and of processors. Nothing is removed
	// before the last has ended: ext4 passes by each inode that was freed within the last minutes when it makes a
	// file, which would be most of what tar does.
	clock, work := map[string]float64{}, map[string]float64{}
	note := func(times map[string]float64, what string, seconds float64) {
		if before, ok := times[what]; !ok || seconds < before {
			times[what] = seconds
		}
	}
	both := func(what string, f func()) {
		began := time.Now()
		note(work, what, cost(f))
		note(clock, what, time.Since(began).Seconds())
	}
	for round := range 3 {
		at := func(what string) *place {
			return b.at(t, sameLength(fmt.Sprintf("%s-%d-", what, round), filepath.Base(p.root())))
		}
		q := at("whole")
		both("whole", func() { b.install(t, q, b.file).want(t, 0) })
		for stage, seconds := range q.stageSeconds(t) {
			note(clock, stage, seconds)
		}
		empty := at("paths")
		both("written", func() { b.write(t, empty) })
		archives, unpacked := p.scratch(t), p.scratch(t)
		both("tar", func() { runTar(t, "--zstd", "-C", archives, "-xf", b.file) })
		both("files", func() { runTar(t, "--zstd", "-C", unpacked, "-xf", files) })
	}

	r := report{}
	r.row("bundle, MB", "%.1f", float64(len(read(t, b.file)))/1e6)
	r.row("what is made of it, MB", "%.1f", p.closureBytes(t)/1e6)
	r.limit("**installation from a bundle, by the clock, s**", clock["whole"], mostBundle)
	for _, stage := range []string{"relocate", "native", "configure", "install", "prove"} {
		r.row("– stage "+stage+", s", "%.2f", clock[stage])
	}
	r.row("bundle to store paths: verified, rewritten, checked and written, s", "%.2f", clock["written"])
	r.row("`tar -x` of the bundle, s", "%.2f", clock["tar"])
	r.row("`tar -x` of the closure's files, s", "%.2f", clock["files"])
	r.ratio("**installation / `tar -x` of the bundle**", clock["whole"]/clock["tar"], mostOfTar)
	r.ratio("**bundle to store paths / `tar -x` of the bundle**", clock["written"]/clock["tar"], mostOfTar)
	r.row("the same in processor time: installation, s", "%.2f", work["whole"])
	r.row("bundle to store paths, s", "%.2f", work["written"])
	r.row("`tar -x` of the bundle, s", "%.2f", work["tar"])
	r.row("`tar -x` of the closure's files, s", "%.2f", work["files"])
	r.ratio("**installation / `tar -x` of the bundle**", work["whole"]/work["tar"], mostOfTar)
	r.ratio("**bundle to store paths / `tar -x` of the bundle**", work["written"]/work["tar"], mostOfTar)

	text := r.text(load)
	t.Log("\n" + text)
	if err := os.WriteFile(out, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func runTar(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command(look(t, "tar"), args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", cmd.Args, err, out)
	}
}

// write makes store paths of a bundle at another place, as the stage does before it asks any Nix.
func (b *bundles) write(t *testing.T, p *place) {
	t.Helper()
	if err := os.MkdirAll(p.store, 0o755); err != nil {
		t.Fatal(err)
	}
	key, err := nixbundle.ParsePublicKey(strings.TrimSpace(string(read(t, b.key))))
	if err != nil {
		t.Fatal(err)
	}
	layout, err := prefix.Resolve(prefix.Options{Path: p.store})
	if err != nil {
		t.Fatal(err)
	}
	o, err := (&nixbundle.Source{Location: b.file, Shown: b.file, Key: key}).Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	staged, err := transplant.Stage(context.Background(), transplant.Options{Head: o.Head, Body: o.Body(), Layout: layout, Tmp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer staged.Close()
	if err := staged.Commit(context.Background(), func(closure.Path) bool { return false }, nil); err != nil {
		t.Fatal(err)
	}
}
