package drv

import "fmt"

// Reason says why something cannot be transported.
type Reason string

// The reasons.
const (
	NotDistinctive Reason = "prefix is not distinctive"        // it may stand in a text without Nix having put it there
	InsideWord     Reason = "prefix inside a longer word"      // so it was not Nix who put it there
	Dynamic        Reason = "outputs are not known beforehand" // floating, deferred, impure
	NotComputed    Reason = "path is not the computed one"     // the store has it under another name
	Unproven       Reason = "source of an unknown kind"        // input-addressed, say
	Absent         Reason = "names what the store lacks"
	Truncated      Reason = "a shortened hash"
	Mangled        Reason = "store path in a changed spelling" // escaped, or with other separators
	KeyedByHash    Reason = "names are sorted by a hash"
	Cycle          Reason = "texts name each other in a cycle"
	Malformed      Reason = "not a derivation that Nix writes"
)

// RefusedError says what cannot be transported, and why.
type RefusedError struct {
	What   string // a store path or a prefix
	Reason Reason
	Detail string
}

func (e *RefusedError) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("transport %s: %s", e.What, e.Reason)
	}
	return fmt.Sprintf("transport %s: %s: %s", e.What, e.Reason, e.Detail)
}

func refuse(what string, why Reason, format string, args ...any) error {
	return &RefusedError{what, why, fmt.Sprintf(format, args...)}
}
