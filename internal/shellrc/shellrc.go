// Package shellrc adds a marked block to the start-up files of a person's shells, and takes it out
// again so that every byte is as it was.
//
// A block belongs to one prefix; several prefixes have several. It sources the prefix's own
// env file and does nothing where that is gone. What the file was before is noted in the block
// itself, so that removing it needs no receipt. The package touches no other file and decides
// nothing: whether a person wants a block at all is asked elsewhere.
package shellrc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"bootstrap/internal/fault"
)

// Shell is a family of shells that read the same start-up files.
type Shell string

// The shells.
const (
	Sh   Shell = "sh"
	Bash Shell = "bash"
	Zsh  Shell = "zsh"
	Fish Shell = "fish"
	Csh  Shell = "csh" // and tcsh
)

// All returns every shell this package knows.
func All() []Shell { return []Shell{Sh, Bash, Zsh, Fish, Csh} }

// ShellOf returns the shell a program such as /usr/bin/tcsh is. ok is false if it is not known.
func ShellOf(program string) (shell Shell, ok bool) {
	switch name := strings.TrimPrefix(filepath.Base(program), "-"); name {
	case "sh", "dash", "ash", "ksh", "mksh", "busybox":
		return Sh, true
	case "tcsh":
		return Csh, true
	default:
		return Shell(name), slices.Contains(All(), Shell(name))
	}
}

// Options say whose files are meant and what goes into them. All paths are absolute.
type Options struct {
	Home       string // the person's home directory
	ConfigHome string // XDG_CONFIG_HOME; Home/.config if empty
	ZDotDir    string // ZDOTDIR; Home if empty

	Root string // the prefix, as the markers name it

	EnvSh   string // the env file for sh, bash and zsh
	EnvFish string // the env file for fish
	EnvCsh  string // the env file for csh and tcsh

	Shells []Shell // whose files to change; all if empty. Not used by [Remove].
}

// Change is what was done to one file, as the receipt records it.
type Change struct {
	Path    string   `json:"path"`
	Created bool     `json:"created,omitempty"` // by [Add]; removed, by [Remove]
	Dirs    []string `json:"dirs,omitempty"`    // made for it, the outermost first
}

// Add puts the block for o.Root into the start-up files of o.Shells, and returns what it changed:
// nothing where the block is there already. A file that cannot be changed does not keep the others
// from being changed; the errors come joined.
func Add(o Options) ([]Change, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	var (
		changes []Change
		errs    []error
	)
	for _, f := range o.files() {
		change, changed, err := addTo(f.path, o.Root, f.command)
		if err != nil {
			errs = append(errs, fileError("add", f.path, o.Root, err))
		}
		if changed {
			changes = append(changes, change)
		}
	}
	return changes, errors.Join(errs...)
}

// Remove takes the blocks for o.Root out of every start-up file of every shell, and out of the
// files in recorded, and returns what it changed. A file that [Add] made is removed
// if nothing else is in it by now, and so are the directories made for it if they are empty.
func Remove(o Options, recorded []Change) ([]Change, error) {
	o.Shells = nil
	if err := o.check(); err != nil {
		return nil, err
	}
	paths := o.everyFile()
	for _, c := range recorded {
		paths = append(paths, c.Path)
	}
	var (
		changes []Change
		errs    []error
	)
	for i, path := range paths {
		if slices.Contains(paths[:i], path) {
			continue
		}
		change, changed, err := removeFrom(path, o.Root)
		if err != nil {
			errs = append(errs, fileError("remove", path, o.Root, err))
		}
		if changed {
			changes = append(changes, change)
		}
	}
	return changes, errors.Join(errs...)
}

func addTo(path, root, command string) (change Change, changed bool, err error) {
	f, err := readFile(path)
	if err != nil {
		return Change{}, false, err
	}
	change.Path = path
	if !f.exists() {
		change.Created = true
		if change.Dirs, err = makeParents(path); err != nil {
			removeParents(path, len(change.Dirs))
			return Change{}, false, err
		}
	}
	o := origin{absent: change.Created, dirs: max(len(change.Dirs), dirsBeside(path))}
	data, err := addBlock(f.data, root, command, o)
	if err != nil || f.exists() && bytes.Equal(data, f.data) {
		return Change{}, false, err
	}
	if err := f.write(data); err != nil {
		removeParents(path, len(change.Dirs))
		return Change{}, false, err
	}
	return change, true, nil
}

func removeFrom(path, root string) (change Change, changed bool, err error) {
	f, err := readFile(path)
	if err != nil {
		return Change{}, false, err
	}
	data, was, found, err := removeBlocks(f.data, root)
	if err != nil || !found {
		return Change{}, false, err
	}
	change.Path = path
	// A link is somebody else's, even if what it leads to was ours.
	if was.absent && len(data) == 0 && f.target == path {
		change.Created = true
		if err := os.Remove(path); err != nil {
			return Change{}, false, err
		}
		removeParents(path, was.dirs)
		return change, true, nil
	}
	if err := f.write(data); err != nil {
		return Change{}, false, err
	}
	return change, true, nil
}

func fileError(op, path, root string, err error) error {
	err = fmt.Errorf("%s shell block %q: %w", op, path, err)
	if errors.Is(err, errTorn) {
		return fault.New(fault.General, err, fmt.Sprintf(
			"put back or delete the lone line with %q or %q by hand", beginMarker(root), endMarker(root)))
	}
	return fault.New(fault.General, err, "make the file writable, or leave it and change it by hand")
}

func (o *Options) check() error {
	for _, p := range []string{o.Home, o.Root} {
		if !filepath.IsAbs(p) || strings.ContainsFunc(p, unicode.IsControl) {
			return fmt.Errorf("shell start-up files: %q is not an absolute path without control characters", p)
		}
	}
	if o.ConfigHome == "" {
		o.ConfigHome = filepath.Join(o.Home, ".config")
	}
	if o.ZDotDir == "" {
		o.ZDotDir = o.Home
	}
	if len(o.Shells) == 0 {
		o.Shells = All()
	}
	return nil
}
