//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"testing"
)

// testHomes works from a HOME that is no good, or none.
func testHomes(t *testing.T, n *neighbours) {
	owned := n.a.scratch(t) // by somebody else
	if os.Getuid() == 0 {
		if err := os.Chown(owned, 0, 0); err != nil {
			t.Fatal(err)
		}
	} else {
		owned = "/"
	}
	canary := func(name string) string { return filepath.Join(n.home, name) }
	for name, env := range map[string][]string{
		"HOME is not there":        {"HOME=/nonexistent"},
		"HOME is somebody else's":  {"HOME=" + owned},
		"HOME is empty":            {"HOME="},
		"HOME is a file":           {"HOME=" + canary(".profile")},
		"HOME is the other prefix": {"HOME=" + n.b.root()},
		"XDG directories of others": {
			"XDG_CACHE_HOME=" + canary(".cache"), "XDG_CONFIG_HOME=" + canary(".config"), "XDG_DATA_HOME=" + canary(".local/share"),
			"XDG_STATE_HOME=" + canary(".local/state"), "XDG_CONFIG_DIRS=" + canary(".config"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			others, other, strangers := n.others(t), n.b.fingerprint(t), tree(t, owned)
			n.a.forget(t)
			w := n.a.newWares(t)
			for _, line := range []string{
				"nix eval ./src#one.name", "nix build --no-link ./src#two", "nix-build --no-out-link src -A one",
				"nix-env -f src -i -A one", "nix-env -q", "nix-env -e *",
				"nix-channel --add file://" + w.dir + "/channel iso", "nix-channel --update", "nix-channel --remove iso",
				"nix-shell src -A env --run true", "nix registry add iso path:" + w.dir + "/src",
				"nix-collect-garbage -d",
			} {
				n.a.line(t, w.dir, line, env...).must(t)
				n.a.sourced(w.dir, words(line), env...).must(t)
			}
			n.a.forget(t)
			n.a.line(t, w.dir, "nix profile install ./src#one", env...).must(t)
			n.a.line(t, w.dir, "nix profile list", env...).must(t)
			n.a.forget(t)
			same(t, "HOME and what else is not ours", others, n.others(t))
			same(t, "the other store", other, n.b.fingerprint(t))
			same(t, "the directory of somebody else", strangers, tree(t, owned))
		})
	}
}

// tree is the manifest of a directory that is small; of "/" it is none.
func tree(t *testing.T, dir string) manifest {
	t.Helper()
	if dir == "/" {
		return nil
	}
	m, err := takeManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
