package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bootstrap/internal/lineage"
	"bootstrap/internal/lock"
	"bootstrap/internal/receipt"
	"bootstrap/stages"

	"github.com/google/go-cmp/cmp"
)

// strike is a moment of an upgrade at which it is killed.
type strike struct {
	point   string
	current string // the generation that has to be current then
	slow    bool   // left to the whole suite
}

// strikes are at every record of an upgrade in which everything is built again.
func strikes() []strike {
	all := []strike{{"create", "1", false}}
	for i, stage := range stageNames()[1:] { // nothing is fetched
		for _, moment := range []string{"begin", "built", "flushed", "end"} {
			quick := moment == "end" || moment == "begin" && i >= 4
			all = append(all, strike{stage + " " + moment, "1", !quick})
		}
	}
	return append(all, strike{"generation proved", "1", false}, strike{"generation noted", "1", false}, strike{"generation current", "2", false})
}

// TestUpgradeKilled kills an upgrade at every moment: what was current stays current, works, and is
// complete, and the same command ends with the same store and the same generation.
func TestUpgradeKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: some fifty runs")
	}
	w := newWard(t)
	newer := w.newerLock(t)
	p := w.patient(t, true)
	p.upgrade(newer).wants(0).did(stageNames()...)
	want := p.remains()
	if got := p.current(); got != "2" {
		t.Fatalf("generation %s is current", got)
	}
	for _, b := range strikes() {
		if b.slow && os.Getenv(faultsVariable) != "all" {
			continue
		}
		t.Run(hyphened(b.point), func(t *testing.T) {
			p := w.patient(t, true)
			defer p.dismiss()
			p.upgrade(newer, "BOOTSTRAP_CRASH="+b.point).wants(killed)
			if got := p.current(); got != b.current {
				t.Errorf("generation %s is current, not %s", got, b.current)
			}
			p.works()
			if b.current == "1" {
				p.run().wants(0, "nothing to do")
			}
			p.upgrade(newer).wants(0)
			if got := p.current(); got != "2" {
				t.Errorf("generation %s is current in the end", got)
			}
			p.works()
			p.remains().compare(t, want, nil)
		})
	}
}

// newerLock writes a lock in which a package of the toolchain is another one, and returns its file.
func (w *ward) newerLock(t *testing.T) string {
	t.Helper()
	l := *w.seed.lock
	l.Entries = slices.Clone(l.Entries)
	for i, e := range l.Entries {
		if e.Name == "libacl1" {
			l.Entries[i].Roles = []lock.Role{lock.Host} // and no more of the toolchain
		}
	}
	file := w.path("newer.json")
	must(t, os.WriteFile(file, l.Marshal(), 0o644))
	return file
}

// upgrade runs the command, from another lock.
func (p *patient) upgrade(lockFile string, settings ...string) *attempt {
	p.Helper()
	cmd := p.command("upgrade")
	cmd.Args = append(cmd.Args, "--lock="+lockFile)
	return p.startCommand(cmd, settings...).wait()
}

// current returns the number of the generation that is current.
func (p *patient) current() string {
	p.Helper()
	target, err := os.Readlink(p.path("opt", "var", "bootstrap", "generations", "current"))
	must(p.T, err)
	return target
}

// works has nix build something by the profile, and every file of the prefix be there.
func (p *patient) works() {
	p.Helper()
	out, err := exec.Command(p.path("opt", "var", "nix", "profiles", "default", "bin", "nix"), "build", "thing").CombinedOutput()
	if err != nil {
		p.Errorf("nix build: %v\n%s", err, out)
	}
	must(p.T, exec.Command(p.path("opt", "var", "nix", "profiles", "default", "bin", "nix-store"), "--delete", p.storePath("thing"), p.storePath("thing.drv")).Run())
	for _, name := range []string{"etc/nix/nix.conf", "etc/profile.d/nix.sh", "share/bootstrap/packages/default.nix", "var/bootstrap/receipt.json"} {
		if data, err := os.ReadFile(filepath.Join(p.path("opt"), name)); err != nil || len(data) == 0 {
			p.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
	status := p.command("status")
	status.Args = append([]string{"bootstrap", "status"}, "--prefix="+p.store(), "--lock="+p.path("opt", "share", "bootstrap", "packages", "lock.json"),
		"--host="+p.path("nix"), "--cache-dir="+p.cache)
	text, err := status.Output()
	if err != nil || !strings.Contains(string(text), "complete\n") {
		p.Errorf("status: %v\n%s", err, text)
	}
}

// TestEarlierReleases upgrades what an earlier release has installed, for each version of the receipt:
// it becomes the first generation, and there is a way back to it.
func TestEarlierReleases(t *testing.T) {
	w := newWard(t)
	newer := w.newerLock(t)
	receipts, err := filepath.Glob(filepath.Join("..", "..", "internal", "receipt", "testdata", "v[0-9].json"))
	if err != nil || len(receipts) < 2 {
		t.Fatal(receipts, err)
	}
	for _, version := range receipts {
		t.Run(filepath.Base(version), func(t *testing.T) {
			p := w.patient(t, true)
			defer p.dismiss()
			p.flatten(version)
			before := p.remains()
			p.run().wants(0, "nothing to do")
			if diff := cmp.Diff(before.told(t, nil), p.remains().told(t, nil)); diff != "" {
				t.Errorf("the receipt was changed (-before +after):\n%s", diff)
			}
			p.upgrade(newer, "BOOTSTRAP_CRASH=generation adopted").wants(killed)
			p.run().wants(0, "nothing to do")
			p.upgrade(newer).wants(0)
			if got := p.current(); got != "2" {
				t.Fatalf("generation %s is current", got)
			}
			p.works()
			p.rollback().wants(0)
			if got := p.current(); got != "1" {
				t.Fatalf("generation %s is current after the way back", got)
			}
			p.works()
			p.run().wants(0, "nothing to do")
			if left, err := filepath.Glob(p.path("opt", "var", "nix", "gcroots", "bootstrap", "[a-z]*")); err != nil || len(left) > 0 {
				t.Errorf("roots of the earlier release are left: %q, %v", left, err)
			}
		})
	}
}

// TestEarlierReleaseIncomplete: a file that is gone is no reason to leave the rest as it is.
func TestEarlierReleaseIncomplete(t *testing.T) {
	w := newWard(t)
	p := w.patient(t, true)
	defer p.dismiss()
	receipts, err := filepath.Glob(filepath.Join("..", "..", "internal", "receipt", "testdata", "v[0-9].json"))
	if err != nil || len(receipts) == 0 {
		t.Fatal(receipts, err)
	}
	p.flatten(receipts[0])
	must(t, os.Remove(p.healthy.receipt.Layout.EnvFile("csh")))
	p.upgrade(w.newerLock(t)).wants(0)
	if got := p.current(); got != "2" {
		t.Fatalf("generation %s is current", got)
	}
	p.works()
}

// TestEarlierReleaseWithoutReceipt: where the receipt of an earlier release cannot be read, the journal
// says what is installed. It is not built over by another program's plain command, and there is a way
// back to it.
func TestEarlierReleaseWithoutReceipt(t *testing.T) {
	w := newWard(t)
	newer := w.newerLock(t)
	receipts, err := filepath.Glob(filepath.Join("..", "..", "internal", "receipt", "testdata", "v[0-9].json"))
	if err != nil || len(receipts) == 0 {
		t.Fatal(receipts, err)
	}
	for _, way := range []string{"flat", "generations"} {
		for _, damage := range []string{"gone", "half"} {
			t.Run(way+" "+damage, func(t *testing.T) {
				p := w.patient(t, true)
				defer p.dismiss()
				file := p.healthy.receipt.Layout.Receipt()
				if way == "flat" {
					p.flatten(receipts[0])
				} else {
					target, err := filepath.EvalSymlinks(file)
					must(t, err)
					file = target
				}
				before, err := os.ReadFile(file)
				must(t, err)
				must(t, os.Remove(file))
				if damage == "half" {
					must(t, os.WriteFile(file, before[:len(before)/2], 0o644))
				}
				other := p.command()
				other.Args = append(other.Args, "--lock="+newer)
				p.startCommand(other).wait().wants(2, "its receipt cannot be read", "bootstrap upgrade")
				p.upgrade(newer).wants(0)
				if got := p.current(); got != "2" {
					t.Fatalf("generation %s is current", got)
				}
				p.works()
				if way == "generations" {
					return // of the first nobody knows any more that it was complete
				}
				p.rollback().wants(0)
				p.works()
				rec, err := receipt.Load(file)
				must(t, err)
				native, _ := rec.Stage(stages.Native)
				if rec.NixVersion != p.healthy.receipt.NixVersion || rec.LockDigest != p.healthy.receipt.LockDigest || native.Outputs["nix"] != p.output(stages.Native, "nix") || rec.Created.IsZero() {
					t.Errorf("the receipt that was lost: %+v", rec)
				}
				p.run().wants(0, "nothing to do")
			})
		}
	}
}

func (p *patient) rollback(args ...string) *attempt {
	p.Helper()
	cmd := p.command()
	cmd.Args = append([]string{"bootstrap", "rollback", "--prefix=" + p.store()}, args...)
	return p.startCommand(cmd).wait()
}

// flatten makes of the installation what an earlier release would have left: files at their places,
// GC roots side by side, a profile that Nix has made, and a receipt of a version.
func (p *patient) flatten(version string) {
	p.Helper()
	l := p.healthy.receipt.Layout
	first := lineage.Dir(l, 1)
	rec, err := receipt.Load(l.Receipt())
	must(p.T, err)
	old, err := receipt.Load(version)
	must(p.T, err)
	for _, m := range lineage.Members(l) {
		must(p.T, os.Remove(m.Live))
		if m.Live != l.DefaultProfile() && m.Live != l.Receipt() {
			copyTree(p.T, filepath.Join(first, m.Name), m.Live)
		}
	}
	native := p.output(stages.Native, "nix")
	must(p.T, os.Symlink(native, l.DefaultProfile()+"-1-link"))
	must(p.T, os.Symlink("default-1-link", l.DefaultProfile()))
	roots, err := filepath.Glob(filepath.Join(l.RootsOf(1), "*"))
	must(p.T, err)
	for _, root := range roots {
		must(p.T, os.Rename(root, filepath.Join(l.GCRoots(), filepath.Base(root))))
	}
	must(p.T, os.Remove(l.RootsOf(1)))
	flat := func(text string) string {
		return strings.ReplaceAll(text, l.RootsOf(1)+"/", l.GCRoots()+"/")
	}
	for i := range rec.Made {
		rec.Made[i].Path = flat(rec.Made[i].Path)
	}
	rec.Made = slices.DeleteFunc(rec.Made, func(m receipt.Made) bool { return m.Path == l.RootsOf(1) || m.Path == l.DefaultProfile() })
	rec.Borrowed = old.Borrowed
	raze(p.T, l.Generations())
	must(p.T, receipt.Write(l.Receipt(), *rec))
	if rec, err = receipt.Load(l.Receipt()); err != nil || rec.Version != old.Version {
		p.Fatalf("the receipt has version %d, and not %d: %v", rec.Version, old.Version, err)
	}
	p.change(l.Journal(), func(data []byte) []byte {
		var kept []string
		for line := range strings.Lines(string(data)) {
			own := strings.Contains(line, `"text":"`+stages.GenerationNote+`"`) || strings.Contains(line, `"path":"`+l.RootsOf(1)+`"`) ||
				strings.Contains(line, `"path":"`+l.DefaultProfile()+`"`)
			if !own {
				kept = append(kept, flat(line))
			}
		}
		return []byte(strings.Join(kept, ""))
	})
}
