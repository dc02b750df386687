package substitute

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"bootstrap/internal/drv"
	"bootstrap/internal/relocate"
)

// moved is a closure of derivations at both store directories.
type moved struct {
	there   map[string]string // last elements of paths there, by those here
	here    map[string]string // the other way round
	mapping func() (*mapping, error)
}

// mapping is what is replaced in what comes from there.
type mapping struct {
	*relocate.Map
	digest string
}

func newMoved(x *origins, r *drv.Result) *moved {
	m := &moved{there: r.Bases, here: make(map[string]string, len(r.Bases))}
	for here, there := range r.Bases {
		m.here[there] = here
	}
	beside := besides(x, r)
	m.mapping = sync.OnceValues(func() (*mapping, error) { return x.mapping(m.here, beside) })
	return m
}

// besides says whether anything in a closure names a directory beside the store: if nothing does, such a name in what was
// built comes from a source, and would be the same here.
func besides(x *origins, r *drv.Result) bool {
	for _, base := range r.Derivations {
		if recipe := x.recipes[base]; recipe == nil || recipe.beside {
			return true // one that has come since the store was listed may name them
		}
	}
	for base, text := range r.Texts {
		if !strings.HasSuffix(base, ".drv") && slices.ContainsFunc(x.beside, func(m drv.Move) bool { return strings.Contains(string(text), string(m.To)) }) {
			return true
		}
	}
	return false
}

// mapping returns the map for paths from there, with the directories beside the store or without.
func (x *origins) mapping(paths map[string]string, beside bool) (*mapping, error) {
	o := relocate.MapOptions{
		Store: relocate.Dir{From: string(x.from), To: string(x.store)}, Paths: paths, Shorter: x.shorter,
	}
	if beside {
		for _, m := range x.beside {
			o.Dirs = append(o.Dirs, relocate.Dir{From: string(m.To), To: string(m.From)})
		}
	}
	m, err := relocate.NewMap(o)
	if err != nil {
		return nil, proof("%v", err)
	}
	sum := sha256.New()
	for _, d := range append([]relocate.Dir{o.Store}, o.Dirs...) {
		fmt.Fprintf(sum, "%s\t%s\n", d.From, d.To)
	}
	for _, from := range slices.Sorted(maps.Keys(paths)) {
		fmt.Fprintf(sum, "%s\t%s\n", from, paths[from])
	}
	return &mapping{m, hex.EncodeToString(sum.Sum(nil))}, nil
}
