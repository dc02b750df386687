package lock

import (
	"cmp"
	"fmt"
	"slices"
)

// SuiteChange is one signed index that is not the same in two locks.
type SuiteChange struct {
	Old *Suite // nil if the suite is new
	New *Suite // nil if the suite is gone
}

// Name returns the name of the suite.
func (c SuiteChange) Name() string {
	if c.Old != nil {
		return c.Old.Name
	}
	return c.New.Name
}

// String returns the change in one line, for people.
func (c SuiteChange) String() string {
	switch {
	case c.Old == nil:
		return fmt.Sprintf("suite %s: added, index of %s", c.New.Name, c.New.Date)
	case c.New == nil:
		return fmt.Sprintf("suite %s: removed, index of %s", c.Old.Name, c.Old.Date)
	case c.Old.Date != c.New.Date:
		return fmt.Sprintf("suite %s: index of %s -> %s", c.Old.Name, c.Old.Date, c.New.Date)
	case c.Old.SignedBy != c.New.SignedBy:
		return fmt.Sprintf("suite %s: signed by %s, before by %s", c.Old.Name, c.New.SignedBy, c.Old.SignedBy)
	}
	return fmt.Sprintf("suite %s: another index of %s", c.Old.Name, c.Old.Date)
}

// DiffSuites returns the suites that changed from one lock to another, by name.
func DiffSuites(old, new *Lock) []SuiteChange {
	was, is := suitesByName(old), suitesByName(new)
	var changes []SuiteChange
	for name, before := range was {
		after, there := is[name]
		switch {
		case !there:
			changes = append(changes, SuiteChange{Old: &before})
		case before != after:
			changes = append(changes, SuiteChange{Old: &before, New: &after})
		}
	}
	for name, after := range is {
		if _, there := was[name]; !there {
			changes = append(changes, SuiteChange{New: &after})
		}
	}
	slices.SortFunc(changes, func(a, b SuiteChange) int { return cmp.Compare(a.Name(), b.Name()) })
	return changes
}

func suitesByName(l *Lock) map[string]Suite {
	suites := make(map[string]Suite, len(l.Suites))
	for _, s := range l.Suites {
		suites[s.Name] = s
	}
	return suites
}
