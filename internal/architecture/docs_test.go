package architecture_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	namedTest   = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`")
	namedScript = regexp.MustCompile("`([\\w*]+\\.txtar)`")
	testFunc    = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w*)\(`)
)

// TestDocsNameTests looks for every test and script that a page says something is held by.
func TestDocsNameTests(t *testing.T) {
	t.Parallel()
	top := filepath.Join("..", "..")
	there := map[string]bool{}
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range testFunc.FindAllSubmatch(text, -1) {
			there[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(top, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range namedTest.FindAllSubmatch(text, -1) {
			if !there[string(m[1])] {
				t.Errorf("%s: there is no %s", filepath.Base(page), m[1])
			}
		}
		for _, m := range namedScript.FindAllSubmatch(text, -1) {
			found, err := filepath.Glob(filepath.Join(top, "cmd", "bootstrap", "testdata", "script", string(m[1])))
			if err != nil || len(found) == 0 {
				t.Errorf("%s: there is no %s (%v)", filepath.Base(page), m[1], err)
			}
		}
	}
	if len(there) < 100 || len(pages) < 10 {
		t.Errorf("only %d tests and %d pages were found", len(there), len(pages))
	}
}

var fuzzFunc = regexp.MustCompile(`(?m)^func Fuzz[A-Z]\w*\(`)

// TestFuzzTargetsAreNamed compares the packages that SECURITY says have fuzz targets with those that have.
func TestFuzzTargetsAreNamed(t *testing.T) {
	t.Parallel()
	internal := filepath.Join("..", "..", "internal")
	have := map[string]bool{}
	err := filepath.WalkDir(internal, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if fuzzFunc.Match(text) {
			name, relErr := filepath.Rel(internal, filepath.Dir(path))
			have[filepath.ToSlash(name)], err = true, errors.Join(err, relErr)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, found := strings.Cut(string(text), "| `Fuzz*` in ")
	list, _, ended := strings.Cut(list, " |")
	if !found || !ended {
		t.Fatal("there is no list")
	}
	var said []string
	for name := range strings.SplitSeq(list, ", ") {
		said = append(said, strings.Trim(name, "`"))
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(have)), said); diff != "" {
		t.Errorf("packages with fuzz targets (-have +said):\n%s", diff)
	}
}
