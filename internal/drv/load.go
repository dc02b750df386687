package drv

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
)

// node is a derivation of the closure.
type node struct {
	base  string // of its .drv file, where it comes from
	drv   *Derivation
	fixed bool
	early bool     // its path depends on nothing that has to be moved first
	deps  []string // bases of .drv files and sources that come before it
	state int      // of the walk in [mover.visit]
}

// load reads the closure of .drv files, and what their texts name without depending on it.
func (m *mover) load(roots []string) error {
	for _, p := range roots {
		base, err := m.from.base(p)
		if err != nil {
			return err
		}
		m.want(base)
	}
	// Texts are searched once all outputs of what is known so far are known; that may bring in more.
	for {
		if err := m.readQueue(); err != nil {
			return err
		}
		if m.searched == len(m.order) {
			return nil
		}
		for ; m.searched < len(m.order); m.searched++ {
			if err := m.search(m.nodes[m.order[m.searched]]); err != nil {
				return err
			}
		}
	}
}

// want puts a .drv file on the list of what is to be read.
func (m *mover) want(base string) {
	if _, ok := m.nodes[base]; !ok {
		m.nodes[base] = nil
		m.queue = append(m.queue, base)
	}
}

func (m *mover) readQueue() error {
	for ; len(m.queue) > 0; m.queue = m.queue[1:] {
		if err := m.read(m.queue[0]); err != nil {
			return err
		}
	}
	return nil
}

// read parses a .drv file, proves that its path is the one its text gives, and asks for what it depends on.
func (m *mover) read(base string) error {
	what := string(m.from) + "/" + base
	name, ok := drvName(base)
	if !ok {
		return refuse(what, Malformed, "its name does not end in .drv")
	}
	text, err := m.store.Derivation(base)
	if err != nil {
		return err
	}
	d, err := Parse(name, text)
	if err != nil {
		return refuse(what, Malformed, "%v", err)
	}
	k, err := d.Kind()
	if errors.Is(err, ErrDeferred) || errors.Is(err, ErrFloating) || errors.Is(err, ErrImpure) {
		return refuse(what, Dynamic, "%v", err)
	} else if err != nil {
		return refuse(what, Malformed, "%v", err)
	}
	n := &node{base: base, drv: d, fixed: k == FixedOutput}
	n.early = n.fixed
	eachHash(name, func(int) bool { n.early = false; return true })
	for _, in := range d.Inputs {
		b, err := m.from.base(in.Path)
		if err != nil {
			return refuse(what, Malformed, "%v", err)
		}
		n.deps = append(n.deps, b)
		m.want(b)
	}
	for _, s := range d.Sources {
		b, err := m.from.base(s)
		if err != nil {
			return refuse(what, Malformed, "%v", err)
		}
		if strings.HasSuffix(b, ".drv") {
			m.want(b)
		}
		n.deps = append(n.deps, b)
	}
	if p := m.from.Text(name+".drv", sha256.Sum256(text), d.references()); p != what {
		return refuse(what, NotComputed, "its text gives %s", p)
	}
	if !d.namesItsOutputs() {
		return refuse(what, Malformed, "a variable that is called like an output has another value")
	}
	for _, o := range d.Outputs {
		b, err := m.from.base(o.Path)
		if err != nil {
			return refuse(what, Malformed, "%v", err)
		}
		m.makers[b[:HashLen]] = append(m.makers[b[:HashLen]], base)
	}
	m.hashes[base[:HashLen]] = base
	m.nodes[base] = n
	m.order = append(m.order, base)
	return nil
}

// search looks through a derivation's strings for store paths that it does not depend on: their context was discarded.
func (m *mover) search(n *node) error {
	own := map[string]bool{}
	for _, o := range n.drv.Outputs {
		own[o.Path[len(m.from)+1:][:HashLen]] = true
	}
	what := string(m.from) + "/" + n.base
	err := n.drv.strings(func(where place, text string) error {
		deps, err := m.named(what, where, text, own)
		for _, dep := range deps {
			if !slices.Contains(n.deps, dep) {
				n.deps = append(n.deps, dep)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return m.sortedByHash(n)
}

// named returns the bases of what a text names: .drv files, makers of outputs, sources.
// own are hash parts that the text's owner computes itself.
func (m *mover) named(what string, where place, text string, own map[string]bool) (deps []string, err error) {
	if err := m.discover(text); err != nil {
		return nil, err
	}
	var covered []int // where a store directory stands before a known hash part
	prefix := string(m.from) + "/"
	eachHash(text, func(at int) bool {
		if err != nil {
			return true
		}
		hash := text[at : at+HashLen]
		inStore := strings.HasSuffix(text[:at], prefix)
		dep, ok := "", own[hash]
		if !ok {
			dep, ok, err = m.owner(hash)
		}
		switch {
		case err != nil:
			return true
		case !ok && inStore && strings.HasPrefix(text[at+HashLen:], "-"):
			err = refuse(what, Absent, "%s names %s", where, text[at-len(prefix):at+HashLen])
			return true
		case !ok:
			return false
		case !inStore && mangled(text[:at], m.from):
			err = refuse(what, Mangled, "%s has %q", where, text[max(0, at-len(prefix)-8):at+HashLen])
			return true
		}
		if inStore {
			covered = append(covered, at-len(prefix))
		}
		if dep != "" {
			deps = append(deps, dep)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	return deps, m.bare(what, where, text, covered)
}

// discover reads the .drv files that a text names and that were not known: their outputs may be named there too.
func (m *mover) discover(text string) (err error) {
	eachHash(text, func(at int) bool {
		if err == nil {
			_, _, err = m.owner(text[at : at+HashLen])
		}
		return false
	})
	if err != nil {
		return err
	}
	return m.readQueue()
}

// owner finds whom a hash part belongs to: a maker of an output, or a source or .drv file of the store, which is
// then read too. A hash part that stands without the store directory, of an output that was not built and that
// no derivation of the closure makes, looks like any other text, and stays.
func (m *mover) owner(hash string) (dep string, ok bool, err error) {
	if makers := m.makers[hash]; len(makers) > 0 {
		// A fixed output is known beforehand, and has many makers, of which some may come later.
		if m.nodes[makers[0]].early {
			return "", true, nil
		}
		return makers[0], true, nil
	}
	if base, ok := m.hashes[hash]; ok {
		return base, true, nil
	}
	base, err := m.store.Find(hash)
	if err != nil || base == "" {
		return "", false, err
	}
	m.hashes[hash] = base
	if strings.HasSuffix(base, ".drv") {
		m.want(base)
	}
	return base, true, nil
}

// bare counts the occurrences of the directories that no known hash part follows, and refuses those
// that Nix cannot have put there.
func (m *mover) bare(what string, where place, text string, covered []int) error {
	for i, d := range m.moves {
		if i > 0 {
			covered = nil
		}
		for at := 0; ; {
			next := strings.Index(text[at:], string(d.From))
			if next < 0 {
				break
			}
			at += next
			end := at + len(d.From)
			if len(covered) > 0 && covered[0] == at {
				covered = covered[1:]
				at = end
				continue
			}
			m.bareHits++
			if why := bareHit(text, d.From, at); why != "" && d.From != d.To {
				return refuse(what, InsideWord, "%s has %s, but %s", where, d.From, why)
			}
			if short := m.shortened(text[end:]); i == 0 && short != "" {
				return refuse(what, Truncated, "%s has %s/%s", where, d.From, short)
			}
			at = end
		}
	}
	return nil
}

// shortened returns the beginning of a known hash part that follows a store directory, if it is one.
func (m *mover) shortened(rest string) string {
	rest, ok := strings.CutPrefix(rest, "/")
	if !ok {
		return ""
	}
	n := 0
	for n < len(rest) && isBase32[rest[n]] {
		n++
	}
	const least = 4 // shorter ones are words, like "lib"
	if n < least || n >= HashLen {
		return ""
	}
	for hash := range m.makers {
		if hash[:n] == rest[:n] {
			return rest[:n]
		}
	}
	for hash := range m.hashes {
		if hash[:n] == rest[:n] {
			return rest[:n]
		}
	}
	return ""
}

// sortedByHash refuses names with known hash parts: Nix sorts by them, so their order would be another one.
func (m *mover) sortedByHash(n *node) error {
	what := string(m.from) + "/" + n.base
	check := func(where, name string) (err error) {
		eachHash(name, func(at int) bool {
			if _, ok, e := m.owner(name[at : at+HashLen]); e != nil || ok {
				err = errors.Join(e, refuse(what, KeyedByHash, "%s %q", where, name))
			}
			return err != nil
		})
		return err
	}
	for _, v := range n.drv.Env {
		if err := check("variable", v.Name); err != nil {
			return err
		}
		if v.Name != "__json" {
			continue
		}
		for _, key := range jsonKeys(v.Value) {
			if err := check("attribute", key); err != nil {
				return err
			}
		}
	}
	return nil
}

// jsonKeys returns the names of all attributes in a JSON text, as far as it is one.
func jsonKeys(text string) []string {
	var keys []string
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.UseNumber()
	type level struct{ object, key bool }
	var stack []level
	for {
		token, err := dec.Token()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				return nil
			}
			return keys
		}
		top := len(stack) - 1
		if d, ok := token.(json.Delim); ok && (d == '}' || d == ']') {
			stack = stack[:top]
			continue
		}
		if top >= 0 && stack[top].object {
			stack[top].key = !stack[top].key
			if key, ok := token.(string); ok && stack[top].key {
				keys = append(keys, key)
			}
		}
		if d, ok := token.(json.Delim); ok {
			stack = append(stack, level{object: d == '{'})
		}
	}
}
