package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestIsolationTables holds docs/ISOLATION.md to the tests and the patches that there are: every
// test it names is a function here, and it names each patch of the series once, with a test.
func TestIsolationTables(t *testing.T) {
	t.Parallel()
	functions := map[string]bool{}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for _, m := range regexp.MustCompile(`(?m)^func (test\w+)\(t \*testing\.T`).FindAllStringSubmatch(slurp(t, file), -1) {
			functions[m[1]] = true
		}
	}
	text := slurp(t, "../../docs/ISOLATION.md")
	_, failures, ok := strings.Cut(text, "\n| failure | test |\n|---|---|\n")
	failures, _, _ = strings.Cut(failures, "\n\n")
	_, patched, ok2 := strings.Cut(text, "\n| patch | test |\n|---|---|\n")
	if !ok || !ok2 {
		t.Fatal("docs/ISOLATION.md has not both tables")
	}
	for row := range strings.Lines(failures + "\n" + patched) {
		cells := strings.Split(row, " | ")
		if len(cells) != 2 {
			t.Fatalf("not a row of two cells: %q", row)
		}
		names := regexp.MustCompile("`(test\\w+)`").FindAllStringSubmatch(cells[1], -1)
		if len(names) == 0 {
			t.Errorf("no test is named in %q", row)
		}
		for _, m := range names {
			if !functions[m[1]] {
				t.Errorf("there is no %s, which is named in %q", m[1], row)
			}
		}
	}
	series, err := filepath.Glob("../../patches/2.26/*.patch")
	if err != nil || len(series) == 0 {
		t.Fatalf("patches: %v, %v", series, err)
	}
	for _, file := range series {
		name := "| `" + strings.TrimSuffix(filepath.Base(file), ".patch") + "` | "
		if strings.Count(patched, name) != 1 {
			t.Errorf("%s is not there once", name)
		}
	}
	if rows := strings.Count(patched, "\n| `") + 1; rows != len(series) {
		t.Errorf("there are %d rows for %d patches", rows, len(series))
	}
}

func slurp(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
