//go:build e2e

package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bootstrap/internal/fault"
	"bootstrap/internal/nixbundle"
)

// bundles is what the tests of them have in common.
type bundles struct {
	p         *place // whose Nix is carried away
	dir       string // the account's own
	file, key string // a bundle of it, and the public key that it is signed by
}

// newBundle makes a bundle of the Nix of a prefix, and the key that it is signed by.
func newBundle(t *testing.T, p *place) *bundles {
	t.Helper()
	b := &bundles{p: p, dir: p.scratch(t)}
	b.file, b.key = filepath.Join(b.dir, "nix.bundle"), filepath.Join(b.dir, "key")
	secret := p.nix(t, "nix", "key", "generate-secret", "--key-name", "e2e-1").must(t)
	p.w.put(t, b.key+".secret", secret)
	b.create(t, p, b.file)
	k, err := nixbundle.ParseSecretKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	p.w.put(t, b.key, k.Public().String()+"\n")
	return b
}

// testBundles takes the Nix of a prefix to others, where nothing of that prefix can be seen, nor a network.
func testBundles(t *testing.T, p *place) {
	needs(t, p)
	b := newBundle(t, p)
	again := filepath.Join(b.dir, "again.bundle")
	b.create(t, p, again)
	if !bytes.Equal(read(t, b.file), read(t, again)) {
		t.Error("the same prefix twice gives other bytes")
	}
	if out := p.w.run(p, "bundle", "verify", b.file, "--key", b.key).must(t); !strings.Contains(out, "have the names that their derivations give") {
		t.Errorf("verify says %q", out)
	}
	t.Run("address", func(t *testing.T) { testBundleAddress(t, b) })
	t.Run("cache", func(t *testing.T) { testBundleIsCache(t, b) })
	t.Run("equal", func(t *testing.T) { testBundleEqual(t, b) })
	t.Run("shorter", func(t *testing.T) { testBundleShorter(t, b) })
	t.Run("refused", func(t *testing.T) { testBundleRefused(t, b) })
	p.works(t, "bundles-after")
}

// run returns a command line of the installer's, without a prefix.
func (w *world) run(p *place, args ...string) command {
	return command{argv: append([]string{w.program}, args...), dir: w.dir, env: p.environment(), account: p.account, change: p.change}
}

func (b *bundles) create(t *testing.T, p *place, file string) {
	t.Helper()
	r := p.program("bundle", "create", "-o", file, "--sign-key", b.key+".secret").run(t).want(t, 0)
	t.Logf("measured: a bundle of Nix: %d bytes in %.1f s", len(read(t, file)), r.took.Seconds())
}

// at returns a place beside the prefix that has nothing in it, and is gone in the end. Its commands see
// neither the prefix nor a network, where that can be had.
func (b *bundles) at(t *testing.T, name string) *place {
	t.Helper()
	p := *b.p
	root := filepath.Join(filepath.Dir(p.root()), name)
	remove(t, root)
	t.Cleanup(func() { remove(t, root) })
	p.w.mkdir(t, root)
	p.store, p.home = filepath.Join(root, "store"), p.w.home(t, name)
	empty := filepath.Join(b.dir, "empty")
	p.w.mkdir(t, empty)
	p.change = both(cannotConnect(), both(p.change, view(p.account, binding{empty, b.p.root()})))
	return &p
}

// install installs from a bundle as somebody without rights, and returns what it took.
func (b *bundles) install(t *testing.T, p *place, file string, args ...string) result {
	t.Helper()
	return p.program(append([]string{"--from", file, "--from-key", b.key, "--yes"}, args...)...).run(t)
}

// sameLength is a name as long as another one, which begins in another way.
func sameLength(begin, name string) string {
	return (begin + strings.Repeat("x", len(name)))[:len(name)]
}

func testBundleEqual(t *testing.T, b *bundles) {
	p := b.at(t, sameLength("relocated-to-here-", filepath.Base(b.p.root())))
	r := b.install(t, p, b.file).want(t, 0)
	t.Logf("measured: from a bundle: %.1f s", r.took.Seconds())
	native := p.native(t)

	// What evaluation gives here is what is there, so there is nothing to build.
	dry := p.nix(t, "nix", "build", "--dry-run", "--file", p.packages(), "nix").run(t).want(t, 0)
	if strings.Contains(dry.stderr, "built") || strings.Contains(dry.stderr, "fetched") {
		t.Errorf("it would build:\n%s", dry.stderr)
	}
	if got := strings.TrimSpace(p.nix(t, "nix", "build", "--no-link", "--print-out-paths", "--file", p.packages(), "nix").must(t)); got != native {
		t.Errorf("evaluation gives %s, and %s is there", got, native)
	}
	b.healthy(t, p)
	b.tracesNothing(t, p)
	if out := p.program("status").must(t); !strings.Contains(out, "relocated from "+b.p.store) {
		t.Errorf("status does not say where it comes from:\n%s", out)
	}
	if again := b.install(t, p, b.file).want(t, 0); !strings.Contains(again.stderr, "nothing to do") {
		t.Errorf("installed again:\n%s", again.tail())
	}
	b.repaired(t, p)
	b.thereAndBack(t, p)
	p.program("uninstall", "--yes").must(t)
	if left, err := os.ReadDir(p.root()); err != nil || len(left) > 0 {
		t.Errorf("uninstalled, there is %v, %v", left, err)
	}
}

// healthy has Nix look at every byte, and build.
func (b *bundles) healthy(t *testing.T, p *place) {
	t.Helper()
	p.nix(t, "nix-store", "--verify", "--check-contents").must(t)
	out := strings.TrimSpace(p.nix(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr",
		strings.ReplaceAll(b.proof(t, p), "NAME", "relocated-"+filepath.Base(p.root()))).must(t))
	if data := read(t, out); !strings.HasPrefix(string(data), "built in ") {
		t.Errorf("built %q", data)
	}
	// It substitutes, too: from a cache of its own making.
	cache := "file://" + filepath.Join(p.scratch(t), "cache")
	shell := p.output(t, "relocate", "cacert")
	p.nix(t, "nix", "copy", "--to", cache, shell).must(t)
	other := "local?root=" + filepath.Join(p.scratch(t), "other")
	p.nix(t, "nix", "copy", "--no-check-sigs", "--from", cache, "--to", other, shell).must(t)
	p.nix(t, "nix", "store", "verify", "--store", other, "--no-trust", shell).must(t)
}

func (b *bundles) proof(t *testing.T, p *place) string {
	t.Helper()
	return `derivation { name = "NAME"; system = builtins.currentSystem; builder = "` + p.output(t, "relocate", "busybox") +
		`/bin/sh"; args = [ "-c" "echo built in $NIX_STORE > $out" ]; }`
}

// tracesNothing makes sure that nothing below the first prefix is looked for.
func (b *bundles) tracesNothing(t *testing.T, p *place) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatal("strace is not on PATH")
	}
	file := filepath.Join(p.scratch(t), "trace")
	c := p.nix(t, "nix", "build", "--impure", "--no-link", "--expr", strings.ReplaceAll(b.proof(t, p), "NAME", "traced"))
	c.argv = append([]string{"strace", "-f", "-y", "-qq", "-e", "trace=open,openat,openat2,execve,execveat", "-o", file}, c.argv...)
	c.argv[0] = look(t, "strace")
	c.must(t)
	all, err := parseTrace(bytes.NewReader(read(t, file)))
	if err != nil {
		t.Fatal(err)
	}
	if here := below(all, p.root()); len(here) < 10 {
		t.Fatalf("only %d accesses below %s were traced: %v", len(here), p.root(), all)
	}
	if there := below(all, b.p.root()); len(there) > 0 {
		t.Errorf("below the prefix that it comes from: %v", there)
	}
}

func look(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// repaired damages a file, and has it made anew.
func (b *bundles) repaired(t *testing.T, p *place) {
	t.Helper()
	before := p.pathInfos(t, "--all")
	runtime := p.output(t, "relocate", "runtime")
	p.shell(t, "chmod -R u+w "+runtime+"; rm "+runtime+"/lib/libz.so.1").must(t)
	r := p.program("repair", "--yes").run(t).want(t, 0)
	if !strings.Contains(r.stdout, "Done again: relocate") {
		t.Errorf("repair says:\n%s", r.stdout)
	}
	p.nix(t, "nix-store", "--verify", "--check-contents").must(t)
	after := p.pathInfos(t, "--all")
	for path, info := range before {
		if after[path].NarHash != info.NarHash {
			t.Errorf("%s is another one than before it was damaged", path)
		}
	}
}

// thereAndBack takes the Nix back to where it was built: it has to be the same, and so is a bundle of it.
func (b *bundles) thereAndBack(t *testing.T, p *place) {
	t.Helper()
	onlyRoot(t) // who can have another directory in the place of the prefix
	carried := filepath.Join(b.dir, "carried.bundle")
	b.create(t, p, carried)
	files := filepath.Join(b.dir, "back")
	p.w.mkdir(t, files)
	t.Cleanup(func() { remove(t, files) })
	back := *b.p
	back.home = p.w.home(t, "back")
	back.change = both(b.p.change, view(b.p.account, binding{files, b.p.root()}))
	b.install(t, &back, carried).want(t, 0)
	want, got := b.p.pathInfos(t, "-r", b.p.native(t)), back.pathInfos(t, "-r", b.p.native(t))
	for path, w := range want {
		g := got[path]
		if g.NarHash != w.NarHash || g.Deriver != w.Deriver || g.CA != w.CA || !slices.Equal(g.References, w.References) {
			t.Errorf("%s: there and back it is %+v, not %+v", path, g, w)
		}
	}
	third := filepath.Join(b.dir, "third.bundle")
	b.create(t, &back, third)
	if !bytes.Equal(read(t, b.file), read(t, third)) {
		t.Error("the bundle of what came back has other bytes than the first")
	}
}

func testBundleShorter(t *testing.T, b *bundles) {
	p := b.at(t, "s")
	plan := p.program("plan", "--from", b.file, "--from-key", b.key).must(t)
	if !strings.Contains(plan, "filled up with slashes") {
		t.Errorf("the plan does not say that it is filled up:\n%s", plan)
	}
	b.install(t, p, b.file).want(t, 0)
	b.healthy(t, p)
	b.tracesNothing(t, p)
	if got := strings.TrimSpace(p.nix(t, "nix", "build", "--no-link", "--print-out-paths", "--file", p.packages(), "nix").must(t)); got != p.native(t) {
		t.Errorf("evaluation gives %s, and %s is there", got, p.native(t))
	}
	p.program("uninstall", "--yes").must(t)
}

func testBundleRefused(t *testing.T, b *bundles) {
	p := b.at(t, filepath.Base(b.p.root())+"-longer")
	r := b.install(t, p, b.file).want(t, int(fault.Unfit))
	if !strings.Contains(r.stderr, "fits where there are at most") {
		t.Errorf("it says\n%s", r.stderr)
	}
	changedFile := filepath.Join(b.dir, "changed.bundle")
	data := read(t, b.file)
	for _, at := range []int{100, len(data) / 2, len(data) - 1} {
		p.w.put(t, changedFile, string(changed(data, at)))
		other := b.at(t, sameLength("relocated-to-here-", filepath.Base(b.p.root())))
		b.install(t, other, changedFile).want(t, int(fault.Verify))
		if found, err := filepath.Glob(filepath.Join(other.store, "*")); err != nil || len(found) > 0 {
			t.Errorf("changed at %d: in the store are %q, %v", at, found, err)
		}
	}
}

// testBundleAddress has a bundle verified that is behind an address, where the transfer breaks off once.
func testBundleAddress(t *testing.T, b *bundles) {
	asked, broken := 0, false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 3 { // the head twice, then the rest
			broken = true
			w = brokenReply{w, new(int)}
		}
		http.ServeFile(w, r, b.file)
	}))
	defer server.Close()
	url := server.URL + "/nix.bundle"
	if out := b.p.w.run(b.p, "bundle", "inspect", url).must(t); !strings.Contains(out, b.p.store) || asked != 1 {
		t.Errorf("inspect has asked %d times, and says\n%s", asked, out)
	}
	cache := filepath.Join(b.dir, "cache")
	out := b.p.w.run(b.p, "bundle", "verify", url, "--key", b.key, "--cache-dir", cache).must(t)
	if !strings.Contains(out, "have the names") || !broken || asked < 4 {
		t.Errorf("verify has asked %d times, and says\n%s", asked, out)
	}
}

// brokenReply is a reply that breaks off after some bytes.
type brokenReply struct {
	http.ResponseWriter
	n *int
}

func (h brokenReply) Write(p []byte) (int, error) {
	const most = 1 << 20
	if *h.n > most {
		panic(http.ErrAbortHandler)
	}
	*h.n += len(p)
	return h.ResponseWriter.Write(p)
}

// testBundleIsCache unpacks a bundle with tar: stock Nix reads it as a binary cache.
func testBundleIsCache(t *testing.T, b *bundles) {
	dir := filepath.Join(b.dir, "unpacked")
	b.p.w.mkdir(t, dir)
	c := b.p.shell(t, `tar -C "$1" --use-compress-program="$2/usr/bin/zstd -d" -xf "$3"`)
	if tool := filepath.Join(b.p.output(t, "toolchain", "toolchain"), "usr/bin/zstd"); !isThere(tool) {
		c = b.p.shell(t, `tar -C "$1" --zstd -xf "$3"`)
	}
	c.argv = append(c.argv, "sh", dir, b.p.output(t, "toolchain", "toolchain"), b.file)
	c.env = append(c.env, "PATH=/usr/bin:/bin")
	c.must(t)
	out := b.p.nix(t, "nix", "path-info", "--json", "--store", "file://"+dir, "-r", b.p.native(t)).must(t)
	infos := map[string]pathInfo{}
	if err := json.Unmarshal([]byte(out), &infos); err != nil {
		t.Fatal(err)
	}
	for path, w := range b.p.pathInfos(t, "-r", b.p.native(t)) {
		if infos[path].NarHash != w.NarHash {
			t.Errorf("%s: %+v, not %+v", path, infos[path], w)
		}
	}
	key := strings.TrimSpace(string(read(t, b.key)))
	b.p.nix(t, "nix", "store", "verify", "--store", "file://"+dir, "-r", "--option", "trusted-public-keys", key, b.p.native(t)).must(t)
}
