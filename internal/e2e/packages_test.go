//go:build e2e

package e2e_test

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// nixpkgs is the package set of testdata/nixpkgs, and a server that has its one source and the set as a tarball.
// That source is the native nix of the prefix, packed: so what the set calls its Nix is one that works.
type nixpkgs struct {
	dir, source, tarball string // the set, and two files of the server
	server               *httptest.Server
	gone                 atomic.Bool // the server does not have the source
}

// packagesRow is what the tests need of `packages --json`, and of the plan.
type packagesRow struct {
	Generation int    `json:"generation"`
	Set        string `json:"set"`
	From       string `json:"from"`
	Locked     string `json:"locked"`
	Rev        string `json:"rev"`
	NARHash    string `json:"nar_hash"`
	Version    string `json:"version"`
	Path       string `json:"path"`
	NixVersion string `json:"nix_version"`
	Forecast   *struct {
		Build   []string `json:"build"`
		Sources []string `json:"sources"`
		Fetch   []string `json:"fetch"`
		There   int      `json:"there"`
	} `json:"forecast"`
}

// nixpkgsRev is the commit that the set says it is of.
const nixpkgsRev = "0123456789abcdef0123456789abcdef01234567"

// testPackages gives a prefix a package set in the shape of nixpkgs in place of the embedded one, by each of the ways
// in which one can be named, with a build that fails, one that is killed, and sources from a cache of another
// store directory; and goes back.
func testPackages(t *testing.T, p *place) {
	needs(t, p)
	p.dropDeadRoots(t)
	p.program("gc", "--keep", "0", "--yes").must(t)
	_, old := p.history(t)
	before := p.pathInfos(t, "--all")
	n := p.writeNixpkgs(t, map[string]any{})
	defer n.server.Close()
	t.Run("both store directories", func(t *testing.T) { n.bothStores(t, p) })
	t.Run("forecast", func(t *testing.T) { n.foretold(t, p, before) })
	t.Run("a prefix without a Nix", func(t *testing.T) { n.fresh(t, p) })
	t.Run("a source is missing", func(t *testing.T) { n.missing(t, p, old) })
	t.Run("goes on", func(t *testing.T) { n.goesOn(t, p, old) })
	t.Run("in use", func(t *testing.T) { n.inUse(t, p) })
	t.Run("other kinds of Nix", func(t *testing.T) { n.modular(t, p) })
	t.Run("by other names", func(t *testing.T) { n.otherNames(t, p) })
	t.Run("update", func(t *testing.T) { n.update(t, p) })
	p.program("rollback", "--to", strconv.Itoa(old.Number)).must(t)
	p.dropDeadRoots(t)
	p.program("gc", "--keep", "0", "--yes").must(t)
	if row := p.packagesRow(t); row.Set != "embedded" || row.Generation != old.Number {
		t.Errorf("after the way back: %+v", row)
	}
	after := p.pathInfos(t, "--all")
	for path := range before {
		if _, ok := after[path]; !ok {
			t.Errorf("%s was collected, which was there before", path)
		}
	}
	p.program("verify").must(t)
	p.works(t, "after-packages")
}

// writeNixpkgs makes the set and its server. Its manual is a derivation that can be given other attributes.
func (p *place) writeNixpkgs(t *testing.T, manual map[string]any) *nixpkgs {
	t.Helper()
	www := p.scratch(t)
	n := &nixpkgs{dir: filepath.Join(p.scratch(t), "nixpkgs"), source: filepath.Join(www, "nix.tar"), tarball: filepath.Join(www, "set.tar.gz")}
	files := http.FileServer(http.Dir(www))
	n.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.gone.Load() && r.URL.Path == "/nix.tar" {
			http.NotFound(w, r)
			return
		}
		files.ServeHTTP(w, r)
	}))
	copyTree(t, filepath.Join("testdata", "nixpkgs"), n.dir)
	sum := packTree(t, p.native(t), n.source, "", false)
	tools := filepath.Join(n.dir, "bootstrap-tools", "bin")
	p.w.mkdir(t, tools)
	p.w.put(t, filepath.Join(tools, "busybox"), string(read(t, filepath.Join(p.output(t, "toolchain", "busybox"), "bin", "busybox"))))
	if err := os.Chmod(filepath.Join(tools, "busybox"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("busybox", filepath.Join(tools, "sh")); err != nil {
		t.Fatal(err)
	}
	_, version, _ := strings.Cut(filepath.Base(p.native(t)), "-nix-")
	seed, err := json.Marshal(map[string]any{
		"nix":     map[string]string{"name": "nix.tar", "url": n.server.URL + "/nix.tar", "sha256": sum},
		"version": version, "default": "nix_2_26", "docs": manual,
	})
	if err != nil {
		t.Fatal(err)
	}
	p.w.put(t, filepath.Join(n.dir, "seed.json"), string(seed))
	p.w.put(t, filepath.Join(n.dir, ".git-revision"), nixpkgsRev+"\n")
	p.w.user.own(t, n.dir)
	return n
}

// packTree packs a tree, whose directories can be written to then, and returns the sha256 of the tarball.
func packTree(t *testing.T, dir, file, top string, compress bool) string {
	t.Helper()
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	h := sha256.New()
	var to io.WriteCloser = nopCloser{io.MultiWriter(out, h)}
	if compress {
		to = gzip.NewWriter(to)
	}
	w := tar.NewWriter(to)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		target := ""
		if d.Type()&fs.ModeSymlink != 0 {
			if target, err = os.Readlink(path); err != nil {
				return err
			}
		}
		head, err := tar.FileInfoHeader(info, target)
		if err != nil {
			return err
		}
		head.Name, head.Mode, head.Uname, head.Gname = filepath.Join(top, path[len(dir):]), head.Mode|0o600, "", ""
		if head.Name = strings.TrimPrefix(head.Name, "/"); head.Name == "" {
			return nil
		}
		if err := w.WriteHeader(head); err != nil || !d.Type().IsRegular() {
			return err
		}
		_, err = w.Write(read(t, path))
		return err
	})
	for _, c := range []io.Closer{w, to} {
		if cerr := c.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// packagesRow asks which package set the prefix has.
func (p *place) packagesRow(t *testing.T) (row packagesRow) {
	t.Helper()
	if err := json.Unmarshal([]byte(p.program("packages", "--json").must(t)), &row); err != nil {
		t.Fatal(err)
	}
	return row
}

// planned returns what a plan says of a set.
func (n *nixpkgs) planned(t *testing.T, p *place, args ...string) packagesRow {
	t.Helper()
	var plan struct {
		Packages packagesRow `json:"packages"`
	}
	if err := json.Unmarshal([]byte(p.program(append([]string{"upgrade", "--dry-run", "--json"}, args...)...).must(t)), &plan); err != nil {
		t.Fatal(err)
	}
	if plan.Packages.Forecast == nil {
		t.Fatalf("the plan has no forecast: %+v", plan.Packages)
	}
	slices.Sort(plan.Packages.Forecast.Build)
	return plan.Packages
}

// bothStores evaluates the set for /nix/store and for the prefix: other paths, of the same shape.
func (n *nixpkgs) bothStores(t *testing.T, p *place) {
	shape := func(store string) (names []string, hashes map[string]bool) {
		at := p.scratch(t)
		uri := "local?store=" + store + "&root=" + at + "/root&real=" + at + "/root" + store + "&state=" + at + "/state&log=" + at + "/log"
		var shown map[string]json.RawMessage
		out := p.nix(t, "nix", "derivation", "show", "--recursive", "--store", uri, "--file", n.dir, "nix").must(t)
		if err := json.Unmarshal([]byte(out), &shown); err != nil {
			t.Fatal(err)
		}
		hashes = map[string]bool{}
		for path := range shown {
			base, ok := strings.CutPrefix(path, store+"/")
			if !ok {
				t.Fatalf("%s: %q is not in it", store, path)
			}
			names, hashes[base[:32]] = append(names, base[33:]), true
		}
		slices.Sort(names)
		return names, hashes
	}
	here, ours := shape(p.store)
	there, theirs := shape("/nix/store")
	if diff := cmp.Diff(there, here); diff != "" || len(here) < 4 {
		t.Errorf("derivations (-/nix/store +%s):\n%s", p.store, diff)
	}
	for hash := range ours {
		if theirs[hash] {
			t.Errorf("%s is in both", hash)
		}
	}
}

// foretold has a plan made, which writes nothing into the prefix.
func (n *nixpkgs) foretold(t *testing.T, p *place, before map[string]pathInfo) {
	row := n.planned(t, p, "--packages", "nixpkgs="+n.dir)
	_, version, _ := strings.Cut(filepath.Base(p.native(t)), "-nix-")
	want := []string{"nix-" + version, "nix-manual-" + version, "nix.tar", "stdenv"}
	if diff := cmp.Diff(want, row.Forecast.Build); diff != "" || !slices.Equal(row.Forecast.Sources, []string{"nix.tar"}) || row.Forecast.There != 0 {
		t.Errorf("forecast %+v (-want +got):\n%s", row.Forecast, diff)
	}
	if row.Version != "24.11test" || row.Rev != nixpkgsRev || row.NixVersion != version {
		t.Errorf("the plan says %+v", row)
	}
	if diff := cmp.Diff(before, p.pathInfos(t, "--all")); diff != "" {
		t.Errorf("the plan has changed the store (-before +after):\n%s", diff)
	}
	r := p.program("upgrade", "--dry-run", "--packages", "nixpkgs="+n.dir, "--nix-version", "~> 2.31.0").run(t).want(t, 2)
	if !strings.Contains(r.stderr, "no Nix in it that there are patches for") {
		t.Errorf("a version that is not in it: %s", r.stderr)
	}
}

// fresh makes a plan for a prefix that is not there, with a Nix that is unpacked for it and gone afterwards.
func (n *nixpkgs) fresh(t *testing.T, p *place) {
	none := &place{w: p.w, store: filepath.Join(p.scratch(t), "store"), home: p.home, account: p.account}
	c := none.program("plan", "--packages", "nixpkgs="+n.dir, "--json")
	tmp := p.scratch(t)
	c.env = append(c.env, "TMPDIR="+tmp)
	var plan struct {
		Packages packagesRow `json:"packages"`
	}
	r := c.run(t).want(t, 0)
	t.Logf("measured: a plan with a Nix that is unpacked for it: %s", r.took)
	if err := json.Unmarshal([]byte(r.stdout), &plan); err != nil {
		t.Fatal(err)
	}
	if plan.Packages.Forecast == nil || len(plan.Packages.Forecast.Build) != 4 {
		t.Errorf("the plan says %+v", plan.Packages)
	}
	for _, dir := range []string{none.root(), tmp} {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left in %s: %v, %v", dir, left, err)
		}
	}
}

// missing has the build fail for want of a source. All else is built, and stays.
func (n *nixpkgs) missing(t *testing.T, p *place, old generation) {
	n.gone.Store(true)
	r := p.install("", "upgrade", "--packages", "nixpkgs="+n.dir).run(t).want(t, 1)
	if !strings.Contains(r.stderr, "what could be built is kept") {
		t.Errorf("it says %s", r.tail())
	}
	if _, now := p.history(t); now.Number != old.Number {
		t.Errorf("generation %d is current", now.Number)
	}
	p.nix(t, "nix-collect-garbage").must(t)
	row := n.planned(t, p, "--packages", "nixpkgs="+n.dir)
	if row.Forecast.There != 2 || len(row.Forecast.Build) != 2 || len(row.Forecast.Sources) != 1 {
		t.Errorf("after the failure and a garbage collection: %+v", row.Forecast)
	}
}

// goesOn has the source come from a cache of /nix/store, by its hash, and is killed on the way.
func (n *nixpkgs) goesOn(t *testing.T, p *place, old generation) {
	at, cache := p.scratch(t), filepath.Join(p.scratch(t), "cache")
	uri := "local?store=/nix/store&root=" + at + "/root&real=" + at + "/root/nix/store&state=" + at + "/state&log=" + at + "/log"
	source := strings.TrimSpace(p.nix(t, "nix-store", "--store", uri, "--add-fixed", "sha256", n.source).must(t))
	p.nix(t, "nix", "copy", "--store", uri, "--to", "file://"+cache+"?store=/nix/store", source).must(t)
	args := []string{"upgrade", "--packages", "nixpkgs=" + n.dir, "--sources", "file://" + cache, "--slots", "2", "--json"}
	if row := n.planned(t, p, args[1:5]...); len(row.Forecast.Fetch) != 1 || len(row.Forecast.Sources) != 0 {
		t.Errorf("with a cache that has the source: %+v", row.Forecast)
	}
	killed := p.install("native built", args...)
	killed.env = append(killed.env, "TMPDIR="+p.scratch(t)) // where it leaves what the next one would remove
	if r := killed.run(t); r.signal != syscall.SIGKILL {
		t.Fatalf("%s\nit was to be killed\n%s", r, r.tail())
	}
	if _, now := p.history(t); now.Number != old.Number {
		t.Errorf("killed: generation %d is current", now.Number)
	}
	r := p.install("", args...).run(t).want(t, 0)
	t.Logf("measured: the rest of an upgrade to a set of four derivations: %s", r.took)
	if strings.Contains(r.stderr, `"unit":"derivations","done"`) {
		t.Errorf("it has built again: %s", r.tail())
	}
	if _, now := p.history(t); now.Number == old.Number {
		t.Error("no generation was made")
	}
}

// inUse looks at what the prefix has of the set.
func (n *nixpkgs) inUse(t *testing.T, p *place) {
	row := p.packagesRow(t)
	if row.Set != "nixpkgs" || row.From != "nixpkgs="+n.dir || row.Rev != nixpkgsRev || !isThere(row.Path) {
		t.Errorf("packages: %+v", row)
	}
	flags := string(read(t, filepath.Join(p.native(t), "share", "flags")))
	for _, want := range []string{
		"-Dlibstore:store-dir=" + p.store, "-Dlocalstatedir=" + p.root() + "/var", "-Dsysconfdir=" + p.root() + "/etc",
		"-Dlibutil:isolated-state-dir=" + p.root() + "/var/nix", "-Dlibstore:log-dir=" + p.root() + "/var/log/nix",
	} {
		if !strings.Contains(flags, want) {
			t.Errorf("the Nix was not told %s, but %s", want, flags)
		}
	}
	if got := string(read(t, filepath.Join(p.native(t), "share", "directories"))); strings.Fields(got)[0] != p.store {
		t.Errorf("its function got %s", got)
	}
	patches, err := filepath.Glob(filepath.Join(p.packages(), "patches", "*.patch"))
	if got := strings.Count(string(read(t, filepath.Join(p.native(t), "share", "patches"))), "\n"); err != nil || got != len(patches) || got == 0 {
		t.Errorf("%d patches, and %d in the package set, %v", got, len(patches), err)
	}
	out := p.shell(t, `. "`+p.env("sh")+`"
		nix eval --raw nixpkgs#lib.version; echo
		nix eval --raw --impure --expr '(import <nixpkgs> { }).lib.version'; echo
		nix build --no-link --print-out-paths nixpkgs#hello
		nix build --no-link --print-out-paths -f "`+p.packages()+`" hello
		nix run nixpkgs#hello
		nix eval --raw --expr builtins.storeDir`).must(t)
	lines := strings.Split(out, "\n")
	if len(lines) != 6 || lines[0] != "24.11test" || lines[1] != "24.11test" || lines[2] != lines[3] || lines[4] != "Hello, world!" || lines[5] != p.store {
		t.Errorf("a shell says %q", lines)
	}
	p.program("verify").must(t)
	if p.program("status").run(t).want(t, 0); t.Failed() {
		return
	}
	r := p.install("").run(t).want(t, 0)
	if !strings.Contains(r.stderr, "nothing to do") {
		t.Errorf("the plain command: %s", r.tail())
	}
}

// modular evaluates a Nix that is made of a derivation for each library.
func (n *nixpkgs) modular(t *testing.T, p *place) {
	row := n.planned(t, p, "--packages", "nixpkgs="+n.dir, "--nix-version", "~> 2.28.0")
	want := []string{"nix-2.28.6", "nix-cli-2.28.6", "nix-store-2.28.6", "nix-util-2.28.6"}
	if diff := cmp.Diff(want, row.Forecast.Build); diff != "" {
		t.Errorf("forecast (-want +got):\n%s", diff)
	}
	dir := filepath.Join(p.scratch(t), "packages")
	copyTree(t, evaluatedLink(t, p.packages()), dir)
	p.w.put(t, filepath.Join(dir, "source.json"), `{"path":"`+p.packagesRow(t).Path+`","nix":["nixVersions","nix_2_28"]}`)
	var parts []struct {
		Name  string   `json:"name"`
		Flags []string `json:"flags"`
		Count int      `json:"count"`
	}
	out := p.nix(t, "nix", "eval", "--json", "--file", dir, "nix.components", "--apply",
		"map (c: { name = c.pname; flags = c.mesonFlags; count = builtins.length c.patches; })").must(t)
	if err := json.Unmarshal([]byte(out), &parts); err != nil {
		t.Fatal(err)
	}
	patches, err := filepath.Glob(filepath.Join(p.packages(), "patches", "*.patch"))
	if err != nil || len(parts) != 3 {
		t.Fatalf("%v, %v", parts, err)
	}
	for _, part := range parts {
		for flag, of := range map[string]string{
			"-Dlocalstatedir=" + p.root() + "/var": "", "-Dsysconfdir=" + p.root() + "/etc": "",
			"-Dstore-dir=" + p.store: "nix-store", "-Dlog-dir=" + p.root() + "/var/log/nix": "nix-store",
			"-Disolated-state-dir=" + p.root() + "/var/nix": "nix-util",
		} {
			if slices.Contains(part.Flags, flag) != (of == "" || of == part.Name) {
				t.Errorf("%s is told %v, with or without %s", part.Name, part.Flags, flag)
			}
		}
		if part.Count != len(patches) {
			t.Errorf("%s has %d patches, not %d", part.Name, part.Count, len(patches))
		}
	}
}

func evaluatedLink(t *testing.T, path string) string {
	t.Helper()
	whole, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

// otherNames has the same files come in other ways: they are the same set.
func (n *nixpkgs) otherNames(t *testing.T, p *place) {
	sum := packTree(t, n.dir, n.tarball, "nixpkgs-"+nixpkgsRev, true)
	address, have := n.server.URL+"/set.tar.gz", p.packagesRow(t)
	for name, args := range map[string][]string{
		"an address":         {"--packages", "nixpkgs=" + address, "--packages-sha256", sum},
		"a tarball":          {"--packages", "nixpkgs=" + n.tarball},
		"a flake's tarball":  {"--packages", "nixpkgs=tarball+" + address},
		"a flake's own path": {"--packages", "nixpkgs=path:" + n.dir},
		"a flake's tarball by its digest": {
			"--packages", "nixpkgs=tarball+" + address + "?narHash=" + url.QueryEscape(have.NARHash),
		},
	} {
		if row := n.planned(t, p, args...); row.NARHash != have.NARHash || len(row.Forecast.Build) != 0 || (row.Locked != "") != strings.Contains(name, "flake's tarball") {
			t.Errorf("%s: %+v", name, row)
		}
	}
	wrong := strings.Repeat("0", 64)
	p.program("upgrade", "--dry-run", "--packages", "nixpkgs="+address, "--packages-sha256", wrong).run(t).want(t, 4)
	p.program("upgrade", "--dry-run", "--packages", "nixpkgs="+n.tarball, "--packages-sha256", wrong).run(t).want(t, 4)
	p.program("upgrade", "--dry-run", "--packages", "nixpkgs=tarball+"+address+"?narHash=sha256-"+strings.Repeat("A", 43)+"%3D").run(t).want(t, 4)
}

// update changes the files, and has the name looked up again.
func (n *nixpkgs) update(t *testing.T, p *place) {
	was, native := p.packagesRow(t), p.native(t)
	n.gone.Store(false)
	p.w.put(t, filepath.Join(n.dir, ".version"), "25.05test\n")
	p.install("", "packages", "update").run(t).want(t, 0)
	row := p.packagesRow(t)
	if row.Version != "25.05test" || row.Generation == was.Generation || row.NARHash == was.NARHash {
		t.Errorf("after the update: %+v, before it %+v", row, was)
	}
	if p.native(t) != native {
		t.Error("another Nix was made, although nothing that it is made of has changed")
	}
	if out := p.shell(t, `. "`+p.env("sh")+`"; nix eval --raw nixpkgs#lib.version`).must(t); out != "25.05test" {
		t.Errorf("a shell says %q", out)
	}
	p.program("rollback").must(t)
	if out := p.shell(t, `. "`+p.env("sh")+`"; nix eval --raw nixpkgs#lib.version`).must(t); out != "24.11test" {
		t.Errorf("after the way back a shell says %q", out)
	}
}
