//go:build e2e

package e2e_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bootstrap/internal/sshtest"
)

// feature is what only the builder has, so that nothing that asks for it can be built here.
const feature = "e2e-elsewhere"

// remote is another machine, as far as anybody can tell: a real sshd on loopback that runs as a user
// of its own, and sees a second prefix where the first one is. It has a directory that nobody
// else sees, with a file by which what was built there is known.
type remote struct {
	p      *place
	server *sshtest.Server
	root   string // of the second prefix, where it lies
	place  string // the directory that is empty, but for it
	there  string // what it sees in that place
	text   string // what is in the file "marker" there
}

// testBuilders has another machine build, as docs/CLUSTER.md has it.
func testBuilders(t *testing.T, p *place) {
	r := newRemote(t, p)
	t.Run("refused", func(t *testing.T) { r.refused(t) })
	t.Run("added", func(t *testing.T) { r.added(t) })
	t.Run("builds", func(t *testing.T) { r.builds(t) })
	t.Run("package set", func(t *testing.T) { r.packageSet(t) })
	t.Run("killed", func(t *testing.T) { r.killed(t) })
	t.Run("another host key", func(t *testing.T) { r.anotherKey(t) })
	t.Run("removed", func(t *testing.T) { r.removed(t) })
	t.Run("jobsets", func(t *testing.T) { testJobsets(t, p) })
	p.works(t, "builders-after")
}

// newRemote starts one that has the native nix of a prefix.
func newRemote(t *testing.T, p *place) *remote {
	t.Helper()
	r, who := newMachine(t, p)
	r.provision(t, who)
	r.start(t, who, nil)
	return r
}

// newMachine makes one that has nothing yet, and whom it runs as.
func newMachine(t *testing.T, p *place) (*remote, *account) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("skipped: only root can run a builder that sees another prefix in the same place")
	}
	sshtest.Program(t)
	lookPath(t, "ssh")
	dir, err := os.MkdirTemp("/var/tmp", "b-e2e-ssh-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, dir) })
	r := &remote{
		p: p, root: filepath.Join(dir, "prefix"), place: filepath.Join(dir, "place"), there: filepath.Join(dir, "there"),
		text: "built in " + filepath.Base(dir),
	}
	for _, d := range []string{dir, r.place, r.there} {
		if err := errors.Join(os.MkdirAll(d, 0o755), os.Chmod(d, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(r.there, "marker"), []byte(r.text+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return r, made(t, userName+"-2")
}

// start starts the server, which gives what it runs some variables.
func (r *remote) start(t *testing.T, who *account, set map[string]string) {
	t.Helper()
	r.server = sshtest.Start(t, filepath.Dir(r.root), sshtest.Options{
		User: who.name, Set: set, Server: who.uid, Client: r.p.account.uid,
		Change: view(who, binding{r.root, r.p.root()}, binding{r.there, r.place}),
	})
}

// provision makes the second prefix: what is registered of the native nix in the first one, with the
// same configuration, and nothing else.
func (r *remote) provision(t *testing.T, who *account) {
	t.Helper()
	p := r.p
	paths := strings.Fields(p.nix(t, "nix-store", "--query", "--requisites", p.native(t)).must(t))
	dump := p.nix(t, "nix-store", append([]string{"--dump-db"}, paths...)...).must(t)
	for _, d := range []string{"store", "var/nix/profiles", "var/nix/builds", "var/log/nix", "etc/nix"} {
		if err := os.MkdirAll(filepath.Join(r.root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range paths {
		run(t, "cp", "-a", path, filepath.Join(r.root, "store"))
	}
	// As it is for somebody who writes to it, also if the first prefix is that of a group by now.
	run(t, "sh", "-c", `cp "$0"/nix*.conf "$0/ca-bundle.crt" "$1"`, filepath.Join(p.root(), "etc/nix"), filepath.Join(r.root, "etc/nix"))
	if err := errors.Join(
		os.Symlink(p.native(t), filepath.Join(r.root, "var/nix/profiles/default")),
		os.WriteFile(filepath.Join(r.root, "etc/nix/nix.custom.conf"), []byte("extra-system-features = "+feature+"\nextra-sandbox-paths = "+r.place+"\n"), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	who.own(t, filepath.Dir(r.root))
	command{
		argv: []string{p.programPath(t, "nix-store"), "--load-db"}, dir: "/", env: []string{"HOME=/nonexistent"}, stdin: dump,
		account: who, change: view(who, binding{r.root, p.root()}),
	}.must(t)
}

func run(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", argv, err, out)
	}
}

// reach is what has to be in an environment for ssh to find the server: it is no part of the account's home.
func (r *remote) reach() []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "NIX_SSHOPTS=-F " + r.server.Config}
}

// builders returns a command of the installer's.
func (r *remote) builders(args ...string) command {
	return r.reaching(r.p.program(append([]string{"builders"}, args...)...))
}

// reaching gives a command of the installer's the environment of somebody who can reach the server.
func (r *remote) reaching(c command) command {
	c.env = append(slices.DeleteFunc(c.env, func(v string) bool { return strings.HasPrefix(v, "PATH=") }), r.reach()...)
	return c
}

// url is what the builder is called.
func (r *remote) url() string { return "ssh-ng://" + r.server.Host }

// derivation is one that only the builder can build; what it writes comes from there.
func (r *remote) derivation(name, script string) string {
	return `derivation { name = "` + name + `"; system = builtins.currentSystem; builder = "/bin/sh"; requiredSystemFeatures = [ "` + feature + `" ]; args = [ "-euc" ` +
		"''" + script + "''" + ` ]; }`
}

// build returns a command of the native nix, called by its path, that builds an expression.
func (r *remote) build(t *testing.T, expression string) command {
	t.Helper()
	c := r.p.nix(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", expression)
	c.env = append(c.env, r.reach()...)
	return c
}

// refused is what no builder can be, and is not written down.
func (r *remote) refused(t *testing.T) {
	before := r.p.fingerprint(t)
	host, key := r.url(), fingerprintOf(t, r.server)
	other := filepath.Join(filepath.Dir(r.root), "other/bin")
	script := "#!/bin/sh\nexport NIX_STORE_DIR=/opt/other/store NIX_STATE_DIR=" + filepath.Dir(other) + "/var NIX_LOG_DIR=" + filepath.Dir(other) + "/log NIX_CONF_DIR=/nowhere\n" +
		"exec " + r.p.programPath(t, "nix-instantiate") + ` --store "local?store=/opt/other/store&real=` + filepath.Dir(other) + `/store" "$@"` + "\n"
	if err := errors.Join(os.MkdirAll(other, 0o777), os.Chmod(filepath.Dir(other), 0o777), os.WriteFile(filepath.Join(other, "nix-instantiate"), []byte(script), 0o755)); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"nobody to ask":         {[]string{"add", host}, 2, "nobody has said that its host key is ssh-ed25519 " + key},
		"wrong host key":        {[]string{"add", host, "--host-key", "SHA256:AAAAC3NzaC1lZDI1NTE5"}, 4, "its host key is ssh-ed25519 " + key + ", and not SHA256:AAAAC3NzaC1lZDI1NTE5"},
		"no Nix":                {[]string{"add", host, "--yes", "--remote-program", "/nowhere/bin/nix-daemon"}, 3, "there is no Nix: /nowhere/bin/nix-instantiate cannot be run"},
		"other store directory": {[]string{"add", host, "--yes", "--remote-program", filepath.Join(other, "nix-daemon")}, 3, `its store directory is "/opt/other/store", and this prefix has "` + r.p.store + `"`},
		"unknown host":          {[]string{"add", "ssh-ng://nowhere.invalid", "--yes"}, 3, "there is no host of that name"},
		"nobody let in":         {[]string{"add", "ssh-ng://root@" + r.server.Host, "--yes"}, 3, "it does not let you in"},
		"none":                  {[]string{"test"}, 2, "is none of this prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			got := r.builders(tt.args...).run(t).want(t, tt.code)
			if !strings.Contains(got.stderr, tt.says) || !strings.Contains(got.stderr, "\nhint: ") {
				t.Errorf("it does not say %q\n%s", tt.says, got.tail())
			}
		})
	}
	r.server.End()
	got := r.builders("add", host, "--yes").run(t).want(t, 3)
	if !strings.Contains(got.stderr, "connection refused") {
		t.Errorf("without a server\n%s", got.tail())
	}
	r.server.Begin(t)
	same(t, "the prefix", before, r.p.fingerprint(t))
}

// fingerprintOf returns what ssh-keygen prints of a server's key.
func fingerprintOf(t *testing.T, s *sshtest.Server) string {
	t.Helper()
	out, err := exec.Command("ssh-keygen", "-l", "-f", filepath.Join(s.Dir, "host.pub")).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))[1]
}

// added writes the builder down, and has it build.
func (r *remote) added(t *testing.T) {
	out := r.builders("add", r.url(), "--host-key", fingerprintOf(t, r.server), "--features", feature, "--max-jobs", "2").must(t)
	if !strings.Contains(out, r.url()+", with Nix 2.26.3, builds in "+r.p.store) {
		t.Errorf("added:\n%s", out)
	}
	if out := r.builders("add", r.url(), "--features", feature, "--max-jobs", "2").must(t); !strings.Contains(out, "already builds in") {
		t.Errorf("again:\n%s", out)
	}
	if out := r.builders("list").must(t); !strings.Contains(out, r.url()+"\n") || !strings.Contains(out, "2 at a time") {
		t.Errorf("list:\n%s", out)
	}
	pattern := filepath.Join(r.p.store, "*-bootstrap-builder-*")
	before, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	out = r.builders("test").must(t)
	if !strings.Contains(out, "has built "+r.p.store+"/") || !strings.Contains(out, "valid here") {
		t.Errorf("test:\n%s", out)
	}
	t.Logf("measured: builders test, from the command to the result: %s", time.Since(began).Round(100*time.Millisecond))
	if left, err := filepath.Glob(pattern); err != nil || len(left) > len(before) {
		t.Errorf("the test left %q, %v", left, err)
	}
	if there, err := filepath.Glob(filepath.Join(r.root, "store/*-bootstrap-builder-*")); err != nil || len(there) == 0 {
		t.Errorf("nothing was built there: %q, %v", there, err)
	}
}

// builds sends a derivation that needs something of this store, and can only be built there.
func (r *remote) builds(t *testing.T) {
	name := "elsewhere-" + filepath.Base(filepath.Dir(r.root))
	dependency := r.p.proof(t, "dependency-of-"+name)
	expression := `let dependency = ` + dependency + `; in ` + r.derivation(name, "read -r line <"+r.place+"/marker; read -r more <${dependency}; echo $line, $more >$out")
	built := r.build(t, expression).run(t).want(t, 0)
	out := strings.TrimSpace(built.stdout)
	if text, err := os.ReadFile(out); err != nil || string(text) != r.text+", dependency-of-"+name+"\n" {
		t.Errorf("built: %q, %v", text, err)
	}
	if !strings.Contains(built.stderr, "on '"+r.url()) {
		t.Errorf("Nix does not say where it was built\n%s", built.tail())
	}
	if infos := r.p.pathInfos(t, out); len(infos) != 1 || infos[out].NarHash == "" {
		t.Errorf("%s is not valid here: %v", out, infos)
	}
	r.p.nix(t, "nix", "store", "verify", "--no-trust", out).must(t)
	if _, err := os.Lstat(filepath.Join(r.root, "store", filepath.Base(out))); err != nil {
		t.Errorf("it is not there: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(r.place, "marker")); err == nil {
		t.Error("the marker is here as well, so this would prove nothing")
	}
}

// packageSet gives the prefix a set one part of which only the builder can build, and goes back.
func (r *remote) packageSet(t *testing.T) {
	p := r.p
	_, old := p.history(t)
	n := p.writeNixpkgs(t, map[string]any{
		"requiredSystemFeatures": []string{feature},
		"buildCommand":           "read -r line <" + r.place + "/marker; echo $line >$out",
	})
	defer n.server.Close()
	r.reaching(p.install("", "upgrade", "--packages", "nixpkgs="+n.dir)).run(t).want(t, 0)
	if row := p.packagesRow(t); row.Set != "nixpkgs" || row.Generation == old.Number {
		t.Errorf("packages: %+v", row)
	}
	manual := p.nix(t, "nix", "eval", "--raw", "--file", p.packages(), "nix.docs").must(t)
	if text, err := os.ReadFile(manual); err != nil || string(text) != r.text+"\n" {
		t.Errorf("%s says %q, %v", manual, text, err)
	}
	p.program("rollback", "--to", strconv.Itoa(old.Number)).must(t)
	p.dropDeadRoots(t)
	p.program("gc", "--keep", "0", "--yes").must(t)
}

// killed ends the builder, and all that runs there, in the middle of a build.
func (r *remote) killed(t *testing.T) {
	name := "cut-short-" + filepath.Base(filepath.Dir(r.root))
	go1 := filepath.Join(r.there, "go")
	expression := r.derivation(name, "echo half >$out; while ! [ -e "+r.place+"/go ]; do :; done; read -r line <"+r.place+"/marker; echo $line >$out")
	building := r.build(t, expression).start(t)
	r.awaitBuilder(t, building, name)
	r.server.End()
	ended := time.Now()
	result := building.wait(t)
	if result.code == 0 {
		t.Fatalf("it ended well\n%s", result.tail())
	}
	if took := time.Since(ended); took > 10*time.Second {
		t.Errorf("it took %s to notice", took)
	}
	if !strings.Contains(result.stderr, "error:") || !strings.Contains(result.stderr, name) {
		t.Errorf("it does not say what was cut short\n%s", result.tail())
	}
	r.nothing(t, name)
	got := r.builders("test").run(t).want(t, 3)
	if !strings.Contains(got.stderr, "connection refused") {
		t.Errorf("test, without a server\n%s", got.tail())
	}
	r.p.nix(t, "nix-store", "--verify").must(t)

	// The same command, once it is there again.
	r.server.Begin(t)
	if err := os.WriteFile(go1, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	out := strings.TrimSpace(r.build(t, expression).must(t))
	if text, err := os.ReadFile(out); err != nil || string(text) != r.text+"\n" {
		t.Errorf("built: %q, %v", text, err)
	}
}

// awaitBuilder waits until a build runs on the other machine.
func (r *remote) awaitBuilder(t *testing.T, building *process, name string) {
	t.Helper()
	for range 600 {
		for _, pid := range r.server.Below() {
			if line, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ")); strings.Contains(string(line), "\x00out=") && strings.Contains(string(line), name) {
				return
			}
		}
		if !building.running() {
			t.Fatalf("it ended before\n%s", building.wait(t).tail())
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("no build runs there")
}

// nothing makes sure that nothing of a build that failed is here.
func (r *remote) nothing(t *testing.T, name string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(r.p.store, "*-"+name))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range left {
		if invalid := r.p.nix(t, "nix-store", "--check-validity", "--print-invalid", path).run(t); strings.TrimSpace(invalid.stdout) != path {
			t.Errorf("%s is valid here", path)
		}
		t.Errorf("left here: %s", path)
	}
}

// anotherKey gives the server another host key: it is somebody else, then.
func (r *remote) anotherKey(t *testing.T) {
	r.server.End()
	r.server.NewHostKey(t)
	r.server.Begin(t)
	got := r.builders("test").run(t).want(t, 4)
	if !strings.Contains(got.stderr, "its host key is not the one that is known") {
		t.Errorf("test:\n%s", got.tail())
	}
	got = r.builders("add", r.url(), "--yes").run(t).want(t, 4)
	if !strings.Contains(got.stderr, "as it was added") {
		t.Errorf("add:\n%s", got.tail())
	}
	name := "by-somebody-else-" + filepath.Base(filepath.Dir(r.root))
	result := r.build(t, r.derivation(name, "echo x >$out")).run(t)
	if result.code == 0 || !strings.Contains(result.stderr, "Host key verification failed") {
		t.Errorf("Nix lets it build\n%s", result.tail())
	}
	r.nothing(t, name)
	r.builders("remove", r.server.Host).must(t)
	r.builders("add", r.url(), "--host-key", r.server.HostKey, "--features", feature).must(t)
	r.build(t, r.derivation(name, "echo x >$out")).must(t)
}

// removed takes the builder away again.
func (r *remote) removed(t *testing.T) {
	r.builders("remove", r.url()).must(t)
	for _, name := range []string{"machines", "known_hosts"} {
		if _, err := os.Lstat(filepath.Join(r.p.root(), "etc/nix", name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
	result := r.build(t, r.derivation("removed-"+filepath.Base(filepath.Dir(r.root)), "echo x >$out")).run(t)
	if result.code == 0 || !strings.Contains(result.stderr, feature) {
		t.Errorf("it is still built\n%s", result.tail())
	}
}
