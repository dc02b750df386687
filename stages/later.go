package stages

import (
	"fmt"
	"io/fs"
	"slices"

	"bootstrap/internal/lock"

	version "github.com/hashicorp/go-version"
)

// withNeeds returns a lock whose toolchain has what a version of Nix needs besides, as far as the
// table has a lock of it among later, for the suite that the toolchain is of.
func withNeeds(table []byte, later fs.FS, v *version.Version, l *lock.Lock) (*lock.Lock, error) {
	needs, err := needsOf(table, v)
	if err != nil {
		return nil, err
	}
	suites, archs := toolchainOf(l)
	for _, n := range needs {
		lacks := slices.ContainsFunc(archs, func(arch string) bool { return len(n.unmet(l, arch)) > 0 })
		if !lacks || !slices.Equal(suites, []string{n.To}) {
			continue
		}
		data, err := fs.ReadFile(later, n.Add+".json")
		if err != nil {
			return nil, fmt.Errorf("needs %q: %w", n.Toolchain, err)
		}
		more, err := lock.Parse(data)
		if err != nil {
			return nil, fmt.Errorf("needs %q: %w", n.Toolchain, err)
		}
		if l, err = l.WithPackages(lock.Toolchain, more, n.Instead); err != nil {
			return nil, fmt.Errorf("needs %q: %w", n.Toolchain, err)
		}
	}
	return l, nil
}

// toolchainOf returns the suites that the toolchain of a lock is of, and the architectures that it
// is there for, each sorted.
func toolchainOf(l *lock.Lock) (suites, archs []string) {
	for _, e := range l.Entries {
		if slices.Contains(e.Roles, lock.Toolchain) {
			suites = append(suites, e.Suite)
			archs = append(archs, e.For...)
		}
	}
	slices.Sort(suites)
	slices.Sort(archs)
	return slices.Compact(suites), slices.Compact(archs)
}
