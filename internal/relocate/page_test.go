package relocate_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the scores into docs/RELOCATION.md")

const (
	scoresBegin = "<!-- scores: begin -->\n"
	scoresEnd   = "<!-- scores: end -->\n"
	scoresHead  = "| | as it should be | refused | neither |\n|---|---|---|---|\n"
)

// TestScores holds the table in docs/RELOCATION.md to what comes out, and what comes out of this package to no case
// that is silently corrupted. With -update it writes the table.
func TestScores(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "RELOCATION.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begun := strings.Cut(string(text), scoresBegin)
	table, after, ended := strings.Cut(rest, scoresEnd)
	if !begun || !ended {
		t.Fatal("there is no table between the marks")
	}
	lines := scores(t)
	want := scoresHead + strings.Join(lines, "\n") + "\n"
	if !strings.HasSuffix(lines[0], "| 0 |") {
		t.Errorf("silently corrupted: %s", lines[0])
	}
	if *update {
		if err := os.WriteFile(file, []byte(before+scoresBegin+want+scoresEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, table); diff != "" {
		t.Errorf("go test -run TestScores ./internal/relocate -update makes the table anew (-corpus +page):\n%s", diff)
	}
}
