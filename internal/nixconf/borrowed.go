package nixconf

import (
	"bytes"
	"fmt"
	"strings"
)

// Borrowed is what builds see of one other store.
type Borrowed struct {
	Store   string   // its store directory
	Sandbox []string // words of extra-sandbox-paths
}

// RenderBorrowed returns the text of the file that nix.conf includes for what is borrowed.
// It fails if a value cannot be written there so that Nix reads it back as it is.
func RenderBorrowed(all []Borrowed) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("# What builds see of other stores.\n#\n" +
		"# Written by \"bootstrap borrow\" and \"bootstrap return\", which write it anew: what you change here is\n" +
		"# lost then. \"?\": without it, no build would begin while that path is missing.\n")
	for _, one := range all {
		if err := checkPath("store directory", one.Store); err != nil {
			return nil, fmt.Errorf("render what is borrowed: %w", err)
		}
		for _, word := range one.Sandbox {
			if err := checkWord("sandbox path", word); err != nil {
				return nil, fmt.Errorf("render what is borrowed: %w", err)
			}
		}
		fmt.Fprintf(&b, "\n# Of %s.\nextra-sandbox-paths = %s\n", one.Store, strings.Join(one.Sandbox, " "))
	}
	return b.Bytes(), nil
}
