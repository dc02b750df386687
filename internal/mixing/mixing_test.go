package mixing_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/mixing"
	"bootstrap/internal/prefix"
	"bootstrap/internal/registry"
)

func known(t *testing.T) (a, b, classic mixing.Store) {
	t.Helper()
	var stores [2]mixing.Store
	for i, path := range []string{"/no-such-a", "/no-such-b"} {
		l, err := prefix.Resolve(prefix.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		stores[i] = mixing.Prefix(l, "")
	}
	return stores[0], stores[1], mixing.Classic(registry.ClassicAt("/nix").Layout)
}

func TestCheck(t *testing.T) {
	t.Parallel()
	a, b, classic := known(t)
	ours := map[string]string{
		"BOOTSTRAP_PREFIX": "/no-such-a",
		"NIX_STATE_HOME":   "/no-such-a/var/nix/profiles/per-user/me",
		"NIX_CACHE_HOME":   "/no-such-a/var/nix/users/me/cache",
		"NIX_PROFILES":     "/no-such-a/var/nix/profiles/default /no-such-a/var/nix/profiles/per-user/me/profile",
	}
	with := func(more ...string) map[string]string {
		env := map[string]string{}
		for k, v := range ours {
			env[k] = v
		}
		for _, m := range more {
			k, v, _ := strings.Cut(m, "=")
			env[k] = v
		}
		return env
	}
	only := func(more ...string) map[string]string {
		env := with(more...)
		for k := range ours {
			delete(env, k)
		}
		return env
	}
	for _, tt := range []struct {
		name string
		env  map[string]string
		nix  *mixing.Store
		none bool     // no nix in PATH
		want []string // variables
		says string   // in the first finding
	}{
		{name: "nothing set", env: map[string]string{}, nix: &a},
		{name: "its own env file", env: with(), nix: &a},
		{name: "its own directories", env: with("NIX_STORE=/no-such-a/store", "NIX_STORE_DIR=/no-such-a/store/", "NIX_STATE_DIR=/no-such-a/var/nix"), nix: &a},
		{
			name: "another's nix-shell", env: with("NIX_STORE=/nix/store"), nix: &a,
			want: []string{"NIX_STORE"}, says: `of the Nix in "/nix"; nix in PATH, "/bin/nix", belongs to the prefix "/no-such-a/store"`,
		},
		{name: "a store of nobody", env: with("NIX_STORE=/gnu/store"), nix: &a, want: []string{"NIX_STORE"}, says: "no directory of"},
		{name: "half of another", env: only("NIX_STATE_DIR=/no-such-b/var/nix"), nix: &a, want: []string{"NIX_STATE_DIR"}, says: `the prefix "/no-such-b/store"`},
		{name: "a nix in front", env: with(), nix: &classic, want: []string{"BOOTSTRAP_PREFIX"}, says: "the environment is that of"},
		{name: "a nix of no store", env: with(), want: []string{"BOOTSTRAP_PREFIX"}, says: "is not its own"},
		{name: "no nix", env: with(), none: true, want: []string{"BOOTSTRAP_PREFIX"}, says: "no nix in PATH"},
		{name: "a prefix that is gone", env: map[string]string{"BOOTSTRAP_PREFIX": "/gone"}, none: true, want: []string{"BOOTSTRAP_PREFIX"}, says: "where no prefix is"},
		{name: "the daemon, for a prefix", env: with("NIX_REMOTE=daemon"), nix: &a, want: []string{"NIX_REMOTE"}, says: "daemon"},
		{name: "the daemon, for a classic", env: only("NIX_REMOTE=daemon"), nix: &classic},
		{name: "its own socket", env: with("NIX_REMOTE=unix:///no-such-a/var/nix/s"), nix: &a},
		{name: "another's socket", env: with("NIX_REMOTE=unix:///nix/var/nix/daemon-socket/socket"), nix: &a, want: []string{"NIX_REMOTE"}, says: "unix"},
		{name: "another machine", env: with("NIX_REMOTE=ssh://host"), nix: &a, want: []string{"NIX_REMOTE"}, says: "ssh"},
		{name: "a local store, its own", env: with("NIX_REMOTE=local?store=/no-such-a/store&state=/no-such-a/var/nix"), nix: &a},
		{name: "a local store, another", env: with("NIX_REMOTE=local?store=/no-such-b/store"), nix: &a, want: []string{"NIX_REMOTE"}, says: "local?"},
		{name: "settings", env: with("NIX_CONFIG=cores = 2\nstore = daemon\n"), nix: &a, want: []string{"NIX_CONFIG"}, says: "store = daemon"},
		{name: "settings that say nothing", env: with("NIX_CONFIG=cores = 2\nstore = local"), nix: &a},
		{name: "another's channels", env: with("NIX_PATH=nixpkgs=/nix/var/nix/profiles/per-user/root/channels:/home/x"), nix: &a, want: []string{"NIX_PATH"}, says: "channels"},
		{name: "its own channel", env: with("NIX_PATH=nixpkgs=/no-such-a/share/bootstrap/packages:https://x/y"), nix: &a},
		{name: "another's certificates", env: with("NIX_SSL_CERT_FILE=/no-such-b/etc/nix/ca-bundle.crt"), nix: &a, want: []string{"NIX_SSL_CERT_FILE"}, says: "ca-bundle"},
		{name: "two stores and no nix", env: only("NIX_STORE_DIR=/no-such-a/store", "NIX_STATE_DIR=/no-such-b/var/nix"), none: true, want: []string{"NIX_STATE_DIR"}, says: "NIX_STORE_DIR names"},
		{name: "half a pair and no nix", env: only("NIX_STORE_DIR=/x/store"), none: true, want: []string{"NIX_STORE_DIR"}, says: "NIX_STATE_DIR is not"},
		{name: "half a pair that is its own", env: only("NIX_STORE_DIR=/no-such-a/store"), nix: &a},
		{name: "a pair of nobody", env: only("NIX_STORE_DIR=/x/store", "NIX_STATE_DIR=/x/var"), none: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := mixing.Options{Env: tt.env, Nix: tt.nix, Known: []mixing.Store{classic, a, b}, Program: "/bin/nix"}
			if tt.none {
				o.Program = ""
			}
			var got []string
			findings := mixing.Check(o)
			for _, f := range findings {
				got = append(got, f.Variable)
				if f.What == "" || f.Why == "" || f.Remedy == "" {
					t.Errorf("half a finding: %+v", f)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(findings) > 0 && !strings.Contains(findings[0].What, tt.says) {
				t.Errorf("got %q, want %q in it", findings[0].What, tt.says)
			}
		})
	}
}

// A prefix whose files lie elsewhere is known by both of its store directories.
func TestCheckKnowsWhereFilesLieElsewhere(t *testing.T) {
	t.Parallel()
	a, _, _ := known(t)
	a.Knows = "/far/store"
	if got := mixing.Check(mixing.Options{Env: map[string]string{"NIX_STORE": "/far/store"}, Nix: &a, Known: []mixing.Store{a}}); got != nil {
		t.Errorf("got %+v", got)
	}
}
