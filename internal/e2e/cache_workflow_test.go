//go:build e2e

package e2e_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bootstrap/templates"

	"go.yaml.in/yaml/v3"
)

// workflow is what is run of a workflow of GitHub's form.
// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax
type workflow struct {
	Jobs map[string]struct {
		Env   map[string]string
		Steps []step
	}
}

type step struct {
	Name, Uses, Run string
	Env             map[string]string
}

// runsWorkflow runs the steps of templates/ci/workflow.yml, one after the other, on a machine that has
// nothing in the place of the prefix: it installs from the cache, builds the package set, and pushes it.
func (c *cached) runsWorkflow(t *testing.T) {
	var w workflow
	if err := yaml.Unmarshal(read(t, "../../templates/ci/workflow.yml"), &w); err != nil {
		t.Fatal(err)
	}
	job, ok := w.Jobs["build"]
	if !ok || len(w.Jobs) != 1 {
		t.Fatalf("jobs: %v", w.Jobs)
	}
	releases := c.releases(t)
	machine := c.empty(t, "workflow")
	checkout := c.p.scratch(t)
	program := read(t, c.p.w.program)
	for name, text := range map[string]string{
		"bootstrap.lock.json": string(templates.Lock()),
		"SHA256SUMS":          fmt.Sprintf("%x  %s\n", sha256.Sum256(program), releaseName),
		"hydra/release.nix":   string(read(t, "../../templates/ci/hydra/release.nix")),
		"path":                "", // $GITHUB_PATH
	} {
		c.p.w.put(t, filepath.Join(checkout, name), text)
	}
	sudo := filepath.Join(checkout, "bin/sudo") // the machine has it, and whoever runs the steps needs none
	c.p.w.put(t, sudo, "#!/bin/sh\nexec \"$@\"\n")
	if err := os.Chmod(sudo, 0o755); err != nil {
		t.Fatal(err)
	}
	given := map[string]string{
		"vars.RELEASES": releases + "/v1", "vars.CACHE": c.server.url, "vars.CACHE_KEY": c.key,
		"secrets.CACHE_SECRET_KEY": strings.TrimSpace(string(read(t, c.secret))),
		"secrets.CACHE_NETRC":      "machine 127.0.0.1 login push password " + password,
	}
	job.Env["PREFIX"] = c.p.store
	began := time.Now()
	var did []string
	for _, s := range job.Steps {
		if s.Run == "" {
			if s.Uses != "actions/checkout@v4" {
				t.Errorf("an action that is not run here: %q", s.Uses)
			}
			continue
		}
		did = append(did, c.runsStep(t, machine, checkout, s, given, job.Env))
	}
	t.Logf("measured: the steps of the workflow, with everything in the cache: %s", time.Since(began).Round(100*time.Millisecond))
	if len(did) != 4 || strings.Contains(did[1], "> native     compile") || !strings.Contains(did[3], "signed by e2e-1") {
		t.Errorf("%d steps\n%s", len(did), lastLines(strings.Join(did, "\n"), 60))
	}
	if _, err := os.Lstat(filepath.Join(checkout, "secret.key")); err == nil {
		t.Error("the secret key is left")
	}
	c.works(t, machine, "workflow-after")
}

// expression matches what GitHub puts a value in the place of.
var expression = regexp.MustCompile(`\$\{\{ ([a-zA-Z_.]+) \}\}`)

// runsStep runs a step as GitHub does, and returns what it said.
func (c *cached) runsStep(t *testing.T, machine *place, checkout string, s step, given, of map[string]string) string {
	t.Helper()
	added := strings.Fields(string(read(t, filepath.Join(checkout, "path"))))
	slices.Reverse(added)
	env := []string{
		"HOME=" + machine.home, "GITHUB_PATH=" + filepath.Join(checkout, "path"), "CI=true", "BOOTSTRAP_MIRROR=" + c.p.w.newSeedMirror(t).serve(t),
		"PATH=" + strings.Join(append(added, filepath.Join(checkout, "bin"), "/usr/local/bin:/usr/bin:/bin"), ":"),
	}
	for _, variables := range []map[string]string{of, s.Env} {
		for name, value := range variables {
			env = append(env, name+"="+expression.ReplaceAllStringFunc(value, func(e string) string {
				name := expression.FindStringSubmatch(e)[1]
				value, ok := given[name]
				if !ok {
					t.Errorf("step %q: %s is not documented", s.Name, name)
				}
				return value
			}))
		}
	}
	r := command{
		argv: []string{lookPath(t, "bash"), "-e", "-c", s.Run}, dir: checkout, env: env, account: machine.account, change: machine.change,
	}.run(t).want(t, 0)
	return r.stdout + r.stderr
}

// releaseName is that of the program in a release.
const releaseName = "bootstrap-linux-amd64"

// releases serves the program as a release does, and returns the address.
func (c *cached) releases(t *testing.T) string {
	t.Helper()
	program := read(t, c.p.w.program)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/v1/" + releaseName:
			_, _ = w.Write(program)
		case "/v1/SHA256SUMS":
			fmt.Fprintf(w, "%x  %s\n", sha256.Sum256(program), releaseName)
		default:
			http.NotFound(w, req)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}
