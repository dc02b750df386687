//go:build e2e

package e2e_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testForeignConfiguration: the nix.conf of another Nix has no effect, where it usually is and
// where variables of others say that it is.
func testForeignConfiguration(t *testing.T, n *neighbours) {
	settings := func(env ...string) string {
		dir := n.a.scratch(t)
		return n.a.line(t, dir, "nix config show", env...).must(t)
	}
	dir := n.a.scratch(t)
	want := settings("HOME="+dir, "XDG_CONFIG_DIRS="+dir)
	for _, line := range []string{"store = local", "sandbox-fallback = false", "use-xdg-base-directories = true", "build-dir = " + n.a.layout(t).BuildDir()} {
		if !strings.Contains(want, "\n"+line+"\n") {
			t.Errorf("the configuration of the prefix has no %q", line)
		}
	}
	elsewhere := filepath.Join(n.home, ".config")
	for name, env := range map[string][]string{
		"in HOME and /etc/xdg": nil,
		"XDG_CONFIG_DIRS":      {"XDG_CONFIG_DIRS=" + elsewhere},
		"XDG_CONFIG_HOME":      {"XDG_CONFIG_HOME=" + elsewhere, "HOME=" + dir},
	} {
		t.Run(name, func(t *testing.T) {
			if got := settings(env...); got != want {
				t.Errorf("the configuration is\n%s\nnot\n%s", got, want)
			}
			w := n.a.newWares(t)
			n.a.line(t, w.dir, "nix-build --no-out-link src -A one", env...).must(t)
		})
	}
}

// testCompiledDefaults: what nix.conf says as well is compiled in, so that a prefix whose nix.conf
// is lost or not read is no danger to others.
func testCompiledDefaults(t *testing.T, n *neighbours) {
	w := n.a.newWares(t)
	l := n.a.layout(t)
	conf := filepath.Join(w.dir, "conf")
	n.w.put(t, filepath.Join(conf, "nix.conf"), spareConf+"build-users-group =\n")
	without := "NIX_CONF_DIR=" + conf
	others := n.others(t)
	t.Run("settings", func(t *testing.T) {
		got := "\n" + n.a.line(t, w.dir, "nix config show", without, "NIX_REMOTE=daemon").must(t)
		for _, line := range []string{"store = local", "use-xdg-base-directories = true"} {
			if !strings.Contains(got, "\n"+line+"\n") {
				t.Errorf("%q is not compiled in", line)
			}
		}
	})
	t.Run("profiles and channels", func(t *testing.T) {
		n.a.forget(t)
		for _, line := range []string{
			"nix-env -f src -i -A one", "nix-channel --add file://" + w.dir + "/channel iso", "nix-channel --update",
			"nix registry add iso path:" + w.dir + "/src", "nix eval iso#one.name", "nix-collect-garbage -d",
		} {
			n.a.line(t, w.dir, line, without, "NIX_REMOTE=daemon").must(t)
		}
		n.a.forget(t)
		same(t, "HOME and what else is not ours", others, n.others(t))
	})
	t.Run("state directory", func(t *testing.T) {
		// Where there is none, none is made up in HOME.
		gone := filepath.Join(w.dir, "gone/var/nix")
		n.a.line(t, w.dir, "nix-store -q --roots "+n.a.native(t), without, "NIX_STATE_DIR="+gone).run(t)
		same(t, "HOME and what else is not ours", others, n.others(t))
	})
	t.Run("certificates", func(t *testing.T) { testCertificates(t, n, w, without) })
	t.Run("temporary directories", func(t *testing.T) {
		n.a.forget(t)
		tmp := n.a.scratch(t)
		for _, line := range []string{"nix profile install ./src#one", "nix profile install ./src#prog", "nix profile remove --all"} {
			n.a.line(t, w.dir, line, "TMPDIR="+tmp).must(t)
		}
		n.a.forget(t)
		if left := tree(t, tmp); len(left) != 1 {
			t.Errorf("left in TMPDIR: %v", left)
		}
	})
	t.Run("upgrade", func(t *testing.T) {
		n.a.line(t, w.dir, "nix upgrade-nix").run(t).refused(t, "upgrade it with the installer that made it")
		n.a.line(t, w.dir, "nix upgrade-nix --dry-run", without).run(t).refused(t, "was made for the store '"+l.Store+"'")
	})
}

// testCertificates: none are looked for in /nix, and those of a profile of the prefix are found.
func testCertificates(t *testing.T, n *neighbours, w wares, without string) {
	program, err := os.ReadFile(n.a.programPath(t, "nix"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"/nix/var/nix/profiles/default/etc/ssl": false,
		"/profiles/default/etc/ssl/certs":       true, // the words are looked for in the right file
		"/etc/pki/tls/certs/ca-bundle.crt":      true,
	} {
		if bytes.Contains(program, []byte(path)) != want {
			t.Errorf("the native nix has %q in it: %t, and should: %t", path, !want, want)
		}
	}
	certs := "/etc/ssl/certs"
	if _, err := os.Stat(certs); err != nil || os.Getuid() != 0 {
		t.Log("skipped: only root can take the certificates of the host away")
		return
	}
	p := *n.a
	p.change = both(view(n.a.account, binding{n.a.scratch(t), certs}), nil)
	got := strings.TrimSpace(p.line(t, w.dir, "nix config show ssl-cert-file", without).must(t))
	if want := filepath.Join(p.layout(t).DefaultProfile(), "etc/ssl/certs/ca-bundle.crt"); got != want {
		t.Errorf("without the host's certificates those in %q are used, not in %q", got, want)
	}
}
