package transplant

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"bootstrap/internal/closure"
	"bootstrap/internal/drv"
	"bootstrap/internal/fault"
	"bootstrap/internal/nar"
	"bootstrap/internal/nixbundle"
	"bootstrap/internal/relocate"

	"zombiezen.com/go/nix/nixbase32"
)

// Movable moves a Nix and all that it refers to from its store directory, which is open, to a place that
// nobody has, and keeps nothing. One that is refused can be moved nowhere: a piece of its own directory
// stands in machine code by chance, say.
func Movable(ctx context.Context, h *nixbundle.Head, root *os.Root, c *closure.Closure) error {
	o := relocate.MapOptions{Store: elsewhere(h.Store), Paths: map[string]string{}}
	for _, dir := range []string{h.State, h.Log, h.Conf} {
		o.Dirs = append(o.Dirs, elsewhere(dir))
	}
	for _, p := range c.Paths {
		o.Paths[p.Base()] = otherHash(p.Base())
	}
	m, err := relocate.NewMap(o)
	if err != nil {
		return unmovable(h, err)
	}
	made, err := nixbundle.Made(c, h.Derivation, h.Nix)
	if err != nil {
		return err
	}
	for _, p := range made {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := nar.Read(root, p.Base(), func(r io.Reader) error {
			_, err := relocate.Relocate(io.Discard, r, relocate.Options{Map: m})
			return err
		})
		var no *relocate.RefusedError
		switch {
		case errors.As(err, &no):
			return unmovable(h, fmt.Errorf("%s: %w", p.Path, no))
		case err != nil:
			return fmt.Errorf("bundle: %q: %w", p.Path, err)
		}
	}
	return nil
}

func unmovable(h *nixbundle.Head, err error) error {
	return fault.New(fault.Unfit, fmt.Errorf("prefix of %q: its Nix cannot be moved: %w", h.Store, err),
		"a prefix with another name, or of another length, may do; `scripts/bundles -n LENGTH` prints one. "+
			"`bootstrap export tar` and `bootstrap cache push` take this one to prefixes of the same store directory")
}

// elsewhere is a directory as long as another one, and like no other.
func elsewhere(dir string) relocate.Dir {
	turned := func(c, first, size rune) rune { return first + (c-first+size/2)%size }
	return relocate.Dir{From: dir, To: strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z':
			return turned(c, 'a', 26)
		case 'A' <= c && c <= 'Z':
			return turned(c, 'A', 26)
		case '0' <= c && c <= '9':
			return turned(c, '0', 10)
		}
		return c
	}, dir)}
}

// otherHash is the last element of a store path with another digest.
func otherHash(base string) string {
	sum := sha256.Sum256([]byte(base))
	digest := nixbase32.EncodeToString(sum[:nixbase32.DecodedLen(drv.HashLen)])
	return digest + base[drv.HashLen:]
}
