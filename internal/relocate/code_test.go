package relocate_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"bootstrap/internal/relocate"
)

// TestNoFalseAlarm: machine code without a mapped path is left as it is: this test's own, for one.
func TestNoFalseAlarm(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	m, err := relocate.NewMap(relocate.MapOptions{
		Store: relocate.Dir{From: "/opt/qqqqqqqq/store", To: "/srv/wwwwwwww/store"}, // spelled otherwise nowhere else
		Paths: map[string]string{strings.Repeat("4l", 16) + "-x": strings.Repeat("7n", 16) + "-x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	data := pack(t, tree{"self": string(content)})
	var out bytes.Buffer
	report, err := relocate.Relocate(&out, bytes.NewReader(data), relocate.Options{Map: m, TargetMayOccur: true})
	if report.Counts[relocate.Repaired] > 0 {
		t.Errorf("repaired: %v", report.Of(relocate.Repaired))
	}
	// This program has the directories in it, which is all that may be found.
	if err == nil && report.Counts[relocate.Rewritten] == 0 {
		t.Errorf("its own directories were not found: %v", report.Counts)
	}
	if err != nil {
		t.Logf("%v", err)
	}
}
