package transplant

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"bootstrap/internal/closure"
	"bootstrap/internal/drv"
	"bootstrap/internal/fault"
	"bootstrap/internal/nar"
	"bootstrap/internal/nixbundle"
	"bootstrap/internal/prefix"
	"bootstrap/internal/relocate"
	"bootstrap/internal/storelock"
	"bootstrap/internal/tree"
)

// staging is what the name of a store path that is not complete begins with, as in internal/bundle:
// uninstalling and collecting garbage know it.
const staging = ".import-"

// shellFile is the program in the busybox of the package set.
const (
	shellTool = "busybox"
	shellFile = "bin/busybox"
)

// Options say what goes where.
type Options struct {
	Head   nixbundle.Head
	Body   io.Reader
	Layout prefix.Layout    // where to
	Tmp    string           // directory for files without names
	Done   func(done int64) // told of the bytes of what is written; may be nil
}

// Staged is what was made of a bundle, under names that no store path has.
type Staged struct {
	Nix   string            // store path of the Nix, at its new place
	Tools map[string]string // the tools by their attributes, at theirs
	Shell []byte            // the busybox among them, which the package set makes a path of
	Paths []closure.Path    // what was made, in the order of the names

	Counts  map[relocate.Verdict]int // places in all paths
	Reports map[string]*relocate.Report

	root *os.Root
}

// Close closes the store directory.
func (s *Staged) Close() error { return s.root.Close() }

// transplant is one way from one place to another.
type transplant struct {
	Options
	from   recipe
	left   int64
	moved  map[string]string // last elements of paths, from and to
	m      *relocate.Map     // nil if nothing moves
	bundle *nixbundle.Reader
	staged *Staged
}

// Stage reads a bundle to its end, and writes what is in it for its new place. What it wrote of one
// that turns out to be damaged is removed.
func Stage(ctx context.Context, o Options) (s *Staged, err error) {
	root, err := os.OpenRoot(o.Layout.Store)
	if err != nil {
		return nil, err
	}
	t := &transplant{Options: o, from: newRecipe(), left: maxRecipe, staged: &Staged{
		Tools: map[string]string{}, Counts: map[relocate.Verdict]int{}, Reports: map[string]*relocate.Report{}, root: root,
	}}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.staged.Discard(), root.Close())
		}
	}()
	if t.bundle, err = nixbundle.NewReader(o.Body, o.Head); err != nil {
		return nil, err
	}
	defer t.bundle.Close()
	if err := t.all(ctx); err != nil {
		return nil, err
	}
	if _, err := drain(o.Body); err != nil {
		return nil, err
	}
	return t.staged, t.name()
}

// all reads every path.
func (t *transplant) all(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		a, err := t.bundle.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if a.Recipe {
			if err := t.from.add(a, t.left); err != nil {
				return err
			}
			t.left -= a.NarSize
			continue
		}
		if t.moved == nil { // all of the recipe has come
			if err := t.chart(); err != nil {
				return err
			}
		}
		if err := t.one(a); err != nil {
			return err
		}
	}
}

// chart computes what becomes of all names.
func (t *transplant) chart() error {
	h := &t.Head
	store, others := directories(h, t.Layout)
	o := drv.Options{From: drv.Dir(store.From), To: drv.Dir(store.To), Store: t.from}
	if !same(h, t.Layout) {
		for _, d := range others {
			o.Dirs = append(o.Dirs, drv.Move{From: drv.Dir(d.From), To: drv.Dir(d.To)})
		}
	}
	r, err := drv.Transport(o, h.Derivation)
	if err != nil {
		return refused(err)
	}
	t.moved = r.Bases
	if same(h, t.Layout) {
		return nil
	}
	t.m, err = relocate.NewMap(relocate.MapOptions{Store: store, Dirs: others, Paths: r.Bases, Shorter: true})
	return refused(err)
}

// refused makes an error of what cannot be moved, which is no fault of the file's.
func refused(err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.Unfit, err, "nothing was registered; a prefix of the same length, or that of the bundle itself, may do; `bootstrap --prefix` without --from builds a Nix")
}

// one writes one path.
func (t *transplant) one(a *nixbundle.Archive) error {
	to, err := t.to(a.Path.Path)
	if err != nil {
		return err
	}
	p := closure.Path{Path: to}
	if a.Deriver != "" {
		if p.Deriver, err = t.to(a.Deriver); err != nil {
			return err
		}
	}
	for _, ref := range a.References {
		if ref, err = t.to(ref); err != nil {
			return err
		}
		p.References = append(p.References, ref)
	}
	slices.Sort(p.References)
	name := staging + p.Base()
	if err := tree.Remove(t.staged.root, name); err != nil {
		return err
	}
	p.NarHash, p.NarSize = a.NarHash, a.NarSize
	t.staged.Paths = append(t.staged.Paths, p)
	if t.m == nil {
		return nar.Unpack(t.staged.root, name, t.counted(a))
	}
	report, err := t.rewrite(a, name)
	if err != nil {
		return err
	}
	last := &t.staged.Paths[len(t.staged.Paths)-1]
	last.NarHash, last.NarSize = report.Result.Sum, report.Result.Size
	t.staged.Reports[p.Path] = report
	for v, n := range report.Counts {
		t.staged.Counts[v] += n
	}
	return nil
}

// rewrite writes a path with all that is in it moved. The engine digests what it reads, so that the archive
// need not do it as well.
func (t *transplant) rewrite(a *nixbundle.Archive, name string) (*relocate.Report, error) {
	o := relocate.Options{Map: t.m, References: []string{}, Spill: relocate.TempSpill(t.Tmp)}
	for _, ref := range a.References {
		o.References = append(o.References, base(ref))
	}
	r, w := io.Pipe()
	unpacked := make(chan error, 1)
	go func() {
		err := nar.Unpack(t.staged.root, name, r)
		r.CloseWithError(err)
		unpacked <- err
	}()
	report, err := relocate.Relocate(w, t.counted(a.Undigested()), o)
	if err == nil || report.Source.Size == a.NarSize { // else it broke off, or was refused before its end
		err = cmp.Or(a.Check(report.Source.Sum), err)
	}
	w.CloseWithError(err)
	// An archive that breaks off is what the engine has made of its error.
	if uerr := <-unpacked; err == nil {
		err = uerr
	}
	var no *relocate.RefusedError
	if errors.As(err, &no) {
		return nil, refused(fmt.Errorf("%s: %w", a.Path.Path, no))
	}
	return report, err
}

func (t *transplant) counted(r io.Reader) io.Reader {
	if t.Done == nil {
		return r
	}
	return &counted{r, t.Done}
}

type counted struct {
	r    io.Reader
	done func(int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done(int64(n))
	return n, err
}

// to returns where a store path goes.
func (t *transplant) to(p string) (string, error) {
	moved, ok := t.moved[base(p)]
	if !ok {
		return "", &nixbundle.FormatError{Reason: fmt.Sprintf("nothing in it makes %q", p)}
	}
	return t.Layout.Store + "/" + moved, nil
}

// name says what the parts are called that the installer knows.
func (t *transplant) name() (err error) {
	s := t.staged
	if s.Nix, err = t.to(t.Head.Nix); err != nil {
		return err
	}
	for attribute, p := range t.Head.Tools {
		if s.Tools[attribute], err = t.to(p); err != nil {
			return err
		}
	}
	if s.Tools[shellTool] == "" {
		return &nixbundle.FormatError{Reason: "it has no " + shellTool}
	}
	slices.SortFunc(s.Paths, func(a, b closure.Path) int { return strings.Compare(a.Path, b.Path) })
	s.Shell, err = t.from.file(base(t.Head.Tools[shellTool]), shellFile)
	return err
}

// Discard removes what was written.
func (s *Staged) Discard() error {
	var errs []error
	for _, p := range s.Paths {
		errs = append(errs, tree.Remove(s.root, staging+p.Base()))
	}
	return errors.Join(errs...)
}

// Commit gives paths their names, but for those to be kept; what is there under a name goes. Locks as
// Nix has them are held meanwhile, and waiting is told if somebody else has one.
func (s *Staged) Commit(ctx context.Context, keep func(closure.Path) bool, waiting func()) (err error) {
	var names []string
	for _, p := range s.Paths {
		names = append(names, p.Base())
	}
	locks, err := storelock.Take(ctx, s.root, names, waiting)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, locks.Release()) }()
	for _, p := range s.Paths {
		staged := staging + p.Base()
		if keep(p) || s.has(p) {
			err = tree.Remove(s.root, staged)
		} else if err = tree.Remove(s.root, p.Base()); err == nil {
			err = s.root.Rename(staged, p.Base())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// has reports whether a path is there with the contents that it is to have.
func (s *Staged) has(p closure.Path) bool {
	got, _, err := nar.Sum(s.root, p.Base())
	return err == nil && got == p.NarHash
}
