package patches

import (
	_ "embed"
	"encoding/json"
	"fmt"
)

// Built is a source of Nix that a whole installation was made from, both compiles and the proof
// included. A series none of whose versions is among them is only known to apply.
type Built struct {
	Nix          string `json:"nix"`              // version
	Source       string `json:"source"`           // the file, or the commit it is of
	SHA256       string `json:"sha256,omitempty"` // of the file, where others can get the very same
	Architecture string `json:"architecture"`     // in Debian's words
	Host         string `json:"host"`             // version of the host nix
	Tested       bool   `json:"tested,omitempty"` // the test command does it every time
}

//go:embed built.json
var built []byte

// AllBuilt returns what was built, of which docs/VERSIONS.md has the particulars.
func AllBuilt() ([]Built, error) {
	var all []Built
	if err := json.Unmarshal(built, &all); err != nil {
		return nil, fmt.Errorf("built.json: %w", err)
	}
	return all, nil
}
