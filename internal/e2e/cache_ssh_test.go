//go:build e2e

package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// overSSH makes the prefix on another machine by the command of docs/CLUSTER.md, from the cache, and
// pushes to its store. The machine is a real sshd that sees an empty directory in the prefix's place.
func (c *cached) overSSH(t *testing.T) {
	r, who := newMachine(t, c.p)
	t.Cleanup(func() { remove(t, r.known(c.p)) })
	caches := filepath.Join(filepath.Dir(r.root), "caches")
	if err := errors.Join(os.Mkdir(r.root, 0o755), os.Mkdir(caches, 0o755)); err != nil {
		t.Fatal(err)
	}
	who.own(t, r.root)
	who.own(t, caches)
	r.start(t, who, map[string]string{"HOME": caches, "XDG_CACHE_HOME": caches, "XDG_STATE_HOME": caches})
	t.Run("installed", func(t *testing.T) { c.provision(t, r) })
	t.Run("ssh", func(t *testing.T) { c.pushOverSSH(t, r, "ssh") })
	t.Run("ssh-ng", func(t *testing.T) { c.pushOverSSH(t, r, "ssh-ng") })

	r.server.End()
	failed := c.sshPush(r, "ssh", c.p.native(t)).run(t).want(t, 1)
	if !strings.Contains(failed.stderr, `push to "ssh://`+r.server.Host+`": `) || !strings.Contains(failed.stderr, "\nhint: there has to be a prefix in the same directory") {
		t.Errorf("without a server\n%s", failed.tail())
	}
}

// provision runs the command of the page, with a cache and with addresses of this machine.
func (c *cached) provision(t *testing.T, r *remote) {
	releases := c.releases(t)
	found := regexp.MustCompile(`(?m)^    ssh HOST (env BOOTSTRAP_RELEASES=\S+ sh -s -- --prefix \S+ --yes) <scripts/install\.sh$`).
		FindSubmatch(read(t, "../../docs/CLUSTER.md"))
	if found == nil {
		t.Fatal("docs/CLUSTER.md has no such command")
	}
	there := regexp.MustCompile(`(RELEASES=|--prefix )\S+`).ReplaceAllStringFunc(string(found[1]), func(word string) string {
		if strings.HasPrefix(word, "--") {
			return "--prefix " + c.p.store
		}
		return "RELEASES=" + releases + "/v1"
	})
	there += fmt.Sprintf(" --cache-only --cache %s --key %s --mirror %s", c.server.url, c.key, c.p.w.newSeedMirror(t).serve(t))
	installed := r.ssh(t, c.p, there, string(read(t, "../../scripts/install.sh"))).run(t).want(t, 0)
	t.Logf("measured: installed on another machine by one command, from a cache: %s", installed.took.Round(100*time.Millisecond))
	if _, err := os.Stat(filepath.Join(r.root, "store", filepath.Base(c.p.native(t)), "bin/nix")); err != nil {
		t.Errorf("it is not there: %v", err)
	}
}

// known is the file of host keys that ssh has seen, of the account of a prefix here.
func (r *remote) known(p *place) string {
	return filepath.Join(p.home, "known-by-"+filepath.Base(filepath.Dir(r.root)))
}

// ssh runs a command on the machine, as the account of a prefix here.
func (r *remote) ssh(t *testing.T, p *place, there, stdin string) command {
	t.Helper()
	return command{
		argv: []string{
			lookPath(t, "ssh"), "-F", r.server.Config, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=accept-new",
			"-o", "UserKnownHostsFile=" + r.known(p), r.server.Host, there,
		},
		dir: p.scratch(t), env: []string{"HOME=" + p.home, "PATH=/usr/bin:/bin"}, stdin: stdin, account: p.account,
	}
}

// sshPush returns a push to the store of the machine. Its key is one that was seen before: Nix asks nobody.
func (c *cached) sshPush(r *remote, scheme string, what ...string) command {
	push := c.push(append([]string{scheme + "://" + r.server.Host}, what...)...)
	push.env = append(slices.DeleteFunc(push.env, func(v string) bool { return strings.HasPrefix(v, "PATH=") }),
		"PATH=/usr/local/bin:/usr/bin:/bin", "NIX_SSHOPTS=-F "+r.server.Config+" -o UserKnownHostsFile="+r.known(c.p))
	return push
}

// pushOverSSH pushes something new, which is valid there then, and signed.
func (c *cached) pushOverSSH(t *testing.T, r *remote, scheme string) {
	name := "pushed-by-" + scheme + "-" + filepath.Base(filepath.Dir(r.root))
	made := strings.TrimSpace(c.p.nix(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", c.p.proof(t, name)).must(t))
	said := c.sshPush(r, scheme, made).run(t).want(t, 0)
	if !strings.Contains(said.stdout, "are in "+scheme+"://"+r.server.Host+", signed by e2e-1") {
		t.Errorf("it says\n%s", said.tail())
	}
	nix := c.p.programPath(t, "nix")
	verify := r.ssh(t, c.p, nix+" store verify --option trusted-public-keys "+c.key+" "+made+" && cat "+made, "").must(t)
	if verify != name+"\n" {
		t.Errorf("there it is %q", verify)
	}
	// With another key it is not trusted: that it is signed was looked at.
	other := strings.TrimSpace(c.p.command("cache", "key", "new", "e2e-1", "-o", filepath.Join(c.dir, "other-"+scheme)).must(t))
	r.ssh(t, c.p, nix+" store verify --option trusted-public-keys "+other+" "+made, "").run(t).want(t, 2)
	again := c.sshPush(r, scheme, made).run(t).want(t, 0)
	if strings.Contains(again.stderr, "copying path") {
		t.Errorf("it is copied again\n%s", again.tail())
	}
}
