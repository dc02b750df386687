package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bootstrap/internal/lock"
	"bootstrap/stages"
	"bootstrap/templates"

	"go.yaml.in/yaml/v3"
)

// call matches a call of the program in a page: up to what ends a command of the shell, with lines
// that go on.
var call = regexp.MustCompile(`(?m)(?:^|[\s"/])bootstrap"?((?: (?:[^\s&|>#\\]+))+)`)

// TestPagesNameFlags looks for each verb and flag that pages for other programs' files call.
func TestPagesNameFlags(t *testing.T) {
	calls := 0
	for _, page := range []string{"docs/BUNDLES.md", "docs/CACHE.md", "docs/CI.md", "docs/CLUSTER.md", "docs/PACKAGES.md", "docs/VERSIONS.md", "templates/ci/workflow.yml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", page))
		if err != nil {
			t.Fatal(err)
		}
		lines := codeLines(string(text))
		if filepath.Ext(page) == ".yml" {
			lines = slices.Collect(strings.Lines(string(text)))
		}
		for _, line := range lines {
			line, _, _ = strings.Cut(line, " # ")
			for _, m := range call.FindAllStringSubmatch(line, -1) {
				calls++
				if err := parses(strings.Fields(m[1])); err != "" {
					t.Errorf("%s: %s: %s", page, strings.TrimSpace(line), err)
				}
			}
		}
	}
	if calls < 15 {
		t.Errorf("only %d calls were found", calls)
	}
	for _, bad := range []string{"--nonsense", "verify --rebuilt native", "lock differ a b", "verify --prefix"} {
		if parses(strings.Fields(bad)) == "" {
			t.Errorf("%q passes, so the test would prove nothing", bad)
		}
	}
}

// TestWorkflows reads the workflows as a CI does, and has a shell read what they run.
func TestWorkflows(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	page, err := os.ReadFile("../../docs/CI.md")
	if err != nil {
		t.Fatal(err)
	}
	_, fenced, _ := strings.Cut(string(page), "\n```yaml\n")
	fenced, _, _ = strings.Cut(fenced, "\n```\n")
	file, err := os.ReadFile("../../templates/ci/workflow.yml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"docs/CI.md": fenced, "templates/ci/workflow.yml": string(file)} {
		var w struct {
			Jobs map[string]struct {
				Steps []struct {
					Uses, Run string
					Env, With map[string]string
				}
			}
		}
		if err := yaml.Unmarshal([]byte(text), &w); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		runs := 0
		for _, step := range w.Jobs["build"].Steps {
			if (step.Uses == "") == (step.Run == "") {
				t.Errorf("%s: a step that has nothing to do, or two things: %+v", name, step)
			}
			if step.Run == "" {
				continue
			}
			runs++
			if out, err := exec.Command(bash, "-n", "-c", step.Run).CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v\n%s", name, step.Run, err, out)
			}
		}
		if runs < 2 {
			t.Errorf("%s: %d steps run something", name, runs)
		}
	}
}

// codeLines returns the lines of a page that are indented or between fences.
func codeLines(page string) []string {
	var lines []string
	fenced := false
	for line := range strings.Lines(page) {
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
		case fenced, strings.HasPrefix(line, "    "):
			lines = append(lines, line)
		}
	}
	return lines
}

// parses says what is wrong with arguments; "" if nothing is.
func parses(args []string) string {
	root := rootCommand(machine{})
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err.Error()
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err.Error()
	}
	if cmd.HasSubCommands() && cmd != root && len(cmd.Flags().Args()) > 0 {
		return "no such verb"
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		return err.Error()
	}
	return ""
}

// TestVersionsPage holds the table of what was built to what the program calls tested.
func TestVersionsPage(t *testing.T) {
	l, err := lock.Parse(templates.Lock())
	if err != nil {
		t.Fatal(err)
	}
	known, err := stages.Versions(l)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "VERSIONS.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, built, _ := strings.Cut(string(text), "## What was built\n")
	built, _, _ = strings.Cut(built, "\n## ")
	tested := 0
	for _, v := range known {
		if !v.Tested {
			t.Errorf("%s of the built-in lock is not tested", v.Version)
		}
		tested++
		if row := "| " + v.Version + " | `" + v.File + "` "; !strings.Contains(built, "\n"+row) {
			t.Errorf("there is no row %q", row)
		}
	}
	if tested == 0 {
		t.Error("no version is known")
	}
	series, err := stages.AllSeries()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range series {
		patches := "patches"
		if s.Patches == 1 {
			patches = "patch"
		}
		if row := fmt.Sprintf("| %s, %d %s | `%s` |", s.Name, s.Patches, patches, s.Range); !strings.Contains(string(text), row) {
			t.Errorf("there is no row %q", row)
		}
	}
}
