//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testLocalSources installs again where there is a Nix in /nix, and then where there is none, and
// fetches a source with what was written into nix.conf.
func testLocalSources(t *testing.T, n *neighbours) {
	if n.classic == nil {
		t.Skip("skipped: only root can put a store in the place of /nix")
	}
	with, without := *n.a, *n.a
	with.home = n.w.home(t, "stores-sources") // of the list of prefixes
	without.home, without.change = with.home, nil
	source := fixed{dir: with.scratch(t), path: n.classic.root, name: "classic-2", text: n.classic.text("classic-2")}
	before := n.others(t)

	conf := with.configuredAnew(t)
	if !strings.Contains(conf, "\nsubstituters = "+classicStore+"&read-only=true") {
		t.Errorf("nix.conf does not name the store in /nix:\n%s", conf)
	}
	source.isFetched(t, &with, "")
	same(t, "the store that was asked", before, n.others(t))

	// While it is not there, builds go on, and make nothing in its place.
	r := without.nix(t, "nix", "build", "--impure", "--no-link", "--expr", without.proof(t, "no-sources-"+filepath.Base(source.dir))).run(t).want(t, 0)
	if !strings.Contains(r.stderr, "warning: ") {
		t.Errorf("nothing says that the store in /nix is not there:\n%s", r.tail())
	}
	if entries, err := os.ReadDir("/nix"); err == nil && len(entries) > 0 {
		t.Errorf("made in /nix: %v", entries)
	}

	// One that may not be read is not asked, and nor is one that is not there.
	database := filepath.Join(n.classic.dir, "var/nix/db")
	if err := os.Chmod(database, 0); err != nil {
		t.Fatal(err)
	}
	conf = with.configuredAnew(t)
	if err := os.Chmod(database, 0o755); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(conf, "\n# No store of another Nix on this machine is asked: /nix is there, and /nix/var/nix/db/db.sqlite may not be read.\n") {
		t.Errorf("nix.conf does not say why the store in /nix is not asked:\n%s", conf)
	}
	conf = without.configuredAnew(t)
	if strings.Contains(conf, "local?") || !strings.Contains(conf, "\n# No store of another Nix on this machine is asked: ") {
		t.Errorf("nix.conf without a Nix in /nix:\n%s", conf)
	}
}

// configuredAnew lets the installer write nix.conf anew, and returns it.
func (p *place) configuredAnew(t *testing.T) string {
	t.Helper()
	path := p.layout(t).NixConf()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	p.install("").must(t)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
