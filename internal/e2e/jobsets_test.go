//go:build e2e

package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// testJobsets evaluates what templates/ci has for a Hydra, with the Nix of a prefix and its package set.
func testJobsets(t *testing.T, p *place) {
	dir := p.scratch(t)
	for _, name := range []string{"release.nix", "jobsets.nix", "spec.json"} {
		text, err := os.ReadFile(filepath.Join("../../templates/ci/hydra", name))
		if err != nil {
			t.Fatal(err)
		}
		p.w.put(t, filepath.Join(dir, "hydra", name), string(text))
	}
	evaluate := func(to any, args ...string) {
		c := p.nix(t, "nix", append([]string{"eval", "--impure", "--json"}, args...)...)
		c.dir = dir
		if err := json.Unmarshal([]byte(c.must(t)), to); err != nil {
			t.Fatal(err)
		}
	}
	// By default it is the package set of the prefix; as an argument, any.
	for _, args := range []string{"{ }", "{ packages = " + p.packages() + "; }"} {
		var jobs map[string]map[string]string
		evaluate(&jobs, "--expr", "builtins.mapAttrs (_: set: builtins.mapAttrs (_: job: job.drvPath) set) (import ./hydra/release.nix "+args+")")
		set := jobs["x86_64-linux"]
		var names []string
		for name, drv := range set {
			names = append(names, name)
			if filepath.Dir(drv) != p.store || !strings.HasSuffix(drv, ".drv") {
				t.Errorf("job %s: %q", name, drv)
			}
		}
		for _, want := range []string{"hello", "nix", "toolchain", "compiler", "cacert"} {
			if !slices.Contains(names, want) {
				t.Errorf("there is no job %s among %q", want, names)
			}
		}
		if len(jobs) != 1 || slices.Contains(names, "nix-naive") {
			t.Errorf("jobs: %q", jobs)
		}
	}
	var native string
	evaluate(&native, "-f", "hydra/release.nix", "x86_64-linux.nix.outPath")
	if native != p.native(t) {
		t.Errorf("the job nix is %s, and %s is installed", native, p.native(t))
	}

	// What Hydra reads of the jobsets names files that are there.
	build := p.nix(t, "nix", "build", "--impure", "--no-link", "--print-out-paths", "-f", "hydra/jobsets.nix", "jobsets")
	build.dir = dir
	type jobset struct {
		Input  string `json:"nixexprinput"`
		Path   string `json:"nixexprpath"`
		Inputs map[string]struct{ Type, Value string }
	}
	var jobsets map[string]jobset
	if err := json.Unmarshal(read(t, strings.TrimSpace(build.must(t))), &jobsets); err != nil {
		t.Fatal(err)
	}
	var spec jobset
	if err := json.Unmarshal(read(t, filepath.Join(dir, "hydra/spec.json")), &spec); err != nil {
		t.Fatal(err)
	}
	jobsets[".jobsets"] = spec
	for name, j := range jobsets {
		if _, err := os.Stat(filepath.Join(dir, j.Path)); err != nil || j.Inputs[j.Input].Type != "git" {
			t.Errorf("jobset %s: %v, inputs %v", name, err, j.Inputs)
		}
	}
	if set := jobsets["packages"].Inputs["packages"]; set.Type != "path" || !strings.HasSuffix(set.Value, "/share/bootstrap/packages") {
		t.Errorf("jobset packages: the set is %v", set)
	}
}
