package closure

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"bootstrap/internal/nar"
)

// Registration returns what `nix-store --dump-db` prints of these paths, and
// `nix-store --register-validity --hash-given` reads: for each of them the path, the digest of its
// contents, their size, the deriver or nothing, how many references there are, and those, a line
// each (src/nix/nix-store/nix-store.cc and src/libstore/store-api.cc in Nix 2.26).
func Registration(paths []Path) []byte {
	var b bytes.Buffer
	for _, p := range paths {
		fmt.Fprintf(&b, "%s\n%s\n%d\n%s\n%d\n", p.Path, p.NarHash.Hex(), p.NarSize, p.Deriver, len(p.References))
		for _, r := range p.References {
			fmt.Fprintln(&b, r)
		}
	}
	return b.Bytes()
}

// ParseRegistration reads what [Registration] returns, from somebody who may not be trusted: the
// paths must be of one store directory, in order, each once, and refer to each other alone.
// Nothing else is accepted, so that a text has one meaning.
func ParseRegistration(text []byte) ([]Path, error) {
	l := &lines{r: bufio.NewReader(bytes.NewReader(text))}
	var paths []Path
	for {
		first, err := l.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		p, err := l.path(first)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", l.n, err)
		}
		paths = append(paths, p)
	}
	return paths, Check(paths)
}

// lines reads lines that end in a newline each.
type lines struct {
	r *bufio.Reader
	n int
}

func (l *lines) next() (string, error) {
	text, err := l.r.ReadString('\n')
	if errors.Is(err, io.EOF) && text != "" {
		err = errors.New("the last line has no end")
	}
	l.n++
	return strings.TrimSuffix(text, "\n"), err
}

// within reads a line that has to be there.
func (l *lines) within() (string, error) {
	text, err := l.next()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return text, err
}

func (l *lines) path(first string) (p Path, err error) {
	p.Path = first
	if _, _, err = split(first); err != nil {
		return p, err
	}
	text, err := l.within()
	if err != nil {
		return p, err
	}
	if p.NarHash, err = nar.Parse(text); err != nil {
		return p, err
	}
	if p.NarHash.Hex() != text {
		return p, fmt.Errorf("%q: is not a digest in 64 lower-case digits", text)
	}
	if p.NarSize, err = l.number(); err != nil {
		return p, err
	}
	if p.Deriver, err = l.within(); err != nil {
		return p, err
	}
	if p.Deriver != "" {
		if _, _, err := split(p.Deriver); err != nil {
			return p, err
		}
	}
	count, err := l.number()
	if err != nil {
		return p, err
	}
	for range count {
		text, err := l.within()
		if err != nil {
			return p, err
		}
		p.References = append(p.References, text)
	}
	return p, nil
}

func (l *lines) number() (int64, error) {
	text, err := l.within()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, fmt.Errorf("%q: is not a number", text)
	}
	return n, nil
}

// Check refuses paths that are not a whole closure in one store directory, in the order of their names.
func Check(paths []Path) error {
	if len(paths) == 0 {
		return errors.New("there are no store paths in it")
	}
	store, _, err := split(paths[0].Path)
	if err != nil {
		return err
	}
	if !slices.IsSortedFunc(paths, byPath) {
		return errors.New("the store paths are not in order")
	}
	there := map[string]bool{}
	for _, p := range paths {
		if there[p.Path] {
			return fmt.Errorf("%q: is there twice", p.Path)
		}
		there[p.Path] = true
	}
	for _, p := range paths {
		for _, other := range []string{p.Path, cmp.Or(p.Deriver, p.Path)} {
			if at, _, err := split(other); err != nil {
				return err
			} else if at != store {
				return fmt.Errorf("%q: is of another store directory than %q", other, paths[0].Path)
			}
		}
		if !slices.IsSorted(p.References) || len(slices.Compact(slices.Clone(p.References))) != len(p.References) {
			return fmt.Errorf("%q: its references are not in order", p.Path)
		}
		for _, r := range p.References {
			if !there[r] {
				return fmt.Errorf("%q: refers to %q, which is missing", p.Path, r)
			}
		}
	}
	return nil
}

func byPath(a, b Path) int { return strings.Compare(a.Path, b.Path) }
