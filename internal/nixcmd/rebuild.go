package nixcmd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// differs matches what Nix says of an output that was built again and has other contents
// (Nix 2.26: src/libstore/unix/build/local-derivation-goal.cc).
const differs = `derivation '[^']+' may not be deterministic: output '[^']+' differs`

// Rebuild builds the derivation of an attribute of a file once more, by whatever else the store has,
// and reports whether the result is the same as the output in the store, byte for byte. That one stays
// what it is.
func (n Nix) Rebuild(ctx context.Context, file, attribute, output string) (same bool, err error) {
	if err := n.DropUnfinished(ctx, output); err != nil {
		return false, err
	}
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

// DropUnfinished removes what a Nix that was killed may have left while it built outputs once more.
// Without a sandbox it builds them at other paths, and writes them again with the right names in them
// beside those, in a file or directory that must not be there (Nix 2.26:
// src/libstore/unix/build/local-derivation-goal.cc, rewriteOutput). Nobody else may be building them.
func (n Nix) DropUnfinished(ctx context.Context, outputs ...string) error {
	for _, output := range outputs {
		_, name, _ := strings.Cut(filepath.Base(output), "-")
		entries, err := os.ReadDir(filepath.Dir(output))
		if err != nil {
			return err
		}
		for _, e := range entries {
			digest, rest, _ := strings.Cut(e.Name(), "-")
			path := filepath.Join(filepath.Dir(output), e.Name())
			if rest != name+".tmp" || len(digest) != digestChars || n.Registered(ctx, path) {
				continue
			}
			if err := removeTree(path); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// digestChars is how many characters of a store path's name are its digest.
const digestChars = 32

// removeTree removes a tree whose directories may not be written to.
func removeTree(path string) error {
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return os.Chmod(name, 0o700)
	})
	return errors.Join(err, os.RemoveAll(path))
}
