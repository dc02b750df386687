package nixcmd

import (
	"context"
	"regexp"
)

// differs matches what Nix says of an output that was built again and has other contents
// (Nix 2.26: src/libstore/unix/build/local-derivation-goal.cc).
const differs = `derivation '[^']+' may not be deterministic: output '[^']+' differs`

// Rebuild builds the derivation of an attribute of a file once more, by whatever else the store has,
// and reports whether the result is the same, byte for byte. The output in the store stays what it is.
func (n Nix) Rebuild(ctx context.Context, file, attribute string) (same bool, err error) {
	pattern := regexp.MustCompile(differs)
	different := false
	cmd := n.Command("nix", "build", "--rebuild", "--no-link", "--file", file, attribute)
	cmd.OnLine = func(line string) { different = different || pattern.MatchString(line) }
	err = cmd.Run(ctx)
	if different && ctx.Err() == nil {
		return false, nil
	}
	return err == nil, err
}
