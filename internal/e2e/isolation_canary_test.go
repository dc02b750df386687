//go:build e2e

package e2e_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// foreignConf is a configuration of another Nix, with settings that would stop ours.
const foreignConf = `store = daemon
substituters = https://cache.invalid
build-dir = /nonexistent
use-xdg-base-directories = false
flake-registry = https://registry.invalid/registry.json
max-jobs = junk
allow-import-from-derivation = neither
`

// plantHome fills a HOME with what another Nix keeps there, as nobody could use it.
func (n *neighbours) plantHome(t *testing.T) {
	t.Helper()
	for name, text := range map[string]string{
		".cache/nix/fetcher-cache-v3.sqlite":        "not a database",
		".cache/nix/binary-cache-v6.sqlite":         "not a database",
		".cache/nix/eval-cache-v5/canary.sqlite":    "not a database",
		".config/nix/nix.conf":                      foreignConf,
		".config/nix/registry.json":                 "not a registry",
		".local/share/nix/repl-history":             "canary\n",
		".local/share/nix/trusted-settings.json":    "not JSON",
		".local/state/nix/profiles/notes":           "canary\n",
		".nix-channels":                             "https://channel.invalid canary\n",
		".nix-defexpr/default.nix":                  "throw \"the expression of another Nix\"\n",
		".local/state/nix/defexpr/default.nix":      "throw \"the expression of another Nix\"\n",
		".config/nixpkgs/config.nix":                "throw \"the configuration of another Nix\"\n",
		".local/share/nix/root/nix/var/nix/db/note": "canary\n",
	} {
		n.w.put(t, filepath.Join(n.home, name), text)
	}
	const foreign = "/nix/store/00000000000000000000000000000000-canary"
	for name, target := range map[string]string{
		".cache/nix/flake-registry.json":           foreign,
		".local/state/nix/profiles/profile":        "profile-2-link",
		".local/state/nix/profiles/profile-1-link": foreign,
		".local/state/nix/profiles/profile-2-link": foreign,
		".nix-profile":                              filepath.Join(n.home, ".local/state/nix/profiles/profile"),
		".nix-defexpr/channels":                     filepath.Join(n.home, ".local/state/nix/profiles/channels"),
		".local/state/nix/profiles/channels":        "channels-1-link",
		".local/state/nix/profiles/channels-1-link": foreign,
	} {
		n.w.link(t, target, filepath.Join(n.home, name))
	}
}

// fingerprint says of everything in a prefix that another must not change what it is: of every
// file of the store, the configuration and the roots, without reading what is in them, since
// nobody can change that without a trace in the times; and what the database knows.
// What Nix writes when it only looks, such as locks, is left out.
func (p *place) fingerprint(t *testing.T) manifest {
	t.Helper()
	l, m := p.layout(t), manifest{}
	for _, dir := range []string{
		l.Store, l.Conf, l.Share, l.ProfileD, l.Log, l.GCRoots(), l.Profiles(),
		filepath.Join(filepath.Dir(l.GCRoots()), "auto"), filepath.Join(l.State, "store-dir"), l.Receipt(),
		l.UserConf(p.account.name), l.UserData(p.account.name),
	} {
		if err := m.stat(dir); err != nil {
			t.Fatal(err)
		}
	}
	for path, info := range p.pathInfos(t, "--all") {
		m["valid "+path] = fmt.Sprint(info)
	}
	return m
}

// stat adds what a tree looks like from outside.
func (m manifest) stat(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == root {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case path == root && d.IsDir():
			return nil
		case d.Name() == ".links":
			return fs.SkipDir
		case strings.HasSuffix(path, ".lock"):
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return fmt.Errorf("%s: no inode", path)
		}
		// Entries of a directory are seen for themselves, and locks come and go.
		if d.IsDir() {
			m[path] = fmt.Sprintf("%s %d", info.Mode(), st.Uid)
			return nil
		}
		target := ""
		if d.Type()&fs.ModeSymlink != 0 {
			if target, err = os.Readlink(path); err != nil {
				return err
			}
		}
		m[path] = fmt.Sprintf("%s %d %d %d %d.%d %s", info.Mode(), st.Uid, info.Size(), st.Ino, st.Mtim.Sec, st.Mtim.Nsec, target)
		return nil
	})
}

// changes returns what differs between two manifests, as "+ new", "- gone" and "~ changed".
func changes(before, after manifest) []string {
	var found []string
	for name, what := range after {
		switch was, there := before[name]; {
		case !there:
			found = append(found, "+ "+name)
		case was != what:
			found = append(found, "~ "+name+": "+was+" -> "+what)
		}
	}
	for name := range maps.Keys(before) {
		if _, there := after[name]; !there {
			found = append(found, "- "+name)
		}
	}
	slices.Sort(found)
	return found
}

// same makes sure that nothing differs, and otherwise says the first few things that do.
func same(t *testing.T, when string, before, after manifest) bool {
	t.Helper()
	diff := changes(before, after)
	if len(diff) == 0 {
		return true
	}
	t.Errorf("%s: %d changes:\n%s", when, len(diff), strings.Join(diff[:min(20, len(diff))], "\n"))
	return false
}
