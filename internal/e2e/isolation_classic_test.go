//go:build e2e

package e2e_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// classic stands for a Nix in /nix that the account owns, as a single-user installation does, and
// that has a daemon all the same. Its files are in a directory that only our commands see there.
type classic struct {
	dir    string
	root   string       // a store path that is rooted
	called atomic.Int32 // how often somebody has called the daemon
}

const classicStore = "local?store=/nix/store&state=/nix/var/nix&log=/nix/var/log/nix"

// newClassic makes an empty one, with its files in dir; nil where that cannot be done.
// The directory /nix is made if it is not there, stays empty, and is removed in the end.
func newClassic(t *testing.T, dir string, p *place) *classic {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	if err := os.Mkdir("/nix", 0o755); err == nil {
		t.Cleanup(func() {
			if err := os.Remove("/nix"); err != nil {
				t.Error(err)
			}
		})
	} else if !os.IsExist(err) {
		return nil
	}
	c := &classic{dir: dir}
	p.w.mkdir(t, c.dir)
	return c
}

// path returns where its files are; "" if there is none.
func (c *classic) path() string {
	if c == nil {
		return ""
	}
	return c.dir
}

// text is the line in a store path, by its name. No other store has it.
func (c *classic) text(name string) string { return name + " in " + c.dir }

// fill puts a store, a profile with two generations and a daemon into it.
func (c *classic) fill(t *testing.T, p *place) {
	t.Helper()
	dir := p.scratch(t)
	state := filepath.Join(c.dir, "var/nix")
	for i, name := range []string{"classic-1", "classic-2", "garbage"} {
		p.w.put(t, filepath.Join(dir, name), c.text(name)+"\n")
		out := p.nix(t, "nix", "store", "add-file", "--store", classicStore, filepath.Join(dir, name)).must(t)
		path := strings.TrimSpace(out)
		if !strings.HasPrefix(path, "/nix/store/") {
			t.Fatalf("added as %q", path)
		}
		if name == "garbage" {
			continue // rooted by nothing, and still not for us to take away
		}
		c.root = path
		p.w.link(t, path, filepath.Join(state, "gcroots", name))
		p.w.link(t, path, filepath.Join(state, "profiles/per-user", p.account.name, "profile-"+string(rune('1'+i))+"-link"))
	}
	p.w.link(t, "profile-2-link", filepath.Join(state, "profiles/per-user", p.account.name, "profile"))
	p.w.put(t, filepath.Join(c.dir, "etc/nix/nix.conf"), foreignConf)

	socket := filepath.Join(state, "daemon-socket/socket")
	p.w.above(t, socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		if n := c.called.Load(); n > 0 {
			t.Errorf("the daemon of the Nix in /nix was called %d times", n)
		}
	})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.called.Add(1)
			conn.Close()
		}
	}()
}
