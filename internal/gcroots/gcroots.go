// Package gcroots reads the GC roots of a prefix as its garbage collector is going to, and says
// which of them the collector would not follow although somebody may still want what is behind.
//
// The collector takes a root that it cannot follow for one that is gone, and deletes what was
// rooted: data on a file system that is not mounted, in a directory that may not be read, or
// below a directory that was renamed. The package reads and never writes.
package gcroots

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Kind says what made a root.
type Kind string

// The kinds of roots.
const (
	Installer Kind = "installer" // what the installer keeps
	Profile   Kind = "profile"   // a generation of a profile
	Direct    Kind = "direct"    // another link in the state directory
	Indirect  Kind = "indirect"  // a link elsewhere, such as ./result
)

// Verdict says whether the collector will keep what a root stands for.
type Verdict string

// The verdicts. All but Fine are reasons not to collect.
const (
	Fine       Verdict = "fine"
	Stale      Verdict = "stale"      // the link is gone, and the directory it was in is there: removed, or renamed
	Unmounted  Verdict = "unmounted"  // the directory it was in is not there either
	Unreadable Verdict = "unreadable" // nobody can tell
	Foreign    Verdict = "foreign"    // it points into another store now
)

// Root is one root.
type Root struct {
	Kind    Kind    `json:"kind"`
	Link    string  `json:"link"`             // in the state directory
	Via     string  `json:"via,omitempty"`    // the link elsewhere, of an indirect root
	Target  string  `json:"target,omitempty"` // the store path, or whatever it points to
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"`
}

// Dirs are the directories of a prefix that roots are in.
type Dirs struct {
	GCRoots   string // <state>/gcroots
	Profiles  string // <state>/profiles
	Installer string // the installer's own, below GCRoots
	Store     string // the store directory, as links have it
}

// auto is the directory of indirect roots below gcroots.
const auto = "auto"

// List returns all roots, in the order of their links.
func List(d Dirs) ([]Root, error) {
	var roots []Root
	for _, top := range []string{d.GCRoots, d.Profiles} {
		err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if entry.Type()&fs.ModeSymlink == 0 {
				return nil
			}
			root, ok, err := d.read(path)
			if ok {
				roots = append(roots, root)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(roots, func(a, b Root) int { return strings.Compare(a.Link, b.Link) })
	return roots, nil
}

// Bad returns the roots that the collector would not follow.
func Bad(roots []Root) []Root {
	return slices.DeleteFunc(slices.Clone(roots), func(r Root) bool { return r.Verdict == Fine })
}

// read looks at one link in the state directory. ok is false where it is no root: a link to a
// generation in the same directory, or to a directory of roots.
func (d Dirs) read(link string) (root Root, ok bool, err error) {
	target, err := readLink(link)
	if err != nil {
		return Root{}, false, err
	}
	root = Root{Kind: d.kind(link), Link: link, Target: target, Verdict: Fine}
	switch {
	case d.inStore(target):
		return root, true, nil
	case filepath.Dir(link) == filepath.Join(d.GCRoots, auto):
		root.Via = target
		d.follow(&root)
		return root, true, nil
	}
	return Root{}, false, nil
}

func (d Dirs) kind(link string) Kind {
	for _, k := range []struct {
		dir  string
		kind Kind
	}{{d.Installer, Installer}, {d.Profiles, Profile}, {filepath.Join(d.GCRoots, auto), Indirect}} {
		if strings.HasPrefix(link, k.dir+"/") {
			return k.kind
		}
	}
	return Direct
}

// follow goes from an indirect root to what it points to.
func (d Dirs) follow(r *Root) {
	target, err := readLink(r.Via)
	r.Target = target
	switch {
	case err == nil && d.inStore(target):
	case err == nil:
		r.Verdict, r.Reason = Foreign, "it points to "+target
	case errors.Is(err, fs.ErrPermission):
		r.Verdict, r.Reason = Unreadable, "a directory on the way cannot be searched"
	case errors.Is(err, fs.ErrNotExist) && exists(filepath.Dir(r.Via)):
		r.Verdict, r.Reason = Stale, "the link is not there any more"
	case errors.Is(err, fs.ErrNotExist):
		r.Verdict, r.Reason = Unmounted, "its directory is not there: not mounted, renamed or removed"
	case isNoLink(err):
		r.Verdict, r.Reason = Stale, "something that is no link is in its place"
	default:
		r.Verdict, r.Reason = Unreadable, err.Error()
	}
}

// inStore reports whether a path is in the store directory.
func (d Dirs) inStore(path string) bool { return strings.HasPrefix(path, d.Store+"/") }

// readLink returns what a link points to, as an absolute path.
func readLink(link string) (string, error) {
	target, err := os.Readlink(link)
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(link), target)
	}
	return filepath.Clean(target), nil
}

// isNoLink reports whether readlink(2) said EINVAL: the path is there and is no symbolic link.
func isNoLink(err error) bool {
	var path *fs.PathError
	return errors.As(err, &path) && errors.Is(path.Err, syscall.EINVAL)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
