package nixcmd

import (
	"context"
	"slices"
	"strings"
)

// atOnce is how many store paths are named in one command: a path has at most some 300 bytes, and the words of a command
// together at least 128 KiB (execve(2)).
const atOnce = 400

// Invalid returns those of the store paths that are not registered.
func (n Nix) Invalid(ctx context.Context, paths []string) ([]string, error) {
	var invalid []string
	for some := range slices.Chunk(paths, atOnce) {
		out, err := n.Command("nix-store", append([]string{"--check-validity", "--print-invalid"}, some...)...).Output(ctx)
		if err != nil {
			return nil, err
		}
		invalid = append(invalid, strings.Fields(string(out))...)
	}
	return invalid, nil
}
