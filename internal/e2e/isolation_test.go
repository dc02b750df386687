//go:build e2e

package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bootstrap/internal/prefix"
	"bootstrap/internal/receipt"
)

// testIsolation makes sure that nothing that is done with one prefix reaches another, a Nix in
// /nix, or the HOME of whoever does it. Both prefixes belong to one account and are complete;
// they have to be there, and as good as before, in the end.
//
// docs/ISOLATION.md says which test is for which failure and for which patch;
// TestIsolationTables holds it to that.
func testIsolation(t *testing.T, a, b *place) {
	n := newNeighbours(t, a, b, "neighbours")
	before := n.others(t)
	for _, group := range []struct {
		name string
		test func(*testing.T, *neighbours)
	}{
		{"leaks", testLeaks},
		{"shells", testOtherShell},
		{"half environments", testHalfEnvironment},
		{"poison", testPoison},
		{"profiles", testProfiles},
		{"homes", testHomes},
		{"roots", testRoots},
		{"collectors", testCollectors},
		{"namespaces", testNoNamespaces},
		{"caches", testSharedCaches},
		{"substituters", testSubstituters},
		{"configuration", testForeignConfiguration},
		{"stamp", testStoreStamp},
		{"defaults", testCompiledDefaults},
		{"patches", testPatchesApply},
	} {
		t.Run(group.name, func(t *testing.T) {
			group.test(t, n)
			same(t, "after the group", before, n.others(t))
			n.a.works(t, "iso-after-"+filepath.Base(t.Name())+"-a")
			n.b.works(t, "iso-after-"+filepath.Base(t.Name())+"-b")
		})
	}
}

// neighbours are two prefixes of one account that are used from one HOME, on a machine where
// another Nix has left its files. A third prefix, of another kind, would be one more field.
type neighbours struct {
	w       *world
	a, b    *place // both with the HOME below, and started where xdg and classic are in place
	home    string
	xdg     string   // stands for /etc/xdg; "" if nothing does
	classic *classic // stands for /nix; nil if nothing does
}

// newNeighbours makes them in directories that begin with a name.
func newNeighbours(t *testing.T, a, b *place, name string) *neighbours {
	t.Helper()
	for _, p := range []*place{a, b} {
		needs(t, p)
		p.dropDeadRoots(t)
	}
	n := &neighbours{w: a.w, home: a.w.home(t, name)}
	n.plantHome(t)
	n.w.mkdir(t, n.w.temporary())
	var bindings []binding
	if info, err := os.Stat("/etc/xdg"); os.Getuid() == 0 && err == nil && info.IsDir() {
		n.xdg = filepath.Join(n.w.dir, name+"-xdg")
		n.w.put(t, filepath.Join(n.xdg, "nix/nix.conf"), foreignConf)
		bindings = append(bindings, binding{n.xdg, "/etc/xdg"})
	} else {
		t.Log("skipped: only root can put another directory in the place of /etc/xdg")
	}
	if n.classic = newClassic(t, filepath.Join(a.w.dir, name+"-nix"), a); n.classic != nil {
		bindings = append(bindings, binding{n.classic.dir, "/nix"})
	} else {
		t.Log("skipped: only root can put a store in the place of /nix")
	}
	change := view(a.account, bindings...)
	n.a, n.b = n.moveIn(a, change), n.moveIn(b, change)
	if n.classic != nil {
		n.classic.fill(t, n.a)
	}
	return n
}

// temporary returns the TMPDIR of all commands that have no other.
func (w *world) temporary() string { return filepath.Join(w.dir, "neighbours-tmp") }

// moveIn returns the place as it is used here. It has the prefix in common with the one given.
func (n *neighbours) moveIn(p *place, change func(*exec.Cmd)) *place {
	c := *p
	c.home, c.change = n.home, both(p.change, change)
	return &c
}

// pairs are the two ways to call one of them the other.
func (n *neighbours) pairs() [][2]*place { return [][2]*place{{n.a, n.b}, {n.b, n.a}} }

// others is what is not of either prefix and has to stay as it is.
func (n *neighbours) others(t *testing.T) manifest {
	t.Helper()
	all := manifest{}
	for _, dir := range []string{n.home, n.xdg, n.classic.path()} {
		if dir == "" {
			continue
		}
		m, err := takeManifest(dir)
		if err != nil {
			t.Fatal(err)
		}
		for name, what := range m {
			all[filepath.Join(dir, name)] = what
		}
	}
	return all
}

// layout returns the directories of the prefix, from the receipt.
func (p *place) layout(t *testing.T) prefix.Layout {
	t.Helper()
	r, err := receipt.Load(filepath.Join(p.root(), "var/bootstrap/receipt.json"))
	if err != nil {
		t.Fatal(err)
	}
	return r.Layout
}

// bare returns a command of the prefix's Nix, called by its path by somebody who has logged in
// and sourced nothing. Variables given as well come last, so they win.
func (p *place) bare(dir string, argv []string, env ...string) command {
	return command{
		argv: argv, dir: dir, account: p.account, change: p.change,
		env: slices.Concat([]string{
			"HOME=" + p.home, "USER=" + p.account.name, "LOGNAME=" + p.account.name,
			"PATH=/usr/local/bin:/usr/bin:/bin", "TERM=dumb", "LANG=C.UTF-8", "TMPDIR=" + p.w.temporary(),
		}, env),
	}
}

// sourced returns the same command called by its name, after the env file was sourced in that environment.
func (p *place) sourced(dir string, argv []string, env ...string) command {
	c := p.bare(dir, nil, env...)
	c.argv = slices.Concat([]string{"/bin/sh", "-euc", `. "$0"; exec "$@"`, p.env("sh")}, argv)
	c.argv[4] = filepath.Base(c.argv[4])
	return c
}

// programPath returns the path of one of the programs of the native nix.
func (p *place) programPath(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(p.native(t), "bin", name)
}

// line returns a command line of the prefix's Nix, of words without spaces, as bare does.
func (p *place) line(t *testing.T, dir, line string, env ...string) command {
	t.Helper()
	argv := strings.Fields(line)
	argv[0] = p.programPath(t, argv[0])
	return p.bare(dir, argv, env...)
}

// refused makes sure that a command has failed for that reason.
func (r result) refused(t *testing.T, reason string) {
	t.Helper()
	if r.code == 0 || !strings.Contains(r.stderr, reason) {
		t.Errorf("%s\nit was to be refused, with %q\n%s", r, reason, r.tail())
	}
}
