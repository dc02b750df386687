//go:build e2e

package e2e_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
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
	t.Run("a store of their own", func(t *testing.T) { s.own(t) })
	t.Run("published", func(t *testing.T) { s.published(t) })
	t.Run("stranger", func(t *testing.T) { s.stranger(t) })
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
	p    *place
	dir  string
	made string // a store path that has a log
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
	// What is built from now on can be read, whatever group its sandbox gave it: nobody else gets to it.
	out := strings.TrimSpace(s.p.nix(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", s.p.proof(t, "shared-made")).must(t))
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o444 {
		t.Errorf("%s: %s", out, info.Mode())
	}
}

// reader does what can be done with a store that is only read, and changes nothing by it.
func (s *shared) reader(t *testing.T) {
	native := s.p.native(t)
	s.p.works(t, "shared-for-readers")
	s.made = strings.TrimSpace(s.p.nix(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr",
		strings.Replace(s.p.proof(t, "shared-with-log-"+filepath.Base(s.dir)), `"echo `, `"echo said while it was built; echo `, 1)).must(t))
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
		"cat":        {[]string{"nix", "store", "cat", s.made}, "shared-with-log"},
		"log":        {[]string{"nix", "log", s.made}, "said while it was built"},
		"contents":   {[]string{"nix", "store", "ls", native}, "bin"},
		"verify":     {[]string{"nix", "store", "verify", "--no-trust", native}, ""},
		"eval":       {[]string{"nix", "eval", "--raw", "--expr", "builtins.storeDir"}, s.p.store},
		"derivation": {[]string{"nix", "eval", "--read-only", "--raw", "-f", s.p.packages(), "hello.outPath"}, s.p.store + "/"},
		"shell":      {[]string{"nix", "shell", native, "--command", "nix", "--version"}, "2.26.3"},
		"valid":      {[]string{"nix", "build", "--no-link", native}, ""},
		"setting":    {[]string{"nix", "config", "show", "store"}, "read-only"},
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
		{"--yes"},
		{"status"},
		{"gc", "--yes"},
		{"repair", "--yes"},
		{"verify"},
		{"uninstall", "--yes"},
		{"builders", "add", "ssh-ng://nowhere.invalid", "--yes"},
		{"optimise"},
		{"borrow", "/nix"},
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
	// What Nix itself says is in docs/CLUSTER.md.
	notYours := "directory '" + s.p.store + "' is not yours to write to; whoever may write there has to do this, or it goes into a store of your own, with '--store'"
	for name, tt := range map[string]struct {
		argv []string
		says string
	}{
		"build":   {[]string{"nix", "build", "--impure", "--no-link", "--expr", s.p.proof(t, "not-by-readers")}, notYours},
		"add":     {[]string{"nix", "store", "add-file", "/etc/passwd"}, notYours},
		"collect": {[]string{"nix-store", "--gc"}, "db/reserved\": Permission denied"},
		"delete":  {[]string{"nix-store", "--delete", s.p.native(t)}, "db/reserved\": Permission denied"},
		"install": {[]string{"nix-env", "--install", s.p.native(t)}, "per-user/" + strconv.Itoa(readerID) + "': Permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			s.nix(t, readerID, tt.argv[0], tt.argv[1:]...).run(t).refused(t, tt.says)
		})
	}
	same(t, "the prefix", before, s.p.fingerprint(t))
}

// own builds as a reader, in a store of the reader's own below HOME: what the group's store has is taken
// from there.
func (s *shared) own(t *testing.T) {
	if asMappedRoot(s.p.account) == nil {
		t.Skip("skipped: user namespaces cannot be made here")
	}
	made := strings.TrimSpace(s.p.nix(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", s.p.proof(t, "shared-software")).must(t))
	before := s.p.fingerprint(t)
	expression := `let software = ` + s.p.proof(t, "shared-software") + `; in derivation { name = "mine"; system = builtins.currentSystem; builder = "` +
		s.p.output(t, "toolchain", "busybox") + `/bin/sh"; args = [ "-c" "read -r line <${software}; echo mine, of $line >$out" ]; }`
	build := s.nix(t, readerID, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", expression)
	build.argv = append(build.argv, "--store", filepath.Join(build.dir, "mine")+"?store="+s.p.store,
		"--substituters", "local?read-only=true&trusted=true")
	r := build.run(t).want(t, 0)
	out := strings.TrimSpace(r.stdout)
	if text, err := os.ReadFile(filepath.Join(build.dir, "mine/nix/store", filepath.Base(out))); err != nil || string(text) != "mine, of shared-software\n" {
		t.Errorf("built: %q, %v\n%s", text, err, r.tail())
	}
	if !strings.Contains(r.stderr, "copying path '"+made+"'") || strings.Contains(r.stderr, "building '"+s.p.store+"/"+filepath.Base(made)) {
		t.Errorf("what the group has was not taken from there\n%s", r.tail())
	}
	same(t, "the prefix", before, s.p.fingerprint(t))
}

// published copies from where it is built to another place of the same store directory, as docs/CLUSTER.md
// has it, and uses it there: where the machines that run it see that place as the prefix.
func (s *shared) published(t *testing.T) {
	slow := filepath.Join(s.dir, "slow", "prefix")
	s.p.w.mkdir(t, filepath.Dir(slow))
	s.p.w.mkdir(t, slow)
	made := strings.TrimSpace(s.p.nix(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", s.p.proof(t, "to-be-published")).must(t))
	before := s.p.fingerprint(t)
	for name, path := range map[string]string{"nix": s.p.native(t), "made": made} {
		publish := s.p.shell(t, s.recipe(t, slow, name, path))
		publish.must(t)
		if again := publish.run(t).want(t, 0); strings.Contains(again.stderr, "copying path") {
			t.Errorf("published again, something is copied\n%s", again.tail())
		}
	}
	same(t, "the prefix", before, s.p.fingerprint(t))

	there := func(uid int, argv ...string) command {
		c := s.as(t, uid, argv...)
		c.change = view(c.account, binding{slow, s.p.root()})
		return c
	}
	nix := s.p.programPath(t, "nix")
	readOnly := []string{"--extra-experimental-features", "nix-command read-only-local-store", "--store", "local?read-only=true"}
	if got := there(other, append([]string{nix, "path-info"}, append(readOnly, made)...)...).must(t); strings.TrimSpace(got) != made {
		t.Errorf("where it was published, Nix says %q", got)
	}
	there(other, append([]string{nix, "store", "verify", "--no-trust", "--all"}, readOnly...)...).must(t)
	if got := there(other, "cat", made).must(t); got != "to-be-published\n" {
		t.Errorf("where it was published: %q", got)
	}
	for _, path := range []string{s.p.output(t, "toolchain", "compiler")} {
		if r := there(other, "ls", path).run(t); r.code == 0 {
			t.Errorf("%s was published as well", path)
		}
	}
}

// recipe returns the commands of docs/CLUSTER.md that publish a path, and collect garbage then, with directories
// of this machine.
func (s *shared) recipe(t *testing.T, slow, name, path string) string {
	t.Helper()
	_, part, _ := strings.Cut(string(read(t, "../../docs/CLUSTER.md")), "\n## From fast scratch to shared storage\n")
	part, _, _ = strings.Cut(part, "\n## ")
	script := "PATH=" + filepath.Dir(s.p.programPath(t, "nix")) + ":/usr/bin:/bin\n"
	for line := range strings.Lines(part) {
		if command, ok := strings.CutPrefix(line, "    "); ok && !strings.Contains(command, "read-only") {
			script += command
		}
	}
	for from, to := range map[string]string{
		"P=/opt/mine ": "P=" + s.p.root() + " ", "SLOW=/shared/opt-mine ": "SLOW=" + slow + " ",
		" PATH…\n": " " + path + "\n", " PATH ": " " + path + " ", "/NAME\"": "/" + name + "\"",
	} {
		if !strings.Contains(script, from) {
			t.Fatalf("docs/CLUSTER.md: there is no %q in\n%s", from, script)
		}
		script = strings.ReplaceAll(script, from, to)
	}
	return script
}

// stranger is in no group: nothing can be seen, and nothing be run.
func (s *shared) stranger(t *testing.T) {
	for _, path := range []string{s.p.native(t), s.p.packages(), filepath.Join(s.p.root(), "var/nix/db/db.sqlite")} {
		r := s.as(t, other, "ls", path).run(t)
		if r.code == 0 || !strings.Contains(r.stderr, "Permission denied") {
			t.Errorf("%s can be seen\n%s", path, r.tail())
		}
	}
	if r := s.as(t, other, "/bin/sh", "-c", `exec "$0" --version`, s.p.programPath(t, "nix")).run(t); r.code == 0 {
		t.Errorf("nix can be run\n%s", r.tail())
	}
	r := s.as(t, other, s.p.w.program, "run", "--prefix", s.p.store, "--", "true").run(t).want(t, 3)
	if !strings.Contains(r.stderr, "permission denied") || !strings.Contains(r.stderr, "hint: ") {
		t.Errorf("it says\n%s", r.tail())
	}
}
