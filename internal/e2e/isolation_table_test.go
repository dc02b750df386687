//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The table of docs/ISOLATION.md stands between these lines.
const (
	tableBegin = "<!-- The table is written by the tests: BOOTSTRAP_WRITE_DOCS=1. -->"
	tableEnd   = "<!-- end of the table -->"
)

// leakTable renders what was counted.
func leakTable(counts map[string][]leak) string {
	var b strings.Builder
	b.WriteString("| command |")
	for _, way := range ways() {
		b.WriteString(" " + way.title + " |")
	}
	b.WriteString(" named on the command line | left in TMPDIR |\n|---|")
	b.WriteString(strings.Repeat("--:|", len(ways())))
	b.WriteString("---|--:|\n")
	for _, j := range jobs() {
		fmt.Fprintf(&b, "| `%s` |", j.line)
		named, left := 0, 0
		for _, l := range counts[j.line] {
			fmt.Fprintf(&b, " %d |", len(l.outside))
			named, left = max(named, len(l.named)), max(left, len(l.left))
		}
		fmt.Fprintf(&b, " %d%s | %d |\n", named, strings.TrimRight(": "+j.named, ": "), left)
	}
	return b.String()
}

// compareTable holds the committed table to the one that was measured, or replaces it.
func compareTable(t *testing.T, table string) {
	t.Helper()
	file, err := filepath.Abs("../../docs/ISOLATION.md")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(data), tableBegin+"\n\n")
	old, tail, ok2 := strings.Cut(rest, "\n"+tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no table between %q and %q", file, tableBegin, tableEnd)
	}
	if os.Getenv("BOOTSTRAP_WRITE_DOCS") == "1" {
		text := head + tableBegin + "\n\n" + table + "\n" + tableEnd + tail
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(old, table); diff != "" {
		t.Errorf("%s is not what was counted; BOOTSTRAP_WRITE_DOCS=1 writes it anew (-file +counted):\n%s", file, diff)
	}
}
