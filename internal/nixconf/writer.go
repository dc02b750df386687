package nixconf

import (
	"fmt"

	"bootstrap/internal/prefix"
)

// RenderWriter returns the text of the file that nix.conf includes for those who may write to the
// store. Nix passes over a file that it may not read (2.26, src/libutil/config.cc, parseConfigFiles).
// It fails if a value cannot be written there so that Nix reads it back as it is.
func RenderWriter(l prefix.Layout) ([]byte, error) {
	if err := checkPath("state directory", l.BuildDir()); err != nil {
		return nil, fmt.Errorf("render what is for the writer: %w", err)
	}
	return []byte("# For whoever looks after this store, and for nobody else: whoever may read this file has Nix open the\n" +
		"# store to write, and builds beside it. Written by bootstrap, and written anew each time it installs.\n" +
		"store = local\n" +
		"build-dir = " + l.BuildDir() + "\n"), nil
}
