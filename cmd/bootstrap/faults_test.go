package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// mishap is one fault: how it is provoked, and how the run that meets it has to end.
//
// After it the same command is run again, on a host that is well: it has to end with the receipt
// and the store of an installation that met no fault.
type mishap struct {
	name    string // group/fault
	stage   string // that is hit; "any" where that is left to chance
	how     string // it is provoked
	outcome string // what the run that meets it does
	whole   bool   // it befalls a complete installation, not one that begins
	slow    bool   // left to the whole suite
	lacks   func() string
	provoke func(p *patient)
	heal    func(p *patient) // what a person has to do before the same command; may be nil
	differs []string         // stages whose outputs may be others than those of a healthy host
}

// mishaps are all faults, by groups.
func mishaps() []mishap {
	return slices.Concat(
		killMishaps(), powerMishaps(), fullMishaps(), networkMishaps(), hostMishaps(), twoMishaps(), damagedMishaps(),
	)
}

// faultsVariable says how much of the suite is run: "all", or what is quick.
const faultsVariable = "BOOTSTRAP_FAULTS"

// tableVariable names a file that the table of what came out is written to.
const tableVariable = "BOOTSTRAP_FAULTS_TABLE"

// TestFaults provokes one fault after the other in one place, so that all installations have the
// same directories and can be compared byte for byte.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the faults take minutes")
	}
	all := os.Getenv(faultsVariable) == "all"
	w := newWard(t)
	var rows []fate
	for _, m := range mishaps() {
		if m.slow && !all {
			continue
		}
		r := fate{mishap: m, lost: -1}
		t.Run(m.name, func(t *testing.T) {
			if m.lacks != nil {
				if r.skipped = m.lacks(); r.skipped != "" {
					t.Skip(r.skipped)
				}
			}
			r.lost = w.suffer(t, m)
		})
		rows = append(rows, r)
	}
	report := table(rows)
	t.Logf("\n%s", report)
	if file := os.Getenv(tableVariable); file != "" && !t.Failed() {
		if err := os.WriteFile(file, []byte(report), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// fate is a fault, and what came of it.
type fate struct {
	mishap
	skipped string // why it was
	lost    int64  // bytes of the store; -1 if that did not come out
}

// tableHead is the head of the table in docs/RELIABILITY.md.
const tableHead = "| fault | stage | how it is provoked | outcome | bytes lost |\n|---|---|---|---|---|\n"

func table(rows []fate) string {
	var b strings.Builder
	b.WriteString(tableHead)
	for _, r := range rows {
		lost := fmt.Sprint(r.lost)
		switch {
		case r.skipped != "":
			lost = "not tried: " + r.skipped
		case r.lost < 0:
			lost = "?"
		}
		fmt.Fprintf(&b, "%s %s |\n", r.cells(), lost)
	}
	return b.String()
}

// cells are the columns of the table that are known beforehand.
func (m mishap) cells() string {
	return fmt.Sprintf("| %s | %s | %s | %s |", m.name, m.stage, m.how, m.outcome)
}

// leastMishaps is how many different faults there have to be.
const leastMishaps = 60

func TestFaultsAreMany(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range mishaps() {
		if seen[m.name] {
			t.Errorf("%s: there are two of that name", m.name)
		}
		seen[m.name] = true
		group, _, _ := strings.Cut(m.name, "/")
		if !slices.Contains([]string{"kill", "power", "full", "network", "host", "two", "damaged"}, group) {
			t.Errorf("%s: of no group", m.name)
		}
		if m.stage == "" || m.how == "" || m.outcome == "" || m.provoke == nil {
			t.Errorf("%s: it does not say all it has to", m.name)
		}
	}
	if len(seen) < leastMishaps {
		t.Errorf("%d faults, fewer than %d", len(seen), leastMishaps)
	}
}
