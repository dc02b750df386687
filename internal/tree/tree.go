// Package tree reads file trees as Nix sees them: files with or without the right to be executed,
// directories and symbolic links, and nothing of who owns them, when they were made or what else
// may be attached to them.
//
// Everything is read through an [os.Root], in the order of the bytes of the names, so that the same
// tree is always the same sequence.
package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"
)

// Kind is what a node is.
type Kind int

// The kinds of nodes there are.
const (
	File Kind = iota
	Directory
	Link
)

// Node is one file of a tree.
type Node struct {
	Name       string // relative to the root it was read from
	Kind       Kind
	Executable bool   // of a file
	Size       int64  // of a file, in bytes
	Target     string // of a link
}

// Look returns what has that name. It does not follow a link.
func Look(root *os.Root, name string) (Node, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return Node{}, err
	}
	n := Node{Name: name}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		n.Executable, n.Size = mode&0o100 != 0, info.Size()
	case mode.IsDir():
		n.Kind = Directory
	case mode&fs.ModeSymlink != 0:
		n.Kind = Link
		n.Target, err = root.Readlink(name)
	default:
		err = fmt.Errorf("%q: is neither a file nor a directory nor a symbolic link", name)
	}
	return n, err
}

// Names returns the names in a directory, sorted.
func Names(root *os.Root, name string) ([]string, error) {
	dir, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// Walk visits a node and all that is in it, directories before what they hold.
func Walk(root *os.Root, name string, visit func(Node) error) error {
	n, err := Look(root, name)
	if err != nil {
		return err
	}
	if err := visit(n); err != nil || n.Kind != Directory {
		return err
	}
	names, err := Names(root, name)
	if err != nil {
		return err
	}
	for _, child := range names {
		if err := Walk(root, path.Join(name, child), visit); err != nil {
			return err
		}
	}
	return nil
}

// Remove removes whatever has that name and all that is in it, though directories may be read-only.
// What is not there is no error.
func Remove(root *os.Root, name string) error {
	if err := writable(root, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return root.RemoveAll(name)
}

// writable gives the right to write to directories, the outer ones first.
func writable(root *os.Root, name string) error {
	info, err := root.Lstat(name)
	if err != nil || !info.IsDir() {
		return err
	}
	if err := root.Chmod(name, 0o700); err != nil {
		return err
	}
	names, err := Names(root, name)
	if err != nil {
		return err
	}
	for _, child := range names {
		if err := writable(root, path.Join(name, child)); err != nil {
			return err
		}
	}
	return nil
}

// Seal takes the right to write from the directories of a tree, the inner ones first, and gives
// them the time that Nix does.
func Seal(root *os.Root, name string) error {
	var dirs []string
	err := Walk(root, name, func(n Node) error {
		if n.Kind == Directory {
			dirs = append(dirs, n.Name)
		}
		return nil
	})
	epoch := time.Unix(1, 0)
	for at := len(dirs) - 1; err == nil && at >= 0; at-- {
		if err = root.Chmod(dirs[at], 0o555); err == nil {
			err = root.Chtimes(dirs[at], epoch, epoch)
		}
	}
	return err
}
