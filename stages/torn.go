package stages

import (
	"io"
	"os"
	"path/filepath"
	"strings"
)

// derivationMark is how the file of a derivation begins (Nix 2.26, src/libstore/derivations.cc).
const derivationMark = "Derive("

// tornDerivations reports whether the store has a derivation that was not written to its end, as
// a power cut leaves it. Nix takes one that is registered as it is, and cannot read it then.
func (r *installation) tornDerivations() bool {
	entries, err := os.ReadDir(r.layout.Store)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".drv") && e.Type().IsRegular() && torn(filepath.Join(r.layout.Store, e.Name())) {
			return true
		}
	}
	return false
}

// torn reports whether a file does not begin and end as that of a derivation does.
func torn(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	head, last := make([]byte, len(derivationMark)), make([]byte, 1)
	if _, err := io.ReadFull(file, head); err != nil || string(head) != derivationMark {
		return true
	}
	if _, err := file.Seek(-1, io.SeekEnd); err != nil {
		return true
	}
	_, err = io.ReadFull(file, last)
	return err != nil || last[0] != ')'
}
