//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bootstrap/internal/prefix"
)

// outcome is what a Nix has to make of an environment that leads elsewhere.
type outcome string

const (
	own     outcome = "it works on its own store"
	refused outcome = "it refuses, since the state directory is of another store"
	theirs  outcome = "it works on the other store, with all that belongs to it"
)

// half is part of the environment of another Nix.
type half struct {
	names string // without NIX_
	want  outcome
}

func halves() []half {
	return []half{
		{"STORE", own},
		{"LOG_DIR", own},
		{"CONF_DIR", own},
		{"STORE_DIR", refused},
		{"STATE_DIR", refused},
		{"STORE STATE_DIR", refused},
		{"STORE_DIR LOG_DIR CONF_DIR", refused},
		{"STATE_DIR LOG_DIR CONF_DIR", refused},
		{"STORE_DIR STATE_DIR", theirs},
		{"STORE_DIR STATE_DIR LOG_DIR CONF_DIR", theirs},
	}
}

// env returns the variables, with the directories of the other.
func (h half) env(l prefix.Layout) []string {
	dirs := map[string]string{
		"STORE": l.Store, "STORE_DIR": l.Store, "STATE_DIR": l.State, "LOG_DIR": l.Log, "CONF_DIR": l.Conf,
	}
	var env []string
	for _, name := range strings.Fields(h.names) {
		env = append(env, "NIX_"+name+"="+dirs[name])
	}
	return env
}

// standIn is a store without a Nix, for what would cost a whole prefix if it went wrong.
type standIn struct {
	layout prefix.Layout
	rooted string
}

// spareConf is a nix.conf that leaves most to what is compiled in. Build inputs are kept, since
// the prefix is to be as good afterwards.
const spareConf = `experimental-features = nix-command flakes
substituters =
flake-registry =
keep-outputs = true
keep-derivations = true
`

// newStandIn makes one, with something rooted and a profile of two generations.
func newStandIn(t *testing.T, p *place) standIn {
	t.Helper()
	root := p.scratch(t)
	l, err := prefix.Resolve(prefix.Options{Path: filepath.Join(root, "store")})
	if err != nil {
		t.Fatal(err)
	}
	s := standIn{layout: l}
	p.w.put(t, filepath.Join(root, "note"), "note\n")
	s.rooted = strings.TrimSpace(p.line(t, root, "nix store add-file --store "+s.uri()+" note").must(t))
	p.w.link(t, s.rooted, filepath.Join(l.State, "gcroots/note"))
	for _, link := range []string{"default-1-link", "default-2-link"} {
		p.w.link(t, s.rooted, filepath.Join(l.Profiles(), link))
	}
	p.w.link(t, "default-2-link", filepath.Join(l.Profiles(), "default"))
	p.w.put(t, l.NixConf(), spareConf)
	return s
}

func (s standIn) uri() string {
	return "local?store=" + s.layout.Store + "&state=" + s.layout.State + "&log=" + s.layout.Log
}

// fingerprint says of all its files what they are, but for those that Nix writes when it looks,
// and for logs, which are where NIX_LOG_DIR says.
func (s standIn) fingerprint(t *testing.T) manifest {
	t.Helper()
	m, err := takeManifest(s.layout.Root, "var/nix/db", "var/nix/temproots", "var/nix/gc.lock", "var/nix/gc-socket", "var/log")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// testHalfEnvironment gives every part of another Nix's environment to ours: first with a stand-in,
// and only if that was left alone, with the other prefix.
func testHalfEnvironment(t *testing.T, n *neighbours) {
	for _, h := range halves() {
		t.Run(h.names, func(t *testing.T) {
			s := newStandIn(t, n.a)
			h.try(t, n.a, s.layout, func() manifest { return s.fingerprint(t) })
			if _, err := os.Lstat(s.rooted); err != nil {
				t.Errorf("%s was rooted, and is gone", s.rooted)
			}
			if t.Failed() {
				t.Fatal("the other prefix is spared")
			}
			for _, pair := range n.pairs() {
				other := pair[1].settle(t)
				h.try(t, pair[0], pair[1].layout(t), func() manifest { return withoutLogs(t, pair[1]) })
				if h.want == theirs {
					other.collected(t, false)
				}
			}
		})
	}
}

// withoutLogs is the fingerprint of a prefix less its logs, since NIX_LOG_DIR says no more than
// where those go.
func withoutLogs(t *testing.T, p *place) manifest {
	t.Helper()
	m, l := p.fingerprint(t), p.layout(t)
	for name := range m {
		if strings.HasPrefix(name, l.Log+"/") {
			delete(m, name)
		}
	}
	return m
}

func (h half) try(t *testing.T, p *place, l prefix.Layout, look func() manifest) {
	t.Helper()
	mine := p.settle(t)
	before := look()
	run := func(line string) result { return p.line(t, mine.dir, line, h.env(l)...).run(t) }
	dead := run("nix-store --gc --print-dead")
	switch h.want {
	case own:
		dead.want(t, 0)
		if strings.Contains(dead.stdout, l.Store+"/") {
			t.Fatalf("the garbage is to be\n%s", lastLines(dead.stdout, 10))
		}
		run("nix-build --no-out-link src -A env").want(t, 0)
		run("nix-collect-garbage -d").want(t, 0)
		mine.collected(t, true)
	case refused:
		const reason = "belongs to the store"
		dead.refused(t, reason)
		if t.Failed() {
			t.FailNow()
		}
		run("nix-build --no-out-link src -A env").refused(t, reason)
		run("nix-env -q").refused(t, reason)
		run("nix-collect-garbage").refused(t, reason)
		run("nix-collect-garbage -d").refused(t, reason)
	case theirs:
		dead.want(t, 0)
		run("nix-collect-garbage").want(t, 0)
		return
	}
	same(t, "the other store", before, look())
	mine.stands(t, p)
}

// stands makes sure that a prefix still has what is rooted in it, and a sound database.
func (s settled) stands(t *testing.T, p *place) {
	t.Helper()
	if _, err := os.Lstat(s.rooted); err != nil {
		t.Errorf("%s was rooted, and is gone", s.rooted)
	}
	p.line(t, s.dir, "nix-store --verify").must(t)
	for path := range p.pathInfos(t, "--all") {
		if filepath.Dir(path) != p.store {
			t.Errorf("the database has %s", path)
		}
	}
}
