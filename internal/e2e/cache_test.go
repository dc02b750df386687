//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bootstrap/internal/lock"
)

// mostFromCache is how long an installation from a cache on this machine may take.
const mostFromCache = time.Minute

// testCache fills a cache from a prefix, by nginx as docs/CACHE.md has it, and installs from it in
// the same place, which is empty for those commands alone. The other prefix has another store directory.
func testCache(t *testing.T, p, other *place) {
	needs(t, p)
	onlyRoot(t)
	c := &cached{p: p, other: other, dir: p.scratch(t)}
	c.keys(t)
	c.pushToDirectory(t)
	c.pushToNginx(t)
	second := c.install(t)
	c.builds(t, second)
	c.bucket(t, second)
	c.encrypted(t)
	t.Run("workflow", func(t *testing.T) { c.runsWorkflow(t) })
	t.Run("over ssh", func(t *testing.T) { c.overSSH(t) })
	c.repairs(t, second)
	c.refusals(t)
	c.uninstall(t, second)
	p.works(t, "cache-after")
}

// cached is what the tests of it have in common.
type cached struct {
	p, other *place
	dir      string // the account's own
	secret   string // file
	key      string // its public half
	files    string // a cache that is a directory
	server   *nginx
}

func (c *cached) keys(t *testing.T) {
	c.secret = filepath.Join(c.dir, "key")
	c.key = strings.TrimSpace(c.p.command("cache", "key", "new", "e2e-1", "-o", c.secret).must(t))
	if info, err := os.Stat(c.secret); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret key: %v, %v", info, err)
	}
	// Nix reads it as its own.
	got := c.p.shell(t, c.p.programPath(t, "nix")+" key convert-secret-to-public <"+c.secret).must(t)
	if strings.TrimSpace(got) != c.key {
		t.Errorf("Nix calls the public key %q, not %q", got, c.key)
	}
	c.p.command("cache", "key", "new", "e2e-1", "-o", c.secret).run(t).want(t, 2)
}

// command returns a command line of the installer's that is about no prefix.
func (p *place) command(args ...string) command {
	c := p.program()
	c.argv = append([]string{p.w.program}, args...)
	return c
}

func (c *cached) push(args ...string) command {
	return c.p.program(append([]string{"cache", "push", "--secret-key", c.secret}, args...)...)
}

func (c *cached) pushToDirectory(t *testing.T) {
	c.files = filepath.Join(c.dir, "files")
	hello := []string{"-f", c.p.packages(), "hello"}
	c.push(append([]string{"file://" + c.files}, hello...)...).run(t).want(t, 0)
	info := string(read(t, filepath.Join(c.files, "nix-cache-info")))
	if !strings.Contains(info, "StoreDir: "+c.p.store+"\n") {
		t.Errorf("nix-cache-info: %q", info)
	}
	// Emptied, it is filled again, whatever Nix remembers of it.
	remove(t, c.files)
	c.push(append([]string{"file://" + c.files}, hello...)...).run(t).want(t, 0)
	second := strings.TrimSpace(c.p.command("cache", "key", "new", "e2e-2", "-o", filepath.Join(c.dir, "second-key")).must(t))
	c.p.program("cache", "push", "file://"+c.files, "-f", c.p.packages(), "hello", "--secret-key", filepath.Join(c.dir, "second-key")).run(t).want(t, 0)
	for _, key := range []string{c.key, second} {
		c.p.nix(t, "nix", "store", "verify", "--store", "file://"+c.files, "--no-contents", "--all", "--option", "trusted-public-keys", key).must(t)
	}
}

func (c *cached) pushToNginx(t *testing.T) {
	c.server = c.serve(t, 0)
	hello := strings.TrimSpace(c.p.nix(t, "nix", "build", "--no-link", "--print-out-paths", "-f", c.p.packages(), "hello").must(t))
	// Without the password, nothing is put there.
	r := c.push(c.server.url, hello).run(t).want(t, 1)
	if !strings.Contains(r.stderr, "wants a login") {
		t.Errorf("refused without saying why:\n%s", r.tail())
	}
	netrc := c.p.layout(t).Netrc()
	c.p.w.put(t, netrc, "machine 127.0.0.1 login push password "+password+"\n")
	defer remove(t, netrc)
	r = c.push(c.server.url, "--nix", "-f", c.p.packages(), "hello").run(t).want(t, 0)
	t.Logf("measured: push of hello, the native nix and its toolchain to nginx: %s, %d bytes", r.took.Round(100*time.Millisecond), treeBytes(t, filepath.Join(c.server.dir, "cache")))
	if records, err := filepath.Glob(filepath.Join(c.server.dir, "cache/bootstrap/*.json")); err != nil || len(records) != 2 {
		t.Errorf("records: %q, %v", records, err)
	}
	for _, path := range append(c.tools(t), c.p.native(t), hello) {
		if _, err := os.Stat(filepath.Join(c.server.dir, "cache", filepath.Base(path)[:32]+".narinfo")); err != nil {
			t.Errorf("%s is not in the cache: %v", path, err)
		}
	}
}

// tools returns what an installation takes besides the native nix.
func (c *cached) tools(t *testing.T) []string {
	var all []string
	for _, name := range []string{"busybox", "toolchain", "runtime", "compiler", "cacert"} {
		all = append(all, c.p.output(t, "toolchain", name))
	}
	return all
}

// empty returns the place of the prefix with nothing in it, for its own commands alone.
func (c *cached) empty(t *testing.T, name string) *place {
	files := filepath.Join(c.dir, name)
	c.p.w.mkdir(t, files)
	second := *c.p
	second.home = c.p.w.home(t, "cache-"+name)
	second.change = both(c.p.change, view(c.p.account, binding{files, c.p.root()}))
	t.Cleanup(func() { remove(t, files) })
	return &second
}

// from returns the command that installs from the cache, with nothing downloaded before.
func (c *cached) from(t *testing.T, second *place, mirror, url, key string) command {
	return second.install("", "--cache-only", "--cache", url, "--key", key, "--mirror", mirror, "--cache-dir", filepath.Join(second.home, "downloads"))
}

func (c *cached) install(t *testing.T) *place {
	second := c.empty(t, "second")
	mirror := c.p.w.newSeedMirror(t)
	address := mirror.serve(t)
	plan := c.from(t, second, address, c.server.url, c.key)
	plan.argv = append(plan.argv, "--dry-run")
	if said := plan.must(t); !strings.Contains(said, "from a cache   "+c.server.url+": toolchain, native") {
		t.Errorf("the plan does not say what comes from where:\n%s", said)
	}
	r := c.from(t, second, address, c.server.url, c.key).run(t).want(t, 0)
	t.Logf("measured: installed from a cache on loopback nginx, with nothing downloaded before: %s", r.took.Round(100*time.Millisecond))
	if r.took > mostFromCache {
		t.Errorf("that is more than %s", mostFromCache)
	}
	for _, e := range seedEntries(t) {
		builds := slices.Contains(e.Roles, lock.Toolchain) || slices.Contains(e.Roles, lock.NixSource)
		if builds && !slices.Contains(e.Roles, lock.Host) && mirror.wasAsked(e) {
			t.Errorf("%s was downloaded, which only a build needs", e.Path)
		}
	}
	c.sameAsBuilt(t, second)
	c.works(t, second, "cache-second")
	return second
}

// works builds something new in the second place, which only its own commands see.
func (c *cached) works(t *testing.T, second *place, name string) {
	out := strings.TrimSpace(second.nix(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", c.p.proof(t, name)).must(t))
	if got := second.shell(t, "read -r line <"+out+`; echo "$line"`).must(t); got != name+"\n" {
		t.Errorf("built %q: %q", out, got)
	}
}

// sameAsBuilt compares what came from the cache with what was built, and looks for anything that was
// built besides the proof.
func (c *cached) sameAsBuilt(t *testing.T, second *place) {
	paths := append(c.tools(t), c.p.native(t))
	want, got := c.p.pathInfos(t, paths...), second.pathInfos(t, paths...)
	for _, path := range paths {
		w, g := want[path], got[path]
		if g.NarHash == "" || g.NarHash != w.NarHash || g.NarSize != w.NarSize || !slices.Equal(g.References, w.References) || g.Deriver != w.Deriver {
			t.Errorf("%s: %+v, not %+v", path, g, w)
		}
	}
	second.nix(t, "nix-store", "--verify", "--check-contents").must(t)
	for _, line := range strings.Fields(second.shell(t, "find "+c.p.root()+"/var/log/nix -type f").must(t)) {
		if !strings.Contains(line, "-bootstrap-proof.drv") {
			t.Errorf("%s: something was built", line)
		}
	}
}

// builds has the second place take hello from the cache that its installation made it ask.
func (c *cached) builds(t *testing.T, second *place) {
	r := second.nix(t, "nix", "build", "--no-link", "--print-out-paths", "-f", c.p.packages(), "hello").run(t).want(t, 0)
	if !strings.Contains(r.stderr, "copying path") || strings.Contains(r.stderr, "building '") {
		t.Errorf("hello was not taken from the cache:\n%s", r.tail())
	}
	if got := second.shell(t, strings.TrimSpace(r.stdout)+"/bin/hello").must(t); got != greeting {
		t.Errorf("hello says %q", got)
	}
	if list := second.program("cache", "list").must(t); list != c.server.url+"  "+c.key+"\n" {
		t.Errorf("cache list: %q", list)
	}
	second.program("cache", "drop", c.server.url).must(t)
	second.shell(t, "! test -e "+c.p.root()+"/etc/nix/nix.caches.conf").must(t)
	second.program("cache", "use", c.server.url, "--key", c.key).must(t)
}

// bucket publishes a cache as docs/CACHE.md has it, and uses it.
func (c *cached) bucket(t *testing.T, second *place) {
	server := c.serve(t, 2)
	publish := blocks(t, "sh")[0] + "\npublish " + filepath.Join(c.server.dir, "cache") + " " + filepath.Join(server.dir, "bucket")
	c.p.shell(t, "PATH=/usr/bin:/bin\n"+publish).must(t)
	second.program("cache", "use", server.url, "--key", c.key).must(t)
	second.nix(t, "nix", "path-info", "--store", server.url, c.p.native(t)).must(t)
	// It comes back from there.
	plan := c.from(t, c.empty(t, "bucket"), c.p.w.newSeedMirror(t).serve(t), server.url, c.key)
	plan.argv = append(plan.argv, "--dry-run")
	plan.must(t)
	second.program("cache", "drop", server.url).must(t)
	c.offline(t, "file://"+filepath.Join(server.dir, "bucket"))
}

// offline installs from a directory, with the seed that was downloaded before, on a machine that has no
// network at all. Nix asks no cache there unless it is told to.
func (c *cached) offline(t *testing.T, url string) {
	alone := c.empty(t, "offline")
	if alone.change = both(cannotConnect(), alone.change); cannotConnect() == nil {
		t.Log("skipped: a machine without a network: it cannot be made here")
		return
	}
	r := alone.install("", "--cache-only", "--cache", url, "--key", c.key, "--cache-dir", filepath.Join(c.p.w.xdgCache, "bootstrap")).run(t).want(t, 0)
	t.Logf("measured: installed from a cache in a directory, without a network: %s", r.took.Round(100*time.Millisecond))
	c.sameAsBuilt(t, alone)
	c.works(t, alone, "cache-offline")
}

// repairs damages what came from the cache; it comes from there again.
func (c *cached) repairs(t *testing.T, second *place) {
	native := c.p.native(t)
	second.shell(t, "PATH=/usr/bin:/bin; chmod u+w "+native+"/bin "+native+"/bin/nix; echo >>"+native+"/bin/nix").must(t)
	second.program("repair", "--yes", "--mirror", c.p.w.newSeedMirror(t).serve(t), "--cache-dir", filepath.Join(second.home, "downloads")).must(t)
	c.sameAsBuiltNative(t, second)
}

func (c *cached) sameAsBuiltNative(t *testing.T, second *place) {
	if w, g := c.p.pathInfos(t, c.p.native(t)), second.pathInfos(t, c.p.native(t)); g[c.p.native(t)].NarHash != w[c.p.native(t)].NarHash {
		t.Errorf("the native nix: %+v, not %+v", g, w)
	}
	second.nix(t, "nix-store", "--verify-path", c.p.native(t)).must(t)
}

// refusals damages the cache in every way; nothing of it is ever registered.
func (c *cached) refusals(t *testing.T) {
	mirror := c.p.w.newSeedMirror(t).serve(t)
	refused := func(name, url, key string, code int, words ...string) {
		t.Helper()
		second := c.empty(t, name)
		r := c.from(t, second, mirror, url, key).run(t).want(t, code)
		for _, w := range words {
			if !strings.Contains(r.stderr, w) {
				t.Errorf("%s: it does not say %q:\n%s", name, w, r.tail())
			}
		}
		if _, err := os.Lstat(filepath.Join(c.dir, name, "var/nix/db/db.sqlite")); err == nil {
			t.Errorf("%s: there is a database", name)
		}
	}
	r := c.other.program("cache", "use", c.server.url, "--key", c.key).run(t).want(t, 3)
	for _, store := range []string{c.p.store, c.other.store} {
		if !strings.Contains(r.stderr, `"`+store+`"`) {
			t.Errorf("it does not name %s:\n%s", store, r.tail())
		}
	}
	wrong := strings.TrimSpace(c.p.command("cache", "key", "new", "e2e-1", "-o", filepath.Join(c.dir, "wrong")).must(t))
	refused("wrong-key", c.server.url, wrong, 4, "is not one of the key")

	// The native nix is a small file, by which to see it quickly.
	info := string(read(t, filepath.Join(c.server.dir, "cache", filepath.Base(c.p.native(t))[:32]+".narinfo")))
	_, rest, _ := strings.Cut(info, "URL: ")
	name, _, _ := strings.Cut(rest, "\n")
	nar := filepath.Join(c.server.dir, "cache", name)
	good := read(t, nar)
	write := func(data []byte) {
		if err := os.WriteFile(nar, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(changed(good, len(good)/2))
	refused("tampered", c.server.url, c.key, 4, "sha256 is")
	write(good[:len(good)/2])
	refused("truncated", c.server.url, c.key, 4, "bytes, not")
	write(good)
	c.server.stop(t)
	refused("vanished", c.server.url, c.key, 1, "does not answer")
}

func (c *cached) uninstall(t *testing.T, second *place) {
	second.program("uninstall", "--yes").must(t)
	if left, err := os.ReadDir(filepath.Join(c.dir, "second")); err != nil || len(left) > 0 {
		t.Errorf("left of the prefix: %v, %v", left, err)
	}
}
