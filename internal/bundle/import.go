package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"

	"bootstrap/internal/closure"
	"bootstrap/internal/fault"
	"bootstrap/internal/nar"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/storelock"
	"bootstrap/internal/tree"
)

// ImportOptions say what is imported, and where to.
type ImportOptions struct {
	File   string // for messages
	From   io.Reader
	SHA256 string // of the whole file, in hexadecimal digits; not looked at if empty

	Nix   nixcmd.Nix // the prefix's own
	Store string     // the store directory as that Nix knows it
	Files string     // where its files lie
	State string     // the state directory

	Begin   func(total int64) // told how many bytes of store paths there are; may be nil
	Done    func(bytes int64) // told of what was written of files; may be nil
	Waiting func(what string) // told once of each thing that is waited for; may be nil
}

// Imported is what an import came to.
type Imported struct {
	Store string   `json:"store"`
	Paths []string `json:"paths"` // that were registered
	Bytes int64    `json:"bytes"` // of those
	Had   []string `json:"had"`   // that were valid before, and were not touched
	Other []string `json:"other"` // of those, the ones that have other contents here than in the file
}

// staging is what the name of a store path that is not complete begins with. It begins with a dot,
// and so is no store path; the garbage collector deletes what an import that was killed has left,
// unless the import is run again before.
const staging = ".import-"

// Import reads a bundle and registers what is in it. All of it is read and compared with what is
// registered in it first, beside the store paths and under other names; then all paths get their
// names, and then Nix registers them at once. Before that nothing of them is valid, whatever
// happens. Run again, it takes what it finds of an earlier run that was cut short, if that is what
// it should be.
func Import(ctx context.Context, o ImportOptions) (*Imported, error) {
	whole := sha256.New()
	b, err := NewReader(io.TeeReader(o.From, whole))
	if err != nil {
		return nil, wrap(o.File, err)
	}
	defer b.Close()
	if b.Store != o.Store {
		return nil, fault.New(fault.Unfit, fmt.Errorf("import %q: it is of the store directory %q, and this prefix has %q", o.File, b.Store, o.Store),
			"import it into a prefix at "+b.Store+", or export it from one at "+o.Store+": paths have their store directory in them")
	}
	root, err := os.OpenRoot(o.Files)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	i := &importer{ImportOptions: o, bundle: b, root: root, whole: whole, result: &Imported{Store: o.Store, Paths: []string{}, Had: []string{}, Other: []string{}}}
	return i.result, wrap(o.File, i.run(ctx))
}

type importer struct {
	ImportOptions
	bundle *Reader
	root   *os.Root
	whole  hash.Hash
	valid  map[string]bool // paths that the store has
	buf    []byte
	result *Imported
}

func (i *importer) run(ctx context.Context) error {
	// From here on no collector deletes what is not registered yet.
	release, err := storelock.Shared(ctx, i.State, i.waitFor("a garbage collection of this store"))
	if err != nil {
		return err
	}
	defer release()
	if err := i.survey(ctx); err != nil {
		return err
	}
	if err := i.checkSpace(); err != nil {
		return err
	}
	err = i.stage(ctx)
	if err == nil {
		err = i.checkWhole()
	}
	if err != nil {
		return errors.Join(err, i.discard(err))
	}
	return i.commit(ctx)
}

// discard removes what was made of a file that is not to be trusted. After anything else it stays,
// for the next run to go on from.
func (i *importer) discard(cause error) error {
	var format *FormatError
	if !errors.As(cause, &format) && fault.KindOf(cause) != fault.Verify {
		return nil
	}
	var errs []error
	for _, p := range i.bundle.Paths {
		if !i.valid[p.Path] {
			errs = append(errs, tree.Remove(i.root, staging+p.Base()))
		}
	}
	return errors.Join(errs...)
}

func (i *importer) waitFor(what string) func() {
	return func() {
		if i.Waiting != nil {
			i.Waiting(what)
		}
	}
}

// most is how many store paths are named in one command line.
const most = 500

// survey finds out which paths are here already.
func (i *importer) survey(ctx context.Context) (err error) {
	if i.valid, err = i.validOf(ctx, i.bundle.Paths); err != nil {
		return err
	}
	var total int64
	for _, p := range i.bundle.Paths {
		total += p.NarSize
	}
	if i.Begin != nil {
		i.Begin(total)
	}
	return nil
}

// validOf asks Nix which of the paths are valid now.
func (i *importer) validOf(ctx context.Context, paths []closure.Path) (map[string]bool, error) {
	valid := map[string]bool{}
	for chunk := range slices.Chunk(paths, most) {
		args := []string{"--check-validity", "--print-invalid"}
		for _, p := range chunk {
			args = append(args, p.Path)
			valid[p.Path] = true
		}
		out, err := i.Nix.Command("nix-store", args...).Output(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range strings.Fields(string(out)) {
			delete(valid, p)
		}
	}
	return valid, nil
}

// missing returns the paths that are not valid here.
func (i *importer) missing() []closure.Path {
	return slices.DeleteFunc(slices.Clone(i.bundle.Paths), func(p closure.Path) bool { return i.valid[p.Path] })
}

// checkSpace refuses what cannot fit.
func (i *importer) checkSpace() error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(i.Files, &st); err != nil {
		return err
	}
	var needed int64
	for _, p := range i.missing() {
		needed += p.NarSize
	}
	if free := int64(st.Bavail) * st.Bsize; needed > free {
		return fault.New(fault.Unfit, fmt.Errorf("import %q: it needs %d bytes, and %d are free at %q", i.File, needed, free, i.Files),
			"`bootstrap gc` deletes what nothing needs")
	}
	return nil
}

// stage reads the bundle to its end, and makes every path that is not here under another name.
func (i *importer) stage(ctx context.Context) error {
	i.buf = make([]byte, 256<<10)
	current := -1
	var write bool
	finish := func() error {
		if current < 0 || !write {
			return nil
		}
		return i.finish(i.bundle.Paths[current])
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, err := i.bundle.Next()
		if errors.Is(err, io.EOF) {
			return finish()
		}
		if err != nil {
			return err
		}
		if e.Path != current {
			if err := finish(); err != nil {
				return err
			}
			current = e.Path
			if write, err = i.start(i.bundle.Paths[current]); err != nil {
				return err
			}
		}
		if err := i.entry(e, write); err != nil {
			return err
		}
	}
}

// start decides whether a path is written: not if it is valid, and not if an earlier run has left
// all of it. Anything else of an earlier run goes.
func (i *importer) start(p closure.Path) (write bool, err error) {
	if i.valid[p.Path] {
		return false, nil
	}
	if i.has(staging+p.Base(), p) || i.has(p.Base(), p) {
		return false, nil
	}
	return true, tree.Remove(i.root, staging+p.Base())
}

// has reports whether a name has the contents that are registered of a path.
func (i *importer) has(name string, p closure.Path) bool {
	got, size, err := nar.Sum(i.root, name)
	return err == nil && got == p.NarHash && size == p.NarSize
}

// entry makes an entry, or passes over it.
func (i *importer) entry(e Entry, write bool) error {
	name := staging + e.Name
	if !write {
		if e.Kind == tree.File {
			return i.copy(io.Discard)
		}
		return nil
	}
	switch e.Kind {
	case tree.Directory:
		return i.root.Mkdir(name, 0o700)
	case tree.Link:
		return i.root.Symlink(e.Target, name)
	}
	mode := fs.FileMode(0o444)
	if e.Executable {
		mode = 0o555
	}
	// O_EXCL follows no link, and there can be nothing: the directory is ours and new.
	f, err := i.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = i.copy(f)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return i.root.Chtimes(name, epoch(), epoch())
}

func (i *importer) copy(to io.Writer) error {
	n, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{i.bundle}, i.buf)
	if i.Done != nil {
		i.Done(n)
	}
	return err
}

// finish compares a path that is written with what is registered of it, and makes it as Nix has it.
func (i *importer) finish(p closure.Path) error {
	name := staging + p.Base()
	got, size, err := nar.Sum(i.root, name)
	if err != nil {
		return err
	}
	if got != p.NarHash || size != p.NarSize {
		return &FormatError{Entry: p.Path, Reason: fmt.Sprintf("has other contents than are registered of it: %s, not %s", got, p.NarHash)}
	}
	return readOnly(i.root, name)
}

// readOnly takes the right to write from directories, the inner ones first.
func readOnly(root *os.Root, name string) error {
	var dirs []string
	err := tree.Walk(root, name, func(n tree.Node) error {
		if n.Kind == tree.Directory {
			dirs = append(dirs, n.Name)
		}
		return nil
	})
	for at := len(dirs) - 1; err == nil && at >= 0; at-- {
		if err = root.Chmod(dirs[at], 0o555); err == nil {
			err = root.Chtimes(dirs[at], epoch(), epoch())
		}
	}
	return err
}

// checkWhole compares the file with the digest that whoever has it from somebody was told.
func (i *importer) checkWhole() error {
	// What follows the end of the compressed data belongs to the file as well.
	if _, err := io.Copy(i.whole, i.From); err != nil {
		return err
	}
	got := hex.EncodeToString(i.whole.Sum(nil))
	if i.SHA256 == "" || got == strings.ToLower(i.SHA256) {
		return nil
	}
	return fault.New(fault.Verify, fmt.Errorf("import %q: its sha256 is %s, not %s", i.File, got, i.SHA256),
		"it is not the file that was exported; nothing of it was registered")
}

// commit gives paths their names and has Nix register them, all or none.
func (i *importer) commit(ctx context.Context) (err error) {
	if err := i.other(ctx); err != nil {
		return err
	}
	fresh := i.missing()
	var names []string
	for _, p := range fresh {
		names = append(names, p.Base())
	}
	locks, err := storelock.Take(ctx, i.root, names, i.waitFor("a build of one of the paths"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, locks.Release()) }()
	// A build that was waited for has made the path, perhaps.
	meanwhile, err := i.validOf(ctx, fresh)
	if err != nil {
		return err
	}
	maps.Copy(i.valid, meanwhile)
	for _, p := range fresh {
		if meanwhile[p.Path] {
			err = tree.Remove(i.root, staging+p.Base())
		} else {
			err = i.name(p)
		}
		if err != nil {
			return err
		}
	}
	return i.register(ctx)
}

// register has Nix register what is not valid, and says what it came to.
func (i *importer) register(ctx context.Context) error {
	fresh := i.missing()
	for _, p := range fresh {
		i.result.Paths = append(i.result.Paths, p.Path)
		i.result.Bytes += p.NarSize
	}
	for _, p := range i.bundle.Paths {
		if i.valid[p.Path] {
			i.result.Had = append(i.result.Had, p.Path)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	register := i.Nix.Command("nix-store", "--register-validity", "--hash-given")
	register.Stdin = bytes.NewReader(closure.Registration(fresh))
	_, err := register.Output(ctx)
	return err
}

// name gives a path that was staged its name. What is there and is not valid is of a build that
// failed, or of an import that was killed right here.
func (i *importer) name(p closure.Path) error {
	staged := staging + p.Base()
	if _, err := i.root.Lstat(staged); errors.Is(err, fs.ErrNotExist) && i.has(p.Base(), p) {
		return nil
	}
	if err := tree.Remove(i.root, p.Base()); err != nil {
		return err
	}
	return i.root.Rename(staged, p.Base())
}

// other finds out which of the paths that are here have other contents than in the file, as those
// have that are not built in the same way twice. What is here stays.
func (i *importer) other(ctx context.Context) error {
	if len(i.valid) == 0 {
		return nil
	}
	here, err := closure.Options{Nix: i.Nix, Store: i.Store, Files: i.Files}.Of(ctx, slices.Sorted(maps.Keys(i.valid)))
	if err != nil {
		return err
	}
	for _, p := range i.bundle.Paths {
		if h := here.Path(p.Path); i.valid[p.Path] && h != nil && h.NarHash != p.NarHash {
			i.result.Other = append(i.result.Other, p.Path)
		}
	}
	return nil
}
