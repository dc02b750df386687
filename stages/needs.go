package stages

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"bootstrap/internal/control"
	"bootstrap/internal/fault"
	"bootstrap/internal/lock"
	"bootstrap/templates"

	version "github.com/hashicorp/go-version"
)

// need is what some versions of Nix need of a toolchain that older ones do without.
type need struct {
	Nix       string   `json:"nix"`               // a constraint
	Toolchain string   `json:"toolchain"`         // relations, as in a Build-Depends field
	Add       string   `json:"add"`               // what has it, by its name in [templates.Later]
	Instead   []string `json:"instead,omitempty"` // patterns of the names of packages that it takes the place of
	To        string   `json:"to"`                // the suite of the toolchains that it goes with

	relations []control.Dependency // of Toolchain
}

// lacking returns the relations that a lock's toolchain does not satisfy, of those that a version of
// Nix needs besides what the built-in lock has.
func lacking(table []byte, v *version.Version, l *lock.Lock, arch string) ([]string, error) {
	needs, err := needsOf(table, v)
	var missing []string
	for _, n := range needs {
		missing = append(missing, n.unmet(l, arch)...)
	}
	return missing, err
}

// needsOf returns the rows of the table that count for a version.
func needsOf(table []byte, v *version.Version) ([]need, error) {
	var all, needs []need
	if err := json.Unmarshal(table, &all); err != nil {
		return nil, fmt.Errorf("needs: %w", err)
	}
	for _, n := range all {
		counts, err := version.NewConstraint(n.Nix)
		if err != nil {
			return nil, fmt.Errorf("needs %q: %w", n.Nix, err)
		}
		if n.relations, err = control.ParseDependencies(n.Toolchain); err != nil {
			return nil, fmt.Errorf("needs %q: %w", n.Toolchain, err)
		}
		if counts.Check(v.Core()) {
			needs = append(needs, n)
		}
	}
	return needs, nil
}

// unmet returns the relations that a lock's toolchain does not satisfy.
func (n need) unmet(l *lock.Lock, arch string) []string {
	there := l.For(arch, lock.Toolchain)
	var missing []string
	for _, d := range n.relations {
		if !slices.ContainsFunc(there, func(e lock.Entry) bool { return satisfies(e, d) }) {
			missing = append(missing, d.String())
		}
	}
	return missing
}

func satisfies(e lock.Entry, d control.Dependency) bool {
	return slices.ContainsFunc(d, func(r control.Relation) bool { return r.Name == e.Name && r.SatisfiedBy(e.Version) })
}

// refuseToolchain says that the Nix to build needs what the toolchain of the lock does not have. It
// would be found out by Meson, after the toolchain is in the store.
func (r *installation) refuseToolchain() []*fault.Error {
	if r.Runtime || r.From != nil || r.set != nil {
		return nil
	}
	missing, err := lacking(templates.Needs(), r.version, r.lock, r.arch)
	if err != nil {
		return []*fault.Error{{Kind: fault.General, Err: err}}
	}
	if len(missing) == 0 {
		return nil
	}
	return []*fault.Error{{
		Kind: fault.Unfit, Err: fmt.Errorf("nix %s: the toolchain of the lock is without %s", r.version, strings.Join(missing, ", ")),
		Hint: "give a lock of a newer distribution with --lock (docs/VERSIONS.md says how to make one), or build an older Nix",
	}}
}
