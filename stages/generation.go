package stages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/lineage"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/prefix"
	"bootstrap/internal/receipt"

	"golang.org/x/sys/unix"
)

// generation is the state of the installation that a run works on. All that it writes is that
// one's own until it becomes current, after the proof: what was installed before is not touched. The
// first one becomes it before, see [installation.activateFirst].
//
// A prefix in runtime mode has none, number 0: its files are at their places.
type generation struct {
	number  int
	current bool
	// flat says that an earlier release installed it, which knew of no generations: its files are
	// at their places, and its GC roots in no directory of their own. See [installation.adopt].
	flat bool
}

// settled reports whether nothing is left to be done once all stages are.
func (g generation) settled() bool { return g.number == 0 || g.current }

// choose finds out which generation the run works on: the current one, or for an upgrade the one
// that has what it would make, or a new one. It needs the keys.
func (r *installation) choose() error {
	r.gen, r.leaves = generation{}, generation{}
	switch {
	case r.Runtime:
		return nil
	case r.Below != "": // nothing is begun there
		r.gen.number = 1
		return nil
	}
	all, err := lineage.List(r.layout)
	if err != nil {
		return err
	}
	now, err := r.installedGeneration(all)
	if err != nil {
		return err
	}
	r.leaves = now
	switch {
	case now == generation{} && r.Upgrade:
		return fault.New(fault.Usage, fmt.Errorf("prefix %q: nothing that could be upgraded is installed there", r.layout.Store),
			"`bootstrap --prefix` installs, or goes on")
	case now == generation{}:
		r.gen.number = 1
	case !r.Upgrade || r.sameKeys(r.receiptOf(all, now)):
		r.gen = now
	default:
		r.gen.number = r.next(all, now)
	}
	return nil
}

// installedGeneration returns the current generation. What an earlier release has installed counts
// as the first.
func (r *installation) installedGeneration(all []lineage.Generation) (generation, error) {
	n, err := lineage.Current(r.layout)
	if err != nil {
		return generation{}, err
	}
	if n > 0 {
		if _, ok := lineage.Find(all, n); !ok {
			return generation{}, fault.New(fault.Unfit, fmt.Errorf("generation %d: is current, and %q is gone", n, lineage.Dir(r.layout, n)),
				"put the directory back, or make the link \"current\" beside it lead to another one")
		}
		return generation{number: n, current: true}, nil
	}
	flat := false
	switch rec, err := receipt.Load(r.layout.Receipt()); {
	case err == nil:
		flat = rec.Mode == "" && rec.Layout.Store == r.layout.Store
	case errors.Is(err, receipt.ErrNewer):
		return generation{}, err
	default:
		flat = r.wasComplete()
	}
	if flat {
		return generation{number: 1, current: true, flat: true}, nil
	}
	return generation{}, nil
}

// receiptOf returns the receipt of a generation, nil if it has none.
func (r *installation) receiptOf(all []lineage.Generation, g generation) *receipt.Receipt {
	if g.flat {
		rec, err := receipt.Load(r.layout.Receipt())
		if err != nil {
			return nil
		}
		return rec
	}
	found, _ := lineage.Find(all, g.number)
	return found.Receipt
}

// sameKeys reports whether a receipt is one of what this run would make.
func (r *installation) sameKeys(rec *receipt.Receipt) bool {
	if rec == nil {
		return false
	}
	// The key of the last stage has those of all before it in it, but for how something was made.
	last, ok := rec.Stage(Prove)
	return ok && last.Key == r.keys[Prove]
}

// next returns the number of the generation that an upgrade makes: that of one which is the same
// and was left, or was begun, or the next.
func (r *installation) next(all []lineage.Generation, now generation) int {
	last := now.number
	for _, g := range all {
		last = max(last, g.Number)
		if g.Number != now.number && r.sameKeys(g.Receipt) {
			return g.Number
		}
	}
	if g, ok := lineage.Find(all, last); ok && last != now.number && g.Receipt == nil {
		return last
	}
	return last + 1
}

// otherThanInstalled refuses to make of what is complete something else by the way: another Nix, or
// one with another package set.
func (r *installation) otherThanInstalled() error {
	if r.Upgrade || !r.gen.current {
		return nil
	}
	all, err := lineage.List(r.layout)
	if err != nil {
		return err
	}
	rec := r.receiptOf(all, r.gen)
	switch {
	case rec == nil:
		return r.otherThanRecorded()
	case r.sameKeys(rec):
		return nil
	}
	native, _ := rec.Stage(Native)
	if native.Key == r.keys[Native] && rec.LockDigest == r.lock.Digest() {
		return nil // set up in another way, which makes nothing else of it
	}
	what := "the same Nix with another lock"
	if native.Key != r.keys[Native] {
		what = "Nix " + r.version.String()
		if rec.NixVersion == r.version.String() {
			what += ", built from other files"
		}
	}
	return fault.New(fault.Usage,
		fmt.Errorf("prefix %q: Nix %s is installed there by bootstrap %s, and this would make %s", r.layout.Store, rec.NixVersion, rec.Installer, what),
		"`bootstrap upgrade` makes a new generation of it and keeps this one; nothing was changed")
}

// at returns where the generation has its own of a path of the prefix; other paths as they are.
func (r *installation) at(path string) string {
	if r.gen.number == 0 || r.gen.flat {
		return path
	}
	own, _ := lineage.Place(r.layout, r.gen.number, path)
	return own
}

// seen returns where a path is looked for: where people do, once the generation is current.
func (r *installation) seen(path string) string {
	if r.gen.current {
		return path
	}
	return r.at(path)
}

// rootsDir returns the directory of the GC roots of the generation.
func (r *installation) rootsDir() string {
	if r.gen.number == 0 || r.gen.flat {
		return r.layout.GCRoots()
	}
	return r.layout.RootsOf(r.gen.number)
}

// linkPlaces makes links of all places that lead through the current generation.
func (r *installation) linkPlaces() error {
	if !r.gen.current || r.gen.flat {
		return nil
	}
	for _, m := range lineage.Members(r.layout) {
		if err := r.linkPlace("", m); err != nil {
			return err
		}
	}
	return r.dropFlat()
}

// announcePlaces records the links that are going to be made, with the directories they are in, so
// that the receipt has them.
func (r *installation) announcePlaces() error {
	if r.gen.number == 0 || r.gen.flat {
		return nil
	}
	for _, m := range lineage.Members(r.layout) {
		if _, err := r.place("", journal.Link, m.Live); err != nil {
			return err
		}
	}
	return nil
}

func (r *installation) linkPlace(stage string, m lineage.Member) error {
	if m.Linked(r.layout) || m.Live == r.layout.DefaultProfile() && r.extended(m.Live) {
		return nil
	}
	beside, err := r.place(stage, journal.Link, m.Live)
	if err != nil {
		return err
	}
	target, err := m.Target(r.layout)
	if err != nil {
		return err
	}
	info, err := os.Lstat(m.Live)
	if err != nil || !info.IsDir() {
		return r.link(stage, target, m.Live)
	}
	// A directory of an earlier release: it changes places with the link, in one step, and what a kill
	// leaves of it is where uninstalling finds it.
	aside := filepath.Join(beside, "."+filepath.Base(m.Live)+"-"+r.Run)
	if err := os.Symlink(target, aside); err != nil {
		return err
	}
	err = unix.Renameat2(unix.AT_FDCWD, aside, unix.AT_FDCWD, m.Live, unix.RENAME_EXCHANGE)
	if err != nil { // not to be had on every file system
		err = errors.Join(os.Remove(aside), os.Rename(m.Live, aside))
		if err == nil {
			err = r.link(stage, target, m.Live)
		}
	}
	return errors.Join(err, removeTree(aside))
}

// extended reports whether a profile has the generation's Nix in it, and more that somebody has put
// there: then it stays as it is.
func (r *installation) extended(profile string) bool {
	native := r.known(Native)["nix"]
	whole, err := filepath.EvalSymlinks(profile)
	if err != nil || whole == native {
		return false
	}
	program, err := filepath.EvalSymlinks(nixcmd.Program(profile))
	return err == nil && program == nixcmd.Program(native)
}

// checkPlace refuses a file at the place of a link that somebody else has put there.
func (r *installation) checkPlace(path string) error {
	if exists(path) && !r.ours(path) {
		return fault.New(fault.Unfit, fmt.Errorf("file %q: it was there before, and is not ours", path),
			"move it away, or choose another prefix or configuration directory")
	}
	return nil
}

// activate makes the generation the current one, if it is not, and leaves a record of it.
func (r *installation) activate() error {
	if r.gen.number > 0 && !r.gen.current {
		if err := r.record("generation proved", r.flush()); err != nil {
			return err
		}
		if err := r.noteGeneration(r.gen.number); err != nil {
			return err
		}
		if err := lineage.Switch(r.layout, r.gen.number); err != nil {
			return err
		}
		r.gen.current = true
		_ = r.record("generation current", nil)
	}
	return r.linkPlaces()
}

// activateFirst makes the first generation the current one before it is proved. Nix has no configuration
// before there is one at its place, or that of runtime mode, which is for another Nix; and where no
// native nix was installed, none can be lost.
func (r *installation) activateFirst() error {
	if r.leaves.number > 0 || r.gen.settled() {
		return nil
	}
	if exists(r.layout.Receipt()) { // what it has of runtime mode goes on
		if _, err := r.writeReceipt(); err != nil {
			return err
		}
	}
	return r.activate()
}

// GenerationNote is the text of the record of a generation that becomes current; its output has
// the number, and how that came.
const GenerationNote = "generation"

func (r *installation) noteGeneration(number int) error {
	return r.record("generation noted", r.journal.Append(journal.Record{
		Event: journal.Note, Text: GenerationNote,
		Output: map[string]string{"number": strconv.Itoa(number), "command": r.verb()},
	}))
}

func (r *installation) verb() string {
	switch {
	case r.rolling:
		return "rollback"
	case r.Upgrade:
		return "upgrade"
	}
	return "install"
}

// adopt makes of what an earlier release has installed the first generation: copies of its files,
// and GC roots for what it built. Until the link says that it is current, nothing is changed.
func (r *installation) adopt(ctx context.Context) error {
	l := r.layout
	if !r.leaves.flat {
		return nil
	}
	rec, err := receipt.Load(l.Receipt())
	lost := err != nil
	if lost {
		if rec, err = r.lostReceipt(ctx); err != nil {
			return err
		}
	}
	native, _ := rec.Stage(Native)
	first := lineage.Dir(l, 1)
	if err := removeTree(first); err != nil {
		return err
	}
	if err := r.mkdir("", journal.Directory, first, 0o755); err != nil {
		return err
	}
	for _, m := range lineage.Members(l) {
		to := filepath.Join(first, m.Name)
		switch {
		case m.Live == l.DefaultProfile():
			err = os.Symlink(native.Outputs["nix"], to)
		case m.Live == l.Receipt() && lost:
			err = receipt.Write(to, *rec)
		case exists(m.Live): // what is gone, a repair makes anew
			err = copyInto(m.Live, to)
		}
		if err != nil {
			return err
		}
	}
	for _, stage := range []string{Toolchain, Native, Prove} {
		s, _ := rec.Stage(stage)
		for name, path := range s.Outputs {
			flat := filepath.Join(l.GCRoots(), name)
			if !linksTo(flat, path) {
				continue
			}
			if err := r.link("", path, filepath.Join(l.RootsOf(1), name)); err != nil {
				return err
			}
		}
	}
	if err := r.record("generation adopted", r.flush()); err != nil {
		return err
	}
	if err := lineage.Switch(l, 1); err != nil {
		return err
	}
	adopted := r.gen
	r.gen = generation{number: 1, current: true}
	if err := r.linkPlaces(); err != nil {
		return err
	}
	if !adopted.flat {
		r.gen = adopted
	}
	r.leaves = generation{number: 1, current: true}
	return nil
}

// dropFlat removes what held on to an installation of an earlier release: its GC roots, and the
// generations that its profile had of nothing but a Nix of ours.
func (r *installation) dropFlat() error {
	entries, err := os.ReadDir(r.layout.GCRoots())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type()&fs.ModeSymlink != 0 {
			if err := os.Remove(filepath.Join(r.layout.GCRoots(), e.Name())); err != nil {
				return err
			}
		}
	}
	nix := map[string]bool{}
	for _, record := range r.history.Records {
		if record.Stage == Install && record.Event == journal.End {
			nix[record.Output["generation"]] = true
		}
	}
	links, err := filepath.Glob(r.layout.DefaultProfile() + "-*-link")
	if err != nil {
		return err
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && nix[target] {
			if err := os.Remove(link); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyInto copies a file or a tree of files, directories and links.
func copyInto(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := to + path[len(from):]
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			return errors.Join(os.Mkdir(target, 0o755), os.Chmod(target, 0o755)) // whatever the umask
		case info.Mode()&fs.ModeSymlink != 0:
			points, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(points, target)
		}
		return copyFile(path, target, info.Mode().Perm())
	})
}

// Generations returns the generations of a prefix, as [lineage.List] does; that of an installation
// of an earlier release is the only one.
func Generations(l prefix.Layout) ([]lineage.Generation, error) {
	all, err := lineage.List(l)
	if err != nil {
		return nil, err
	}
	if now, err := lineage.Current(l); err != nil || now > 0 {
		return all, err
	}
	rec, err := receipt.Load(l.Receipt())
	if err != nil || rec.Mode != "" {
		return all, nil
	}
	flat := lineage.Generation{Number: 1, Dir: l.Root, Current: true, Receipt: rec}
	if len(all) > 0 && all[0].Number == 1 {
		all = all[1:] // an adoption that was cut short
	}
	return append([]lineage.Generation{flat}, all...), nil
}
