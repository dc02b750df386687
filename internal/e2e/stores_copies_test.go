//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testCopies copies between stores of different directories: what is known by its content, and
// nothing else.
func testCopies(t *testing.T, n *neighbours) {
	for _, pair := range n.pairs() {
		mine, other := pair[0], pair[1]
		t.Run(filepath.Base(mine.root()), func(t *testing.T) {
			dir := mine.scratch(t)
			file := "copied-" + filepath.Base(dir)
			n.w.put(t, filepath.Join(dir, file), file+"\n")
			w := other.newWares(t)
			two := other.built(t, w, "two")
			key := other.newKey(t, "copies-1")
			other.line(t, dir, "nix store sign --recursive --key-file "+key.secret+" "+two).must(t)
			path := strings.TrimSpace(other.line(t, dir, "nix store add-file "+file).must(t))
			before := other.fingerprint(t)
			take := func(what string, options ...string) result {
				argv := append([]string{
					mine.programPath(t, "nix"), "copy", "--extra-experimental-features", "read-only-local-store",
					"--from", readOnlyStore(other.layout(t).Store, other.layout(t).State, other.layout(t).Log), what,
				}, options...)
				return mine.bare(dir, argv).run(t)
			}
			take(path).want(t, 0)
			copied, err := filepath.Glob(filepath.Join(mine.store, "*-"+file))
			added := strings.TrimSpace(mine.line(t, dir, "nix store add-file "+file).must(t))
			if err != nil || len(copied) != 1 || copied[0] != added {
				t.Errorf("copied as %q, %v; it is %q", copied, err, added)
			}
			// A name that is made of the inputs names something else in another store directory.
			take(two).refused(t, "lacks a signature by a trusted key")
			take(two, "--option", "trusted-public-keys", key.public).refused(t, "lacks a signature by a trusted key")
			same(t, "the store that was copied from", before, other.fingerprint(t))
		})
	}
}

// readOnlyStore is a store by its directories, which is only read.
func readOnlyStore(store, state, log string) string {
	return "local?store=" + store + "&state=" + state + "&log=" + log + "&read-only=true"
}

// signingKey is a file with a secret key, and the public key that belongs to it.
type signingKey struct{ secret, public string }

func (p *place) newKey(t *testing.T, name string) signingKey {
	t.Helper()
	k := signingKey{secret: filepath.Join(p.scratch(t), "key")}
	p.shell(t, "umask 077; "+p.programPath(t, "nix")+" key generate-secret --key-name "+name+" >"+k.secret).must(t)
	k.public = strings.TrimSpace(p.shell(t, p.programPath(t, "nix")+" key convert-secret-to-public <"+k.secret).must(t))
	if !strings.HasPrefix(k.public, name+":") {
		t.Fatalf("the public key is %q", k.public)
	}
	return k
}

// testSoftwareAndData keeps software in one store and data in another of the same store directory,
// as docs/STORES.md has it.
func testSoftwareAndData(t *testing.T, n *neighbours) {
	if asMappedRoot(n.a.account) == nil {
		t.Skip("skipped: user namespaces cannot be made here")
	}
	software := n.a
	home := n.w.home(t, "stores-data")
	root := filepath.Join(home, "data")
	asked := &place{w: n.w, store: software.store, home: home, account: software.account, change: software.change}
	asked.install("", "--runtime", "--root", root).must(t)
	data := *asked
	data.store = filepath.Join(root, software.store)

	key := software.newKey(t, "software-1")
	l, d := software.layout(t), data.layout(t)
	if conf, err := os.ReadFile(d.NixConf()); err != nil || n.classic != nil && !strings.Contains(string(conf), "\nsubstituters = "+classicStore+"&read-only=true") {
		t.Errorf("nix.conf does not name the store in /nix: %v\n%s", err, conf)
	}
	custom := filepath.Join(d.Conf, "nix.custom.conf")
	substituter := "extra-experimental-features = read-only-local-store\nextra-substituters = " + readOnlyStore(l.Store, l.State, l.Log) + "\n"
	n.w.put(t, custom, substituter)
	// Without the key nothing of the software is believed.
	s := newSoftware(t, software)
	s.build(t, software, "software")
	if r := s.build(t, &data, "data"); !strings.Contains(r.stderr, "not signed by any of the keys") {
		t.Errorf("fetched without a signature:\n%s", r.tail())
	}

	n.w.put(t, custom, substituter+"extra-trusted-public-keys = "+key.public+"\n")
	s = newSoftware(t, software)
	made := strings.TrimSpace(s.build(t, software, "software").stdout)
	software.line(t, s.dir, "nix store sign --recursive --key-file "+key.secret+" "+made).must(t)
	before := software.fingerprint(t)
	r := s.build(t, &data, "data")
	if !strings.Contains(r.stderr, "copying path '"+made+"'") || strings.Contains(r.stderr, filepath.Base(made)+".drv'...") {
		t.Errorf("the software was not fetched:\n%s", r.tail())
	}
	made = strings.TrimSpace(r.stdout)
	if text, err := os.ReadFile(filepath.Join(root, made)); err != nil || string(text) != "made by software\n" {
		t.Errorf("the data: %q, %v", text, err)
	}
	if _, err := os.Lstat(made); err == nil {
		t.Errorf("%s is in the store of the software as well", made)
	}
	if got := data.runtime(t, "nix", "store", "cat", made).must(t); got != "made by software\n" {
		t.Errorf("the data, by its Nix: %q", got)
	}
	data.program("gc", "--yes").must(t)
	same(t, "the store of the software", before, software.fingerprint(t))

	// The other way, with the same key.
	made = strings.TrimSpace(s.build(t, &data, "data").stdout)
	take := func(options ...string) result {
		return software.bare(s.dir, append([]string{
			software.programPath(t, "nix"), "copy", "--extra-experimental-features", "read-only-local-store",
			"--from", "local?real=" + d.Store + "&store=" + software.store + "&state=" + d.State + "&log=" + d.Log + "&read-only=true", made,
		}, options...)).run(t)
	}
	trusted := []string{"--option", "extra-trusted-public-keys", key.public}
	take(trusted...).refused(t, "lacks a signature by a trusted key")
	data.runtime(t, "nix", "store", "sign", "--recursive", "--key-file", key.secret, made).must(t)
	take().refused(t, "lacks a signature by a trusted key")
	take(trusted...).want(t, 0)
	if text, err := os.ReadFile(made); err != nil || string(text) != "made by software\n" {
		t.Errorf("copied to the software: %q, %v", text, err)
	}
	remove(t, custom) // it is nobody's but the user's, and stays otherwise
	testUninstallBorrower(t, &data, n.b)
}

// testUninstallBorrower takes a prefix away that borrows from another, which is to be as it was.
func testUninstallBorrower(t *testing.T, borrower, lender *place) {
	borrower.program("borrow", lender.root()).must(t)
	if len(lender.lent(t)) == 0 {
		t.Error("no root is in the lender")
	}
	borrower.program("uninstall", "--yes").must(t)
	if left := lender.lent(t); len(left) > 0 {
		t.Errorf("left in the lender: %q", left)
	}
	if _, err := os.Lstat(borrower.root()); err == nil {
		t.Errorf("%s is still there", borrower.root())
	}
}

// wanted is a program and what it makes, for two stores of one directory.
type wanted struct{ dir string }

// newSoftware writes an expression that needs nothing of a store. Nobody has built it before.
func newSoftware(t *testing.T, p *place) wanted {
	t.Helper()
	s := wanted{p.scratch(t)}
	salt := filepath.Base(s.dir)
	p.w.put(t, filepath.Join(s.dir, "default.nix"), `let
  make = name: script: derivation {
    name = "${name}-`+salt+`";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-euc" script ];
  };
in rec {
  software = make "software" "echo 'echo made by software' >$out";
  data = make "data" ". ${software} >$out";
}
`)
	return s
}

// build builds one of the two with the Nix of a prefix.
func (s wanted) build(t *testing.T, p *place, name string) result {
	t.Helper()
	args := []string{"build", "--no-link", "--print-out-paths", "-f", ".", name}
	c := p.runtime(t, "nix", args...) // in both kinds of prefix it is in the profile
	c.dir = s.dir
	return c.run(t).want(t, 0)
}
