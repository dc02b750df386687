package patches_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/go-version"

	"bootstrap/patches"
)

// What is said to be built is a version that there are patches for, and the page says the same.
func TestBuilt(t *testing.T) {
	built, err := patches.AllBuilt()
	if err != nil || len(built) == 0 {
		t.Fatalf("%v, %v", built, err)
	}
	page, err := os.ReadFile("../docs/VERSIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## What was built\n")
	section, _, _ = strings.Cut(section, "\n## What was only checked to apply\n")
	rows := regexp.MustCompile(`(?m)^\| (\d\S*) \| (.*) \| (\S+) \| (\S+) \| `).FindAllStringSubmatch(section, -1)
	if len(rows) != len(built) {
		t.Fatalf("the page has %d rows of what was built, the table %d", len(rows), len(built))
	}
	for i, b := range built {
		if _, err := patches.For(version.Must(version.NewVersion(b.Nix))); err != nil {
			t.Error(err)
		}
		row := rows[i]
		if row[1] != b.Nix || !strings.Contains(row[2], "`"+b.Source+"`") || row[3] != b.Architecture || row[4] != b.Host {
			t.Errorf("the page has %q where the table has %+v", row[0], b)
		}
	}
}
