package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"bootstrap/internal/provenance"
)

// TestCIPage runs what docs/CI.md has for a workflow and for a Dockerfile, twice each: the second time on
// a machine that has nothing but what is kept between runs, and no network.
func TestCIPage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "CI.md"))
	must(t, err)
	w := newWard(t)
	t.Run("workflow", func(t *testing.T) {
		p := w.patient(t, false)
		defer p.dismiss()
		script, kept := workflowOf(t, string(text))
		p.ci(script, "home/"+strings.TrimPrefix(kept, "~/"), "repository/provenance.json")
	})
	t.Run("Dockerfile", func(t *testing.T) {
		p := w.patient(t, false)
		defer p.dismiss()
		script, kept := dockerfileOf(t, string(text))
		p.ci(script, strings.TrimPrefix(kept, "/"), "opt/provenance.json")
	})
}

// workflowOf returns the commands of all steps, and the directory that is kept.
func workflowOf(t *testing.T, page string) (script, kept string) {
	t.Helper()
	_, yaml, ok := strings.Cut(page, "```yaml\n")
	yaml, _, closed := strings.Cut(yaml, "```")
	if !ok || !closed {
		t.Fatal("there is no workflow")
	}
	inner := ""
	for line := range strings.Lines(yaml) {
		indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
		switch {
		case strings.HasSuffix(line, "- run: |\n"):
			inner = indent + "    "
		case inner != "" && strings.HasPrefix(line, inner):
			script += strings.TrimPrefix(line, inner)
		default:
			inner = ""
		}
	}
	m := regexp.MustCompile(`uses: actions/cache@\S+\s+with:\s+path: (\S+)\n`).FindStringSubmatch(yaml)
	if m == nil || strings.Count(script, "\n") < 5 {
		t.Fatalf("nothing is kept between runs, or nothing is done:\n%s", script)
	}
	return script, m[1]
}

// dockerfileOf returns the commands that are run once there is a user, and the directory that is kept.
func dockerfileOf(t *testing.T, page string) (script, kept string) {
	t.Helper()
	_, file, ok := strings.Cut(page, "```dockerfile\n")
	file, _, closed := strings.Cut(file, "```")
	if !ok || !closed {
		t.Fatal("there is no Dockerfile")
	}
	mount := regexp.MustCompile(`^--mount=type=cache,target=([^,]+),\S+ `)
	for _, instruction := range regexp.MustCompile(`(?m)^RUN ((?:.*\\\n)*.*)\n`).FindAllStringSubmatch(file, -1) {
		command := strings.ReplaceAll(instruction[1], "\\\n", " ")
		if strings.HasPrefix(command, "useradd ") {
			continue // it takes root's rights, and leaves an account
		}
		if m := mount.FindStringSubmatch(command); m != nil {
			command, kept = command[len(m[0]):], m[1]
		}
		script += command + "\n"
	}
	if kept == "" || strings.Count(script, "\n") != 2 {
		t.Fatalf("nothing is kept between runs, or something else is done:\n%s", script)
	}
	return script, kept
}

// finishedOn is when the prefix was complete, which is the only thing that differs.
var finishedOn = regexp.MustCompile(`"finishedOn": "[^"]*"`)

// ci runs the commands of a page in a place of their own.
func (p *patient) ci(script, kept, statement string) {
	p.Helper()
	for _, name := range []string{"repository", "tmp", "usr/local/bin", "bin", "home/ci"} {
		raze(p.T, p.path(name))
		must(p.T, os.MkdirAll(p.path(name), 0o755))
	}
	p.later(func() {
		for _, name := range []string{"repository", "tmp", "usr", "bin"} {
			raze(p.T, p.path(name))
		}
	})
	script = strings.NewReplacer(
		"/opt/ci", p.path("opt"), "/home/ci", p.path("home", "ci"), "/tmp", p.path("tmp"), "/usr/local/bin", p.path("usr", "local", "bin"),
	).Replace(script)
	kept = p.path(strings.Split(kept, "/")...)
	if strings.HasPrefix(kept, p.path("home", "ci")) {
		must(p.T, os.Mkdir(kept, 0o700)) // as the mount makes it
	}
	program, err := exec.LookPath(p.program)
	must(p.T, err)
	// The release is this program with what stands for Debian's archive and for its nix.
	release := fmt.Sprintf("#!/bin/sh\ncase $1 in\n--prefix) exec %s \"$@\" --host=%s --keyring=%s --snapshot=\"$BOOTSTRAP_MIRROR\" --mirror=\"$BOOTSTRAP_MIRROR\" ;;\nesac\nexec %[1]s \"$@\"\n",
		program, p.path("nix"), p.path("keyring.gpg"))
	sums := fmt.Sprintf("%x  bootstrap-linux-amd64\n%s  bootstrap-linux-arm64\n", sha256.Sum256([]byte(release)), strings.Repeat("0", 64))
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(release)) }))
	defer server.Close()
	must(p.T, os.WriteFile(p.path("bin", "sudo"), []byte("#!/bin/sh\nexec \"$@\"\n"), 0o755))
	for _, dir := range []string{"repository", "tmp"} {
		must(p.T, os.WriteFile(p.path(dir, "SHA256SUMS"), []byte(sums), 0o644))
		must(p.T, os.WriteFile(p.path(dir, "bootstrap.lock.json"), p.seed.lock.Marshal(), 0o644))
	}
	must(p.T, os.WriteFile(p.path("tmp", "bootstrap-linux-amd64"), []byte(release), 0o644))
	run := func(mirror string) string {
		p.Helper()
		cmd := exec.Command("sh", "-eu", "-c", script)
		cmd.Dir = p.path("repository")
		cmd.Env = []string{
			"HOME=" + p.path("home"), "PATH=" + p.path("bin") + ":" + p.path("usr", "local", "bin") + ":" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(),
			"RELEASES=" + server.URL, "BOOTSTRAP_MIRROR=" + mirror, "GORACE=atexit_sleep_ms=0",
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			p.Fatalf("%v\n%s", err, out)
		}
		data, err := os.ReadFile(p.path(strings.Split(statement, "/")...))
		must(p.T, err)
		var s provenance.Statement
		must(p.T, json.Unmarshal(data, &s))
		if s.Predicate.BuildDefinition.ExternalParameters.Store != p.store() {
			p.Errorf("provenance of another prefix:\n%s", data)
		}
		return finishedOn.ReplaceAllString(string(data), "")
	}
	first := run(p.url)
	seed, err := filepath.Glob(filepath.Join(kept, "*"))
	if err != nil || len(seed) == 0 {
		p.Fatalf("there is no seed in %q, which is kept: %v", kept, err)
	}
	must(p.T, os.Rename(kept, p.path("kept")))
	for _, name := range []string{"opt", "home"} {
		raze(p.T, p.path(name))
		must(p.T, os.MkdirAll(p.path(name, "ci"), 0o755))
	}
	raze(p.T, p.path("opt", "ci"))
	must(p.T, os.MkdirAll(filepath.Dir(kept), 0o755))
	must(p.T, os.Rename(p.path("kept"), kept))
	if second := run("http://127.0.0.1:9"); second != first {
		p.Errorf("the second image is of other inputs or outputs:\n%s", second)
	}
}
