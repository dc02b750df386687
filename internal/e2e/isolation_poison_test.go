//go:build e2e

package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// venom is a variable that another Nix has left in the environment.
type venom struct {
	name, value string
	want        outcome // where nothing is sourced; with the env file it is always its own store
	reason      string  // of the refusal
}

// venoms are all variables that the env file takes away, and those that it sets, as the other
// prefix would set them.
func venoms(t *testing.T, other *place) []venom {
	t.Helper()
	l, user := other.layout(t), other.account.name
	const stamp = "belongs to the store"
	return []venom{
		{"NIX_STORE", l.Store, own, ""},
		{"NIX_STORE_DIR", l.Store, refused, stamp},
		{"NIX_STATE_DIR", l.State, refused, stamp},
		{"NIX_LOG_DIR", l.Log, own, ""},
		{"NIX_CONF_DIR", l.Conf, own, ""},
		{"NIX_REMOTE", "daemon", own, ""},
		{"NIX_REMOTE", "local?store=" + l.Store + "&state=" + l.State + "&log=" + l.Log, own, ""},
		{"NIX_DAEMON_SOCKET_PATH", filepath.Join(l.State, "daemon-socket/socket"), own, ""},
		{"NIX_BIN_DIR", filepath.Join(other.native(t), "bin"), own, ""},
		{"NIX_PATH", "bootstrap=" + l.Packages, own, ""},
		// A configuration that somebody states in so many words counts, where a store is opened.
		{"NIX_CONFIG", "store = daemon", refused, "cannot connect to socket"},
		{"NIX_PROFILE", filepath.Join(l.UserProfiles(user), "profile"), own, ""},
		{"NIX_BUILD_SHELL", filepath.Join(other.output(t, "toolchain", "toolchain"), "usr/bin/bash"), own, ""},
		{"NIX_REMOTE_SYSTEMS", filepath.Join(l.Conf, "machines"), own, ""},

		{"NIX_CACHE_HOME", l.UserCache(user), own, ""},
		{"NIX_CONFIG_HOME", l.UserConf(user), own, ""},
		{"NIX_DATA_HOME", l.UserData(user), own, ""},
		{"NIX_STATE_HOME", l.UserProfiles(user), own, ""},
		{"NIX_PROFILES", l.DefaultProfile(), own, ""},
	}
}

// testPoison sets each of them to the other prefix. With the env file it is as if nobody had;
// without, one's own store is used, or none; and the other prefix stays as it is.
func testPoison(t *testing.T, n *neighbours) {
	mine := n.a.settle(t)
	for _, v := range venoms(t, n.b) {
		t.Run(v.name, func(t *testing.T) {
			set := v.name + "=" + v.value
			n.b.anotherGeneration(t, mine.dir)
			before := withoutLogs(t, n.b)
			for _, argv := range uses() {
				c := n.a.bare(mine.dir, append([]string{n.a.programPath(t, argv[0])}, argv[1:]...), set)
				if v.want == refused && !strings.HasPrefix(strings.Join(argv, " "), "nix ") {
					c.run(t).refused(t, v.reason)
				} else if v.want == own {
					isOwn(t, n.a, c)
				}
			}
			after := withoutLogs(t, n.b)
			same(t, "the other store, with nothing sourced", before, after)
			n.a.usesOwn(t, mine, set)
			same(t, "the other store, with the env file", after, withoutLogs(t, n.b))
		})
	}
	for name, env := range map[string][]string{
		"all of them":               all(venoms(t, n.b)),
		"the env file of the other": strings.Split(strings.TrimSpace(n.b.sourced(mine.dir, []string{"env"}).must(t)), "\n"),
	} {
		t.Run(name, func(t *testing.T) {
			n.b.anotherGeneration(t, mine.dir)
			before := n.b.fingerprint(t)
			n.a.usesOwn(t, mine, env...)
			same(t, "the other store", before, n.b.fingerprint(t))
		})
	}
	mine.stands(t, n.a)
}

func all(venoms []venom) []string {
	var env []string
	for _, v := range venoms {
		env = append(env, v.name+"="+v.value)
	}
	return env
}

// anotherGeneration makes sure that there is something to roll back to in the account's profile.
func (p *place) anotherGeneration(t *testing.T, dir string) {
	t.Helper()
	p.line(t, dir, "nix-env -r -i "+p.output(t, "toolchain", "cacert")).must(t)
	p.line(t, dir, "nix-env -e *").must(t)
}

// uses are commands that meet the store, the profile and the configuration of somebody.
func uses() [][]string {
	return [][]string{
		words("nix eval --raw --expr builtins.storeDir"),
		words("nix-build --no-out-link src -A env"),
		words("nix registry add iso path:/nonexistent"),
		words("nix-collect-garbage -d"),
	}
}

// usesOwn makes sure that with the env file all of them work on the prefix, whatever is set.
func (p *place) usesOwn(t *testing.T, s settled, env ...string) {
	t.Helper()
	for _, argv := range append(uses(), words("nix-env -f src -i -A two"), words("nix-shell src -A env --run true")) {
		isOwn(t, p, p.sourced(s.dir, argv, env...))
	}
}

// isOwn makes sure that a command ends well, and prints no other store's paths.
func isOwn(t *testing.T, p *place, c command) {
	t.Helper()
	r := c.run(t).want(t, 0)
	for line := range strings.Lines(r.stdout) {
		if strings.HasPrefix(line, "/") && !strings.HasPrefix(line, p.store) {
			t.Errorf("%s\nit prints %s", r, line)
		}
	}
}
