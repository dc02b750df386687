//go:build e2e

package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/lock"
	"bootstrap/internal/provenance"
)

// testReproducible holds what a prefix says it was made from to what is there. Then it takes its Nix to
// another place, and has it build stages once more, on what differs from host to host and day to day but
// may not show in any byte.
//
// So one run of the compilers says two things: what is compiled is always the same, and what was relocated
// is what would have been compiled there. Every difference would be one of either.
func testReproducible(t *testing.T, p *place, stages ...string) {
	needs(t, p)
	t.Run("provenance", func(t *testing.T) { testProvenance(t, p) })
	b := newBundle(t, p)
	q := b.at(t, sameLength("rebuilt-", filepath.Base(p.root())))
	b.install(t, q, b.file).want(t, 0)
	relocated := q.pathInfos(t, "--recursive", q.native(t))
	t.Run("hello", func(t *testing.T) { testCompiler(t, q) })
	for _, stage := range stages {
		t.Run("rebuild "+stage, func(t *testing.T) { testRebuild(t, q, stage) })
	}
	if diff := cmp.Diff(relocated, q.pathInfos(t, "--recursive", q.native(t))); diff != "" {
		t.Errorf("what was compared is not what was relocated (-relocated +compared):\n%s", diff)
	}
}

// testCompiler brings the compiler to a prefix whose Nix came in a bundle, and has that Nix build hello.
func testCompiler(t *testing.T, p *place) {
	r := p.install("").run(t).want(t, 0)
	if strings.Contains(r.stderr, "> native") || !strings.Contains(r.stderr, "> toolchain") {
		t.Errorf("it compiles a Nix, or brings no compiler:\n%s", r.tail())
	}
	out := strings.TrimSpace(p.nix(t, "nix", "build", "--no-link", "--print-out-paths", "--file", p.packages(), "hello").must(t))
	if said := p.shell(t, out+"/bin/hello").must(t); said != "Hello, world!\n" {
		t.Errorf("hello says %q", said)
	}
}

// testProvenance compares every digest of the statement with that of the thing itself.
func testProvenance(t *testing.T, p *place) {
	out := p.program("provenance", "--json").must(t)
	if again := p.program("provenance", "--json").must(t); again != out {
		t.Error("it says something else the second time")
	}
	var s provenance.Statement
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatal(err)
	}
	stages := map[string]int{}
	for _, subject := range s.Subject {
		path := strings.TrimPrefix(subject.URI, "file://")
		// Of the very bytes, not what the database has of them.
		if got := strings.TrimSpace(p.nix(t, "nix", "hash", "path", "--base16", path).must(t)); got != subject.Digest["narSha256"] {
			t.Errorf("%s: %s is %s, the statement says %s", subject.Name, path, got, subject.Digest["narSha256"])
		}
		name, _, _ := strings.Cut(subject.Name, "/")
		stages[name]++
	}
	if stages["toolchain"] != 5 || stages["native"] != 1 {
		t.Errorf("subjects: %v", stages)
	}
	l, err := lock.Parse(read(t, filepath.Join(p.packages(), "lock.json")))
	if err != nil {
		t.Fatal(err)
	}
	seed := map[string]string{}
	for _, e := range l.Entries {
		seed[e.Path] = e.SHA256
	}
	files := 0
	for _, d := range s.Predicate.BuildDefinition.ResolvedDependencies {
		want := d.Digest["sha256"]
		kind, name, _ := strings.Cut(d.Name, "/")
		switch kind {
		case "lock.json":
			if got := l.Digest(); got != want {
				t.Errorf("the lock is %s, the statement says %s", got, want)
			}
		case "seed":
			if seed[name] != want {
				t.Errorf("%s: the lock says %q, the statement %q", name, seed[name], want)
			}
			if data, err := os.ReadFile(p.w.cached(want)); err == nil && sumOf(data) != want {
				t.Errorf("%s: the file that was fetched has another digest", name)
			}
		case "packages":
			files++
			if got := sumOf(read(t, filepath.Join(p.packages(), name))); got != want {
				t.Errorf("%s is %s, the statement says %s", name, got, want)
			}
		default:
			t.Errorf("dependency %q", d.Name)
		}
	}
	if files < 20 {
		t.Errorf("only %d files of the package set are named", files)
	}
	o := s.Predicate.BuildDefinition.ExternalParameters
	if o.Store != p.store || o.NixVersion == "" {
		t.Errorf("parameters: %+v", o)
	}
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// testRebuild makes a stage once more: what is built, with the native nix in another directory, with another umask, locale and
// time zone; the toolchain on one core and without a sandbox, too. What is compiled cannot be compared
// without one: Nix builds it at a path of another name then.
func testRebuild(t *testing.T, p *place, stage string) {
	builds := filepath.Join(p.scratch(t), "builds-elsewhere")
	p.w.mkdir(t, builds)
	custom := filepath.Join(p.layout(t).Conf, "nix.custom.conf")
	was, err := os.ReadFile(custom)
	if err == nil {
		t.Cleanup(func() { p.w.put(t, custom, string(was)) })
	} else {
		t.Cleanup(func() { remove(t, custom) })
	}
	conf := "build-dir = " + builds + "\n"
	if stage == "toolchain" {
		conf += "sandbox = false\ncores = 1\n" // Nix would take twice as long
	}
	p.w.put(t, custom, string(was)+conf)
	c := p.program("verify", "--json", "--rebuild", stage)
	c.change = alsoChanged(c.change, inForeignParts)
	r := c.run(t).want(t, 0)
	var v struct {
		Drift   []any `json:"drift"`
		Rebuilt []struct {
			Stage, Name string
			Identical   bool
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil {
		t.Fatal(err)
	}
	for _, b := range v.Rebuilt {
		if !b.Identical || b.Stage != stage {
			t.Errorf("rebuilt: %+v", b)
		}
	}
	want := map[string]int{"toolchain": 4, "native": 1, "bootstrap": 1, "host": 1}[stage]
	if stage == "host" && p.host != "" {
		want++ // the program itself
	}
	// How many files there are the lock says, and how many store paths the bundle.
	if len(v.Rebuilt) == 0 || want > 0 && len(v.Rebuilt) != want || len(v.Drift) > 0 {
		t.Errorf("%d things were made once more, not %d; differences: %v", len(v.Rebuilt), want, v.Drift)
	}
	t.Logf("measured: stage %s built again, identical: %s", stage, r.took.Round(time.Second))
}

// inForeignParts starts a command in an environment that nobody here has, and with a umask that lets
// nobody else read.
func inForeignParts(cmd *exec.Cmd) {
	cmd.Env = append(cmd.Env, "LC_ALL=tr_TR.UTF-8", "LANG=tr_TR.UTF-8", "TZ=Asia/Kathmandu", "SOURCE_DATE_EPOCH=1", "GZIP=-1", "MAKEFLAGS=-s")
	cmd.Args = append([]string{"sh", "-c", `umask 077 && exec "$@"`, "sh"}, cmd.Args...)
	cmd.Path = "/bin/sh"
}

// alsoChanged has a command changed in one way, and then in another; the first may be nil.
func alsoChanged(first, then func(*exec.Cmd)) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		if first != nil {
			first(cmd)
		}
		then(cmd)
	}
}
