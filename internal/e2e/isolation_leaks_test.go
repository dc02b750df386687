//go:build e2e

package e2e_test

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// way is how the commands of the table are called.
type way struct {
	title    string // of its column
	sourced  bool
	readOnly bool   // nothing in HOME can be written to
	home     string // HOME, where it is not the one with the canaries
}

func ways() []way {
	return []way{
		{title: "nothing sourced"},
		{title: "env file sourced", sourced: true},
		{title: "HOME read-only", readOnly: true},
		{title: "HOME=/nonexistent", home: "/nonexistent"},
	}
}

// leak is what one command wrote outside of the prefix.
type leak struct {
	outside []string // anywhere but:
	named   []string // in the working directory, since the command line names it,
	left    []string // in TMPDIR, and is still there
}

// testLeaks counts what every command writes outside of the prefix, and holds the table of
// docs/ISOLATION.md to it. HOME and /etc/xdg have what another Nix would keep there, so that what
// is not left alone is not only seen but in the way.
func testLeaks(t *testing.T, n *neighbours) {
	counts := map[string][]leak{}
	for _, way := range ways() {
		t.Run(way.title, func(t *testing.T) {
			begin := time.Now()
			for line, l := range testWay(t, n, way) {
				counts[line] = append(counts[line], l)
			}
			t.Logf("measured: %d commands, %s: %s", len(jobs()), way.title, time.Since(begin).Round(time.Second))
		})
	}
	if t.Failed() {
		return
	}
	compareTable(t, leakTable(counts))
}

func testWay(t *testing.T, n *neighbours, way way) map[string]leak {
	a := *n.a
	w := a.newWares(t)
	if way.home != "" {
		a.home = way.home
	}
	if way.readOnly {
		readOnly(t, n.home)
	}
	built := map[string]string{"one": a.built(t, w, "one"), "two": a.built(t, w, "two")}
	tmp := a.scratch(t)
	found := map[string]leak{}
	for _, j := range jobs() {
		if j.fresh {
			a.forget(t)
		}
		argv := j.argv(w, built)
		var c command
		if way.sourced {
			c = a.sourced(w.dir, argv, "TMPDIR="+tmp)
		} else {
			argv[0] = a.programPath(t, argv[0])
			c = a.bare(w.dir, argv, "TMPDIR="+tmp)
		}
		l := a.watch(t, n, c, w.dir, tmp)
		found[j.line] = l
		if len(l.outside) > 0 {
			t.Errorf("%s writes outside of the prefix:\n%s", j.line, strings.Join(l.outside, "\n"))
		}
		if len(l.named) > 0 && j.named == "" {
			t.Errorf("%s writes what nobody has named:\n%s", j.line, strings.Join(l.named, "\n"))
		}
	}
	a.forget(t)
	return found
}

// watch runs a command, and returns what it wrote where.
func (p *place) watch(t *testing.T, n *neighbours, c command, work, tmp string) leak {
	t.Helper()
	seen := func(dir string) manifest {
		m, err := takeManifest(dir)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	others, named, temporary := n.others(t), seen(work), seen(tmp)
	trace := filepath.Join(p.scratch(t), "trace")
	if strace := lookPath(t, "strace"); strace != "" {
		c.argv = slices.Concat([]string{strace}, writeTraceArgs(trace)[1:], []string{"--"}, c.argv)
	}
	r := c.run(t)
	if r.code != 0 {
		t.Errorf("%s\n%s", r, r.tail())
	}
	l := leak{
		outside: changes(others, n.others(t)), named: changes(named, seen(work)), left: changes(temporary, seen(tmp)),
	}
	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	written, err := parseWrites(f, work)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range written {
		if len(below([]access{{path: path}}, p.root(), work, tmp, "/dev", "/proc")) == 0 {
			l.outside = append(l.outside, "write "+path)
		}
	}
	if _, err := f.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	all, err := parseTrace(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(below(all, p.store)) == 0 {
		t.Errorf("%s: the trace shows nothing of the store", r)
	}
	for _, a := range below(all, n.foreign()...) {
		t.Errorf("%s: %s opens %s", r, a.program, a.path)
	}
	return l
}

// writeTraceArgs are the options of strace(1) that parseWrites and parseTrace read the output of.
// A system call with "?" in front may be missing on this architecture.
func writeTraceArgs(file string) []string {
	var names []string
	for name := range writeCalls {
		names = append(names, "?"+name)
	}
	slices.Sort(names)
	return []string{
		"strace", "-f", "--seccomp-bpf", "-qq", "-y", "-s", "4096", "-e", "signal=none",
		"-e", "trace=" + strings.Join(names, ",") + ",execve,execveat", "-o", file,
	}
}

// foreign are the files of other Nixes, which no command of ours has a reason to open.
func (n *neighbours) foreign() []string {
	dirs := []string{"/nix", "/etc/nix", "/etc/xdg/nix"}
	for _, name := range []string{
		".cache/nix", ".config/nix", ".config/nixpkgs", ".local/share/nix", ".local/state/nix",
		".nix-profile", ".nix-defexpr", ".nix-channels",
	} {
		dirs = append(dirs, filepath.Join(n.home, name), filepath.Join("/nonexistent", name))
	}
	return dirs
}

// forget takes away what the account has by itself in the prefix: profiles, channels, registry.
func (p *place) forget(t *testing.T) {
	t.Helper()
	l := p.layout(t)
	for _, dir := range []string{l.UserProfiles(p.account.name), l.UserDir(p.account.name)} {
		remove(t, dir)
		p.w.mkdir(t, dir)
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// dropRoots removes the roots of links below a directory that is gone: a collector would take it for
// one that is not mounted.
func (p *place) dropRoots(t *testing.T, dir string) {
	t.Helper()
	links, err := filepath.Glob(filepath.Join(filepath.Dir(p.layout(t).GCRoots()), "auto", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, dir+"/") {
			remove(t, link)
		}
	}
}

// readOnly takes the right to write from a tree, and gives it back when the test ends.
func readOnly(t *testing.T, root string) {
	t.Helper()
	was := map[string]fs.FileMode{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		was[path] = cmp.Or(info.Mode().Perm(), 0o755)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, mode := range was {
		if err := os.Chmod(path, mode&^0o222); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for path, mode := range was {
			if err := os.Chmod(path, mode); err != nil {
				t.Error(err)
			}
		}
	})
}
