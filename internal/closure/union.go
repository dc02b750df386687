package closure

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"syscall"

	"bootstrap/internal/tree"
)

// Merged is a node of a tree that several packages share: either a link to what one of them has,
// or a directory in which there is something of each.
type Merged struct {
	Name   string // relative to where the tree is going to be
	Target string // absolute path of what it is a link to; "" for a directory
}

// Union returns what makes a directory of packages, such as "bin", be one directory elsewhere: a
// link where one package alone has it, else a directory of such links. What two packages have is
// that of the first. Nothing is returned if none has it. With Whole a directory is made even if
// only one package has it.
func Union(root *os.Root, store, name string, packages []string, whole bool) ([]Merged, error) {
	var sources []string
	for _, p := range packages {
		at := path.Join(path.Base(p), name)
		n, err := follow(root, store, at)
		// A package may be a file.
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n.Kind == tree.Directory {
			sources = append(sources, n.Name)
		}
	}
	return union(root, store, name, sources, whole)
}

// union merges directories, which are given relative to the store directory.
func union(root *os.Root, store, name string, dirs []string, whole bool) ([]Merged, error) {
	switch {
	case len(dirs) == 0:
		return nil, nil
	case len(dirs) == 1 && !whole:
		return []Merged{{Name: name, Target: path.Join(store, dirs[0])}}, nil
	}
	merged := []Merged{{Name: name}}
	holders := map[string][]string{}
	for _, dir := range dirs {
		names, err := tree.Names(root, dir)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			holders[n] = append(holders[n], path.Join(dir, n))
		}
	}
	for _, child := range slices.Sorted(maps.Keys(holders)) {
		at := holders[child]
		var below []string
		for _, h := range at {
			n, err := follow(root, store, h)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			if err == nil && n.Kind == tree.Directory {
				below = append(below, n.Name)
			}
		}
		if len(at) == 1 || len(below) < len(at) {
			merged = append(merged, Merged{Name: path.Join(name, child), Target: path.Join(store, at[0])})
			continue
		}
		inner, err := union(root, store, path.Join(name, child), below, false)
		if err != nil {
			return nil, err
		}
		merged = append(merged, inner...)
	}
	return merged, nil
}

// mostLinks is how many symbolic links are followed one after the other, as Linux does.
const mostLinks = 40

// Resolve returns the node that a name in the store directory leads to, by links that stay within
// the store directory. One that leads out of it is not found.
func (c *Closure) Resolve(root *os.Root, name string) (tree.Node, error) {
	return follow(root, c.Store, name)
}

func follow(root *os.Root, store, name string) (tree.Node, error) {
	for range mostLinks {
		n, err := tree.Look(root, name)
		if err != nil || n.Kind != tree.Link {
			return n, err
		}
		target := n.Target
		if !path.IsAbs(target) {
			target = path.Join(store, path.Dir(name), target)
		}
		inside, ok := cutDir(path.Clean(target), store)
		if !ok {
			return tree.Node{}, &fs.PathError{Op: "follow", Path: name, Err: fs.ErrNotExist}
		}
		name = inside
	}
	return tree.Node{}, &fs.PathError{Op: "follow", Path: name, Err: errors.New("too many symbolic links")}
}
