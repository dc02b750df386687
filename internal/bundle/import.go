package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"bootstrap/internal/closure"
	"bootstrap/internal/fault"
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
