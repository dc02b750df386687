//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testProfiles has both prefixes keep profiles for one account in one HOME.
func testProfiles(t *testing.T, n *neighbours) {
	t.Run("nix profile", func(t *testing.T) { testBothProfiles(t, n) })
	t.Run("nix-env and channels", func(t *testing.T) { testBothEnvironments(t, n) })
	t.Run("a profile of another store", func(t *testing.T) { testForeignProfile(t, n) })
	t.Run("a profile kept in the other prefix", func(t *testing.T) { testGuestProfile(t, n) })
	t.Run("root", func(t *testing.T) { testMappedRoot(t, n) })
}

// testBothProfiles: they install, list and remove in turn, and what one does the other has not.
func testBothProfiles(t *testing.T, n *neighbours) {
	goods := map[*place]wares{}
	for _, p := range []*place{n.a, n.b} {
		p.forget(t)
		goods[p] = p.newWares(t)
	}
	for _, line := range []string{"nix profile install ./src#one", "nix profile install ./src#prog", "nix profile remove one"} {
		for _, p := range []*place{n.a, n.b} {
			p.line(t, goods[p].dir, line).must(t)
		}
	}
	for _, pair := range n.pairs() {
		p := pair[0]
		list := p.line(t, goods[p].dir, "nix profile list").must(t)
		if !strings.Contains(list, "prog") || strings.Contains(list, pair[1].store) || strings.Contains(list, "Name:               one") {
			t.Errorf("the profile of %s:\n%s", p.store, list)
		}
	}
	// Collecting the garbage of one with all its generations leaves those of the other.
	for _, pair := range n.pairs() {
		before := pair[1].fingerprint(t)
		pair[0].line(t, goods[pair[0]].dir, "nix-collect-garbage -d").must(t)
		same(t, "the other store", before, pair[1].fingerprint(t))
	}
	for _, p := range []*place{n.a, n.b} {
		p.forget(t)
	}
}

// testBothEnvironments: the same with the old commands.
func testBothEnvironments(t *testing.T, n *neighbours) {
	goods := map[*place]wares{}
	for _, p := range []*place{n.a, n.b} {
		p.forget(t)
		goods[p] = p.newWares(t)
	}
	lines := []string{
		"nix-env -f src -i -A one", "nix-channel --add file://$PWD/channel iso", "nix-channel --update",
		"nix-env -f src -i -A prog", "nix-env --rollback",
	}
	for _, line := range lines {
		for _, p := range []*place{n.a, n.b} {
			p.line(t, goods[p].dir, strings.ReplaceAll(line, "$PWD", goods[p].dir)).must(t)
		}
	}
	for _, p := range []*place{n.a, n.b} {
		dir := goods[p].dir
		if got := p.line(t, dir, "nix-env -q --out-path").must(t); strings.Count(got, "\n") != 1 || !strings.Contains(got, p.store+"/") || !strings.Contains(got, "-one") {
			t.Errorf("installed in %s:\n%s", p.store, got)
		}
		if got := p.line(t, dir, "nix-channel --list").must(t); got != "iso file://"+dir+"/channel\n" {
			t.Errorf("channels of %s:\n%s", p.store, got)
		}
		// The channel is found by its name, and is that of the prefix.
		name := strings.TrimSpace(p.line(t, dir, "nix-instantiate --option nix-path "+p.layout(t).UserProfiles(p.account.name)+"/defexpr/channels --eval -E (import<iso>).one.name").must(t))
		if !strings.HasSuffix(name, `-one"`) {
			t.Errorf("the channel has %s", name)
		}
		p.forget(t)
	}
}

// testForeignProfile: a profile of the other store is refused by the name of its owner.
func testForeignProfile(t *testing.T, n *neighbours) {
	for _, pair := range n.pairs() {
		mine, other := pair[0], pair[1]
		theirs := other.settle(t)
		ours := mine.newWares(t)
		old := filepath.Join(other.layout(t).UserProfiles(other.account.name), "profiles/profile")
		modern := filepath.Join(theirs.dir, "modern")
		for _, name := range []string{"one", "prog"} {
			other.line(t, theirs.dir, "nix profile install --profile "+modern+" ./src#"+name).must(t)
		}
		before, work := other.fingerprint(t), tree(t, theirs.dir)
		refuses := func(line string, env ...string) {
			mine.line(t, ours.dir, line, env...).run(t).refused(t, "belongs to another Nix")
		}
		for _, line := range []string{
			"nix-env -q", "nix-env -f src -i -A one", "nix-env -e *", "nix-env --set " + mine.native(t), "nix-env --rollback",
			"nix-env --switch-generation 1", "nix-env --delete-generations old", "nix-env --list-generations",
		} {
			refuses(line + " -p " + old)
			refuses(line, "NIX_PROFILE="+old)
		}
		for _, line := range []string{
			"nix profile list", "nix profile install ./src#one", "nix profile remove --all", "nix profile rollback",
			"nix profile wipe-history", "nix build --no-link ./src#one",
		} {
			refuses(line + " --profile " + modern)
		}
		same(t, "the other profile", work, tree(t, theirs.dir))
		same(t, "the other store", before, other.fingerprint(t))
	}
}

// testGuestProfile: the collector of one leaves the generations of a profile alone that somebody
// keeps for the other in its state directory.
func testGuestProfile(t *testing.T, n *neighbours) {
	for _, pair := range n.pairs() {
		guest, host := pair[0], pair[1]
		goods := guest.newWares(t)
		profile := filepath.Join(host.layout(t).UserProfiles(host.account.name), "guest")
		guest.line(t, goods.dir, "nix-env -f src -i -A one -p "+profile).must(t)
		guest.line(t, goods.dir, "nix-env -f src -i -A prog -p "+profile).must(t)
		host.line(t, goods.dir, "nix-collect-garbage -d").must(t)
		if _, err := os.Lstat(profile + "-1-link"); err != nil {
			t.Errorf("%s has removed a generation of a profile of %s: %v", host.store, guest.store, err)
		}
		links, err := filepath.Glob(profile + "*")
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links {
			remove(t, link)
		}
	}
}

// testMappedRoot: whom the kernel takes for root, as in a container, has profiles like everybody,
// and the default profile that everybody finds Nix in stays what it is.
func testMappedRoot(t *testing.T, n *neighbours) {
	change := asMappedRoot(n.a.account)
	if change == nil {
		t.Skip("skipped: user namespaces cannot be made here")
	}
	p := *n.a
	p.change = both(change, n.a.change)
	l := p.layout(t)
	clean := func() {
		for _, dir := range []string{l.UserProfiles("root"), l.UserDir("root")} {
			remove(t, dir)
			n.a.dropRoots(t, dir)
		}
	}
	clean()
	t.Cleanup(clean)
	before := withoutLogs(t, n.a)
	goods := p.newWares(t)
	const groups = "NIX_CONFIG=require-drop-supplementary-groups = false" // which a mapped root cannot
	for _, line := range []string{
		"nix-channel --add file://" + goods.dir + "/channel iso", "nix-channel --update", "nix-channel --list",
		"nix-env -f src -i -A one", "nix-env -q", "nix-env -e *", "nix-env --rollback",
	} {
		p.line(t, goods.dir, line, groups).must(t)
	}
	remove(t, l.UserProfiles("root"))
	for _, line := range []string{"nix profile install ./src#one", "nix profile list", "nix profile remove one"} {
		p.line(t, goods.dir, line, groups).must(t)
	}
	link := filepath.Join(l.UserProfiles("root"), "profile")
	if target, err := filepath.EvalSymlinks(link); err != nil || !strings.HasPrefix(target, p.store+"/") {
		t.Errorf("%s leads to %q, %v", link, target, err)
	}
	clean()
	for _, path := range changes(before, withoutLogs(t, n.a)) {
		if !strings.HasPrefix(path, "+ ") || strings.Contains(path, l.DefaultProfile()) {
			t.Error(path)
		}
	}
}
