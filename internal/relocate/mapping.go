package relocate

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"zombiezen.com/go/nix/nixbase32"
)

// hashLen is how many characters the hash part of a store path has.
const hashLen = 32

// minDir is the length of the shortest directory that can be found: shorter ones are parts of other words.
const minDir = 8

// Dir is a directory that is compiled into programs, such as the store or Nix's state directory.
type Dir struct{ From, To string }

// MapOptions says what becomes of what.
type MapOptions struct {
	Store Dir               // the store directory
	Dirs  []Dir             // other directories: state, logs, configuration
	Paths map[string]string // the last elements of store paths, from and to; lengths must be equal
	// Shorter allows target directories that are shorter than the source's. They are filled with repeated
	// separators, which is the same path for the system, and another text for programs that compare texts.
	Shorter bool
}

// Map is what becomes of what: checked, and ready for use by several goroutines.
type Map struct {
	dirs   []dir  // the store is the first
	leads  []lead // how they are found; none if there are too many
	kinds  *kinds // for this map's texts
	paths  []pair
	byFrom map[[hashLen]byte]int32
	byTo   map[[hashLen]byte]int32
	chunks chunkTable
	back   func() *Map // the way back, made when it is needed
}

// dir is a directory with its target filled up to the same length.
type dir struct {
	from, to string
	spelled  []spelling
}

// spelling is a directory with its separators escaped. The target is empty if its length differs.
type spelling struct{ from, to string }

// pair is a store path.
type pair struct {
	from, to         string // last elements
	fromFull, toFull string // with the store directory
}

// LengthError says that a target directory does not fit, and which lengths do.
type LengthError struct {
	Dir      Dir
	Min, Max int // bytes
}

func (e *LengthError) Error() string {
	fit := fmt.Sprintf("%d bytes fit", e.Max)
	if e.Min < e.Max {
		fit = fmt.Sprintf("%d to %d bytes fit", e.Min, e.Max)
	}
	return fmt.Sprintf("relocate %s to %s: the target has %d bytes; %s", e.Dir.From, e.Dir.To, len(e.Dir.To), fit)
}

// NewMap checks a map: directories that can be replaced, and hash parts that are different ones on both sides,
// so that a replacement can be undone.
func NewMap(o MapOptions) (*Map, error) {
	m := &Map{byFrom: map[[hashLen]byte]int32{}, byTo: map[[hashLen]byte]int32{}}
	for _, d := range append([]Dir{o.Store}, o.Dirs...) {
		filled, err := fill(d, o.Shorter)
		if err != nil {
			return nil, err
		}
		m.dirs = append(m.dirs, filled)
	}
	for i, a := range m.dirs {
		for j, b := range m.dirs {
			if i != j && (a.from == b.from || strings.HasPrefix(a.from, b.from+"/")) {
				return nil, fmt.Errorf("relocate: %s is in %s: one of them is enough", a.from, b.from)
			}
		}
	}
	m.find()
	if err := m.addPaths(o.Paths); err != nil {
		return nil, err
	}
	m.chunks = newChunkTable(m)
	m.back = sync.OnceValue(m.invert)
	return m, nil
}

// fill checks a directory and its target.
func fill(d Dir, shorter bool) (dir, error) {
	for _, p := range []string{d.From, d.To} {
		if !path.IsAbs(p) || path.Clean(p) != p || p == "/" {
			return dir{}, fmt.Errorf("relocate: directory %q is not an absolute, clean path below /", p)
		}
	}
	for _, c := range []byte(d.From + d.To) {
		if c <= ' ' || c >= 0x7f {
			return dir{}, fmt.Errorf("relocate: %q, for %q, has a character that is spelled in several ways", d.To, d.From)
		}
	}
	if len(d.From) < minDir {
		return dir{}, fmt.Errorf("relocate: %s has %d bytes; less than %d occur inside other words", d.From, len(d.From), minDir)
	}
	if len(d.From) > maxDir {
		return dir{}, fmt.Errorf("relocate: %s has %d bytes, with %d allowed", d.From, len(d.From), maxDir)
	}
	least := len(d.From)
	if shorter {
		least = 2
	}
	if len(d.To) > len(d.From) || len(d.To) < least {
		return dir{}, &LengthError{d, least, len(d.From)}
	}
	f := dir{from: d.From, to: d.To + strings.Repeat("/", len(d.From)-len(d.To))}
	for _, sep := range []string{`\/`, "%2F", "%2f"} {
		s := spelling{strings.ReplaceAll(f.from, "/", sep), strings.ReplaceAll(f.to, "/", sep)}
		if len(s.from) != len(s.to) {
			s.to = ""
		}
		f.spelled = append(f.spelled, s)
	}
	return f, nil
}

// escapes are what separators look like that are escaped, as far as a pair of bytes goes.
var escapes = [][2]byte{{'\\', '/'}, {'%', '2'}}

// find prepares the search for directories.
func (m *Map) find() {
	if m.leads = leads(sources(m.dirs)); len(m.leads)+len(escapes)+1 > maxPairs {
		m.leads = nil
	}
	m.kinds = newKinds(append(append(pairsOf(m.leads), escapes...), sectionPair), true)
}

func sources(dirs []dir) (list []string) {
	for _, d := range dirs {
		list = append(list, d.from)
	}
	return list
}

func targets(dirs []dir) (list []string) {
	for _, d := range dirs {
		list = append(list, d.to)
	}
	return list
}

func (m *Map) addPaths(paths map[string]string) error {
	bases := make([]string, 0, len(paths))
	for from := range paths {
		bases = append(bases, from)
	}
	slices.Sort(bases)
	for _, from := range bases {
		to := paths[from]
		a, errA := hashPart(from)
		b, errB := hashPart(to)
		if err := errors.Join(errA, errB); err != nil {
			return err
		}
		if len(from) != len(to) {
			return fmt.Errorf("relocate: %s and %s have different lengths", from, to)
		}
		if _, ok := m.byFrom[a]; ok {
			return fmt.Errorf("relocate: the hash part of %s is there twice", from)
		}
		if i, ok := m.byTo[b]; ok {
			return fmt.Errorf("relocate: %s and %s become the same", m.paths[i].from, from)
		}
		i := int32(len(m.paths))
		m.byFrom[a], m.byTo[b] = i, i
		m.paths = append(m.paths, pair{from, to, m.dirs[0].from + "/" + from, m.dirs[0].to + "/" + to})
	}
	for i, p := range m.paths {
		if _, ok := m.byFrom[[hashLen]byte([]byte(p.to[:hashLen]))]; ok {
			return fmt.Errorf("relocate: the hash part of %s is a source and a target", p.to)
		}
		name := []byte(p.from)
		m.replaceString(name)
		if string(name) != p.to {
			return fmt.Errorf("relocate: %s cannot become %s: the name is another one", m.paths[i].from, p.to)
		}
	}
	return nil
}

// hashPart returns the hash part of the last element of a store path.
func hashPart(base string) (h [hashLen]byte, err error) {
	if len(base) < hashLen+2 || base[hashLen] != '-' || strings.Contains(base, "/") {
		return h, fmt.Errorf("relocate: %q is not the last element of a store path", base)
	}
	for i := range hashLen {
		if !nixbase32.Is(base[i]) {
			return h, fmt.Errorf("relocate: %q is not the last element of a store path", base)
		}
	}
	return [hashLen]byte([]byte(base)), nil
}

// Inverse returns the map of the way back: from what this one fills up to what it came from.
func (m *Map) Inverse() *Map { return m.back() }

func (m *Map) invert() *Map {
	inv := &Map{byFrom: m.byTo, byTo: m.byFrom, back: func() *Map { return m }}
	for _, d := range m.dirs {
		back := dir{from: d.to, to: d.from}
		for _, s := range d.spelled {
			if s.to != "" { // otherwise it is refused on the way there
				back.spelled = append(back.spelled, spelling{s.to, s.from})
			}
		}
		inv.dirs = append(inv.dirs, back)
	}
	inv.find()
	for _, p := range m.paths {
		inv.paths = append(inv.paths, pair{p.to, p.from, p.toFull, p.fromFull})
	}
	inv.chunks = newChunkTable(inv)
	return inv
}
