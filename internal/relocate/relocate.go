package relocate

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/maphash"
	"io"
	"slices"
	"strings"
)

// Allowance lets a hazard pass: the caller knows better, or has tried.
type Allowance struct {
	Hazard Hazard
	File   string // a pattern as [path.Match] has it, for the file's name or its last element
}

// Options says how one store object is relocated.
type Options struct {
	Map *Map
	// References are what the source refers to, as last elements of paths, of those in the map. If it is not nil,
	// they must be what is found.
	References []string
	// KeepBare leaves the store directory as it is where no store path follows it, and refuses it in files that
	// AllowBare does not name.
	KeepBare  bool
	AllowBare []string // patterns as in [Allowance]
	Allow     []Allowance
	// TargetMayOccur allows the target's directories in the source. There is no way back then.
	TargetMayOccur bool
	// Spill is for renamed entries that are too large to be held in memory. Without it they are refused.
	Spill func() (Spill, error)
}

// Relocate reads a NAR from r and writes it, relocated, to w. If r is an [io.ReadSeeker], and can seek, names are read
// first, so that every order of entries can be had; otherwise some need an [OrderError].
//
// The report is returned with every error too, as far as it goes. What cannot be relocated gives a [RefusedError].
// What was written counts only if there is no error.
func Relocate(w io.Writer, r io.Reader, o Options) (*Report, error) {
	e := &engine{
		o: o, report: &Report{}, tally: newTally(o.Map), check: newChecker(o.Map), lists: newLists(),
		in: &counter{sum: sha256.New()}, out: &counter{sum: sha256.New()}, store: &store{open: o.Spill},
	}
	err := e.run(w, r)
	return e.report, errors.Join(err, e.store.close())
}

// engine is one relocation.
type engine struct {
	o       Options
	report  *Report
	refused []Finding
	tally   *tally
	check   *checker
	lists   *lists
	in, out *counter
	store   *store
	r       narReader
	content *content
	names   *content        // for names and targets of links
	back    *wayBack        // for machine code; made when there is some
	loads   []load          // of the last file; room for those of the next one
	all     map[string]bool // directories of which all entries are held
	written int             // entries
}

// counter hashes and counts what goes by.
type counter struct {
	sum hash.Hash
	n   int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.sum.Write(p)
}

func (c *counter) digest() Digest { return Digest{[sha256.Size]byte(c.sum.Sum(nil)), c.n} }

func (e *engine) run(w io.Writer, r io.Reader) error {
	if s, ok := r.(io.ReadSeeker); ok {
		if err := e.outline(s); err != nil {
			return err
		}
	}
	e.r = narReader{r: bufio.NewReaderSize(io.TeeReader(r, e.in), 32<<10)}
	out := bufio.NewWriterSize(io.MultiWriter(w, e.out, e.check), 64<<10)
	e.content = &content{m: e.o.Map, tally: e.tally, note: e.note, drift: drift{seed: maphash.MakeSeed()}}
	e.names = &content{m: e.o.Map, tally: e.tally, texts: true, keep: e.o.KeepBare}
	const magic = "nix-archive-1"
	if err := e.r.all(magic); err != nil {
		return err
	}
	if err := (narWriter{out}).text(magic); err != nil {
		return err
	}
	if err := e.node(out, "", 0); err != nil {
		return err
	}
	if _, err := e.r.r.ReadByte(); !errors.Is(err, io.EOF) {
		return errors.Join(errors.New("nar: something follows the archive"), err)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return e.verdict()
}

func (e *engine) outline(s io.ReadSeeker) error {
	start, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil // it is a pipe
	}
	if e.all, err = outline(e.o.Map, s); err != nil {
		return err
	}
	_, err = s.Seek(start, io.SeekStart)
	return err
}

// verdict holds the result against the invariants.
func (e *engine) verdict() error {
	e.report.Source, e.report.Result = e.in.digest(), e.out.digest()
	for _, f := range e.lists.stale() {
		e.note(f)
	}
	for _, f := range e.check.compare(e.tally, e.o.TargetMayOccur) {
		e.note(f)
	}
	e.report.References = e.check.references()
	if e.report.Source.Size != e.report.Result.Size || e.written != e.report.Entries {
		e.note(Finding{Refused, Invariant, "", -1, fmt.Sprintf("%d bytes became %d, and %d entries %d",
			e.report.Source.Size, e.report.Result.Size, e.report.Entries, e.written)})
	}
	if e.o.References != nil {
		want := make([]string, 0, len(e.o.References))
		for _, ref := range e.o.References {
			if i, ok := e.o.Map.index(ref); ok {
				want = append(want, e.o.Map.paths[i].to)
			}
		}
		slices.Sort(want)
		if got := e.report.References; !slices.Equal(got, slices.Compact(want)) {
			e.note(Finding{Refused, Invariant, "", -1, fmt.Sprintf("the result refers to %s, not %s",
				strings.Join(got, " "), strings.Join(want, " "))})
		}
	}
	slices.SortStableFunc(e.report.Findings, compareFindings)
	slices.SortStableFunc(e.refused, compareFindings)
	if len(e.refused) > 0 {
		return &RefusedError{e.refused}
	}
	return nil
}

// index finds a path of the map by its last element at the source.
func (m *Map) index(base string) (int32, bool) {
	if len(base) < hashLen {
		return 0, false
	}
	i, ok := m.byFrom[[hashLen]byte([]byte(base))]
	return i, ok && m.paths[i].from == base
}

// note puts a finding into the report.
func (e *engine) note(f Finding) {
	switch {
	case f.Verdict == Left && f.Hazard == Bare && !in(e.o.AllowBare, f.File):
		f.Verdict = Refused
	case f.Verdict == Refused && f.Hazard != Invariant:
		for _, a := range e.o.Allow {
			if a.Hazard == f.Hazard && in([]string{a.File}, f.File) {
				f.Verdict = Left
				break
			}
		}
	}
	e.report.add(f)
	if f.Verdict == Refused && len(e.refused) < maxFindings {
		e.refused = append(e.refused, f)
	}
}
