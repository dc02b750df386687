//go:build e2e

package e2e_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"bootstrap/internal/prefix"
)

// The group that reads a prefix, and two accounts that the machine need not know: one is in it.
const (
	readers  = 54390
	readerID = 54391
	other    = 54392
)

// testShared makes the prefix one of a group, as docs/CLUSTER.md has it: its owner goes on, members of
// the group read, and nobody else sees anything. It is one afterwards.
func testShared(t *testing.T, p *place) {
	if os.Getuid() != 0 {
		t.Skip("skipped: only root can be several accounts")
	}
	writer := *p
	writer.change = both(in(readers), p.change)
	said := writer.install("", "--group", strconv.Itoa(readers)).run(t).want(t, 0)
	if strings.Contains(said.stderr, "> toolchain") || strings.Contains(said.stderr, "> native") {
		t.Errorf("something was built again\n%s", said.tail())
	}
	s := &shared{p: &writer, dir: p.scratch(t)}
	t.Run("modes", func(t *testing.T) { s.modes(t) })
	t.Run("reader", func(t *testing.T) { s.reader(t) })
	t.Run("reader is told", func(t *testing.T) { s.told(t) })
	t.Run("reader builds in a store of their own", func(t *testing.T) { s.own(t) })
	t.Run("stranger", func(t *testing.T) { s.stranger(t) })
	t.Run("published", func(t *testing.T) { s.published(t) })
	writer.works(t, "shared-after")
	if status := writer.program("status").must(t); strings.Contains(status, "drift") {
		t.Errorf("status:\n%s", status)
	}
}

// in puts a command into a group besides.
func in(gid int) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		if cmd.SysProcAttr.Credential != nil {
			cmd.SysProcAttr.Credential.Groups = append(cmd.SysProcAttr.Credential.Groups, uint32(gid))
		}
	}
}

// shared is a prefix that a group reads.
type shared struct {
	p   *place
	dir string
}

// as returns a command of somebody else's, with nothing in its environment but a HOME.
func (s *shared) as(t *testing.T, uid int, argv ...string) command {
	t.Helper()
	home := filepath.Join(s.dir, "home-"+strconv.Itoa(uid))
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(home, uid, uid); err != nil {
		t.Fatal(err)
	}
	c := command{
		argv: argv, dir: home, env: []string{"HOME=" + home, "PATH=/usr/bin:/bin"},
		account: &account{name: strconv.Itoa(uid), uid: uid, gid: uid, switched: true},
	}
	if uid == readerID {
		c.change = in(readers)
	}
	return c
}

// nix is the native nix, called by its path.
func (s *shared) nix(t *testing.T, uid int, program string, args ...string) command {
	t.Helper()
	return s.as(t, uid, append([]string{s.p.programPath(t, program)}, args...)...)
}

// modes looks at every directory of the installer's: of the group, and of nobody else.
func (s *shared) modes(t *testing.T) {
	l := s.p.layout(t)
	for _, dir := range []string{l.Store, l.State, l.Database(), l.Log, l.Conf, l.Work, l.Share, l.ProfileD} {
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if gid := info.Sys().(*syscall.Stat_t).Gid; gid != readers || info.Mode()&(fs.ModePerm|fs.ModeSetgid) != prefix.ReadersMode {
			t.Errorf("%s: %s, group %d", dir, info.Mode(), gid)
		}
	}
	// What is made from now on belongs to the group as well, and can be read.
	out := strings.TrimSpace(s.p.nix(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", s.p.proof(t, "shared-made")).must(t))
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	if gid := info.Sys().(*syscall.Stat_t).Gid; gid != readers || info.Mode().Perm() != 0o444 {
		t.Errorf("%s: %s, group %d", out, info.Mode(), gid)
	}
}

// reader does what can be done with a store that is only read, and changes nothing by it.
func (s *shared) reader(t *testing.T) {
	native := s.p.native(t)
	s.p.works(t, "shared-for-readers")
	before := s.p.fingerprint(t)
	for name, tt := range map[string]struct {
		argv []string
		says string
	}{
		"version":    {[]string{"nix", "--version"}, "2.26.3"},
		"references": {[]string{"nix-store", "--query", "--references", native}, s.p.store + "/"},
		"closure":    {[]string{"nix-store", "--query", "--requisites", native}, native},
		"path-info":  {[]string{"nix", "path-info", "--json", native}, `"narHash"`},
		"all":        {[]string{"nix", "path-info", "--all"}, native},
		"why":        {[]string{"nix", "why-depends", native, s.p.output(t, "toolchain", "busybox")}, "busybox"},
		"contents":   {[]string{"nix", "store", "ls", native}, "bin"},
		"verify":     {[]string{"nix", "store", "verify", "--no-trust", native}, ""},
		"eval":       {[]string{"nix", "eval", "--raw", "--expr", "builtins.storeDir"}, s.p.store},
		"derivation": {[]string{"nix", "eval", "--read-only", "--raw", "-f", s.p.packages(), "hello.outPath"}, s.p.store + "/"},
		"shell":      {[]string{"nix", "shell", native, "--command", "nix", "--version"}, "2.26.3"},
		"run":        {[]string{"nix", "run", native, "--", "--version"}, "2.26.3"},
		"profile":    {[]string{"nix-env", "--profile", filepath.Join(s.p.root(), "var/nix/profiles/default"), "--query"}, "nix"},
		"log":        {[]string{"nix", "config", "show", "store"}, "read-only"},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.nix(t, readerID, tt.argv[0], tt.argv[1:]...).run(t).want(t, 0)
			if !strings.Contains(r.stdout+r.stderr, tt.says) || strings.Contains(r.stderr, "error") {
				t.Errorf("it does not say %q\n%s", tt.says, r.tail())
			}
			if strings.Contains(r.stderr, "warning") {
				t.Errorf("it warns\n%s", r.tail())
			}
		})
	}
	t.Run("sourced", func(t *testing.T) {
		out := s.as(t, readerID, "/bin/sh", "-euc", `. "$0"; nix path-info "$1"; command -v nix`, s.p.env("sh"), native).must(t)
		if want := native + "\n" + filepath.Join(s.p.root(), "var/nix/profiles/default/bin/nix") + "\n"; out != want {
			t.Errorf("%q, not %q", out, want)
		}
	})
	t.Run("bootstrap run", func(t *testing.T) {
		out := s.as(t, readerID, s.p.w.program, "run", "--prefix", s.p.store, "--", "nix", "path-info", native).must(t)
		if strings.TrimSpace(out) != native {
			t.Errorf("%q", out)
		}
	})
	same(t, "the prefix", before, s.p.fingerprint(t))
}

// told is what a reader may not do: it ends with a message that says so, and changes nothing.
func (s *shared) told(t *testing.T) {
	before := s.p.fingerprint(t)
	for _, args := range [][]string{
		{"--yes"}, {"status"}, {"gc", "--yes"}, {"repair", "--yes"}, {"verify"}, {"uninstall", "--yes"},
		{"builders", "add", "ssh-ng://nowhere.invalid", "--yes"}, {"optimise"}, {"borrow", "/nix"},
	} {
		t.Run(args[0], func(t *testing.T) {
			r := s.as(t, readerID, append([]string{s.p.w.program, "--prefix", s.p.store}, args...)...).run(t)
			if args[0] == "borrow" && r.code == 2 {
				return // there is nothing to borrow
			}
			r.want(t, 3)
			if !strings.Contains(r.stderr, "you may read it, and not change it; it is "+s.p.account.name+"'s\nhint: docs/CLUSTER.md") {
				t.Errorf("it says\n%s", r.tail())
			}
		})
	}
	for name, argv := range map[string][]string{
		"build":   {"nix", "build", "--impure", "--no-link", "--expr", s.p.proof(t, "not-by-readers")},
		"add":     {"nix", "store", "add-file", "/etc/passwd"},
		"collect": {"nix-store", "--gc"},
		"delete":  {"nix-store", "--delete", s.p.native(t)},
		"install": {"nix-env", "--install", s.p.native(t)},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.nix(t, readerID, argv[0], argv[1:]...).run(t)
			if r.code == 0 {
				t.Errorf("it works\n%s", r.tail())
			}
			t.Logf("measured-text: %s: %s", name, lastLines(r.stderr, 4))
		})
	}
	same(t, "the prefix", before, s.p.fingerprint(t))
}

// stranger is in no group: nothing can be seen, and nothing be run.
func (s *shared) stranger(t *testing.T) {
	for _, path := range []string{s.p.native(t), s.p.packages(), filepath.Join(s.p.root(), "var/nix/db/db.sqlite")} {
		r := s.as(t, other, "ls", path).run(t)
		if r.code == 0 || !strings.Contains(r.stderr, "Permission denied") {
			t.Errorf("%s can be seen\n%s", path, r.tail())
		}
	}
	if err := s.nix(t, other, "nix", "--version"); s.as(t, other, "/bin/sh", "-c", `exec "$0" --version`, err.argv[0]).run(t).code != 126 {
		t.Error("nix can be run")
	}
	r := s.as(t, other, s.p.w.program, "run", "--prefix", s.p.store, "--", "true").run(t).want(t, 3)
	if !strings.Contains(r.stderr, "permission denied") || !strings.Contains(r.stderr, "hint: ") {
		t.Errorf("it says\n%s", r.tail())
	}
}

var _ = fmt.Sprint
var _ = slices.Contains[[]string]
