package drv

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"
	"strings"

	"zombiezen.com/go/nix/nar"
)

// maxText is the size up to which a source is looked at as a text; what is larger is known by its NAR alone.
const maxText = 16 << 20

// source moves one store object that no derivation makes. What kind it is, is proven where it comes from:
// the path must follow from the content.
func (m *mover) source(base string) error {
	what := string(m.from) + "/" + base
	name := base[HashLen+1:]
	content := &bytes.Buffer{} // the NAR, as long as it may be a text
	sum := sha256.New()
	finder := &finder{what: string(m.from) + "/"}
	if err := m.store.NAR(io.MultiWriter(sum, finder, &atMost{content, maxText}), base); err != nil {
		return err
	}
	narSum := Sum(sum.Sum(nil))
	if m.from.Source(name, narSum, nil, false) == what {
		if finder.found && m.from != m.to {
			if err := m.plainSource(what, content.Bytes()); err != nil {
				return err
			}
		}
		return m.place(base, m.to.Source(name, narSum, nil, false))
	}
	file, ok := singleFile(content.Bytes())
	if !ok {
		return refuse(what, Unproven, "it is not known by the digest of its NAR, and no single file")
	}
	fileSum := sha256.Sum256(file)
	flat := Fixed{Algo: "sha256", Hash: hex.EncodeToString(fileSum[:])}
	if m.from.Fixed(name, flat) == what {
		if finder.found && m.from != m.to {
			if err := m.plainSource(what, file); err != nil {
				return err
			}
		}
		return m.place(base, m.to.Fixed(name, flat))
	}
	return m.text(base, file, fileSum)
}

// plainSource refuses a source that names a path of this store: it was made of something at this prefix,
// and would be another one elsewhere.
func (m *mover) plainSource(what string, content []byte) error {
	deps, err := m.named(what, place{kind: "its content"}, string(content), nil)
	if err == nil && len(deps) > 0 {
		return refuse(what, Unproven, "its content names %s", deps[0])
	}
	return err
}

// text moves what builtins.toFile makes: the references are among the paths that it names.
func (m *mover) text(base string, file []byte, sum Sum) error {
	what := string(m.from) + "/" + base
	deps, err := m.named(what, place{kind: "its text"}, string(file), nil)
	if err != nil {
		return err
	}
	slices.Sort(deps)
	deps = slices.Compact(deps)
	refs, ok := deps, m.isText(base, sum, deps)
	if !ok && m.isText(base, sum, nil) {
		refs, ok = nil, true
	}
	if !ok {
		return refuse(what, Unproven, "its path follows neither from its content nor from that and what it names")
	}
	if err := m.load(nil); err != nil { // .drv files that only this text names
		return err
	}
	if err := m.fixedFirst(); err != nil {
		return err
	}
	for _, dep := range deps {
		if err := m.visit(dep); err != nil {
			return err
		}
	}
	moved := make([]string, 0, len(refs))
	for _, dep := range refs {
		moved = append(moved, string(m.to)+"/"+m.bases[dep])
	}
	slices.Sort(moved)
	text := []byte(rewrite(string(file), m.known, m.replacer))
	p := m.to.Text(base[HashLen+1:], sha256.Sum256(text), moved)
	m.texts[p[len(m.to)+1:]] = text
	return m.place(base, p)
}

// isText says whether a path follows from a text and what it refers to.
func (m *mover) isText(base string, sum Sum, refs []string) bool {
	paths := make([]string, len(refs))
	for i, r := range refs {
		paths[i] = string(m.from) + "/" + r
	}
	return m.from.Text(base[HashLen+1:], sum, paths) == string(m.from)+"/"+base
}

// singleFile returns the content of a NAR of one regular file that is not executable.
func singleFile(data []byte) ([]byte, bool) {
	r := nar.NewReader(bytes.NewReader(data))
	h, err := r.Next()
	if err != nil || h.Mode&0o111 != 0 || !h.Mode.IsRegular() {
		return nil, false
	}
	content, err := io.ReadAll(r)
	if err != nil || int64(len(content)) != h.Size {
		return nil, false
	}
	_, err = r.Next()
	return content, err == io.EOF
}

// atMost keeps the first n bytes.
type atMost struct {
	b *bytes.Buffer
	n int
}

func (a *atMost) Write(p []byte) (int, error) {
	a.b.Write(p[:min(len(p), a.n-a.b.Len())])
	return len(p), nil
}

// finder says whether a text went by.
type finder struct {
	what  string
	tail  string
	found bool
}

func (f *finder) Write(p []byte) (int, error) {
	if f.found {
		return len(p), nil
	}
	edge := f.tail + string(p[:min(len(p), len(f.what)-1)])
	f.found = strings.Contains(edge, f.what) || bytes.Contains(p, []byte(f.what))
	if len(p) >= len(f.what)-1 {
		edge = string(p)
	}
	f.tail = edge[max(0, len(edge)-len(f.what)+1):]
	return len(p), nil
}
