package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFaultsPage holds docs/RELIABILITY.md to the faults that there are: it has a row for each, in
// the same words, and in none of them anything was lost.
func TestFaultsPage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "RELIABILITY.md"))
	must(t, err)
	_, section, ok := strings.Cut(string(text), "<!-- faults: begin -->\n")
	section, _, closed := strings.Cut(section, "<!-- faults: end -->\n")
	_, rows, found := strings.Cut(section, tableHead)
	if !ok || !closed || !found {
		t.Fatal("there is no table between the marks")
	}
	if !regexp.MustCompile(`(?m)^As it came out on \d{4}-\d\d-\d\d, by `).MatchString(section) {
		t.Error("it does not say when the table came out, and by what")
	}
	var want, got []string
	for _, m := range mishaps() {
		want = append(want, m.cells())
	}
	for row := range strings.Lines(strings.TrimSpace(rows)) {
		row = strings.TrimSuffix(strings.TrimSpace(row), " |")
		at := strings.LastIndex(row, "| ")
		cells, lost := strings.TrimSpace(row[:at])+" |", row[at+2:]
		got = append(got, cells)
		if lost != "0" && !strings.HasPrefix(lost, "not tried: ") {
			t.Errorf("%s: %s bytes were lost", cells, lost)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the page is not of these faults; scripts/faults --write makes it anew (-faults +page):\n%s", diff)
	}
}
