package collect

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"bootstrap/internal/nixcmd"
)

// dead asks Nix what would be dead. The copy of the state directory has the roots and profiles
// that would be left; the database and its locks are the real ones.
func (p *Plan) dead(ctx context.Context) (_ []Dead, err error) {
	copied, err := os.MkdirTemp(p.o.Scratch, "gc-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(copied)) }()
	if err := p.copyState(copied); err != nil {
		return nil, err
	}
	args := append([]string{"--store", p.o.uri(copied)}, "--gc", "--print-dead")
	out, err := p.o.Nix.Command("nix-store", args...).Output(ctx)
	if err != nil {
		return nil, err
	}
	var paths []string
	for line := range strings.Lines(string(out)) {
		if path := strings.TrimSpace(line); strings.HasPrefix(path, p.o.Store+"/") {
			paths = append(paths, path)
		}
	}
	return p.o.measure(paths)
}

// uri is the store with another state directory.
func (o Options) uri(state string) string {
	return nixcmd.StoreURI(o.Store, o.Layout.Store, state, o.Layout.Log)
}

func (p *Plan) copyState(to string) error {
	state := p.o.Layout.State
	gone := map[string]bool{}
	for _, r := range p.Roots {
		gone[r.Link] = true
	}
	for _, g := range p.Generations {
		gone[g.Link()] = true
	}
	for _, dir := range p.o.Without {
		gone[dir] = true
	}
	for _, dir := range []string{"gcroots", "profiles"} {
		if err := copyLinks(filepath.Join(state, dir), filepath.Join(to, dir), gone); err != nil {
			return err
		}
	}
	profiles := filepath.Join(to, "gcroots", "profiles")
	if err := os.Remove(profiles); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	stamp, err := os.ReadFile(filepath.Join(state, "store-dir"))
	if err == nil {
		err = os.WriteFile(filepath.Join(to, "store-dir"), stamp, 0o600)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err,
		os.Symlink(filepath.Join(to, "profiles"), profiles),
		os.Symlink(filepath.Join(state, "db"), filepath.Join(to, "db")))
}

// copyLinks copies a tree of directories and symbolic links, but for some of them.
func copyLinks(from, to string, without map[string]bool) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		switch {
		case d.IsDir() && without[path]:
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(target, 0o700)
		case d.Type()&fs.ModeSymlink == 0 || without[path]:
			return nil
		}
		points, err := os.Readlink(path)
		if err != nil {
			return err
		}
		return os.Symlink(points, target)
	})
}

// inode is a file, whatever it is called.
type inode struct{ device, number uint64 }

// measure says what each path frees: its own files, and a file that other paths share with the
// last of them that goes. One name that every file of an optimised store has in .links goes by itself.
func (o Options) measure(paths []string) ([]Dead, error) {
	shared, err := o.shared()
	if err != nil {
		return nil, err
	}
	dead := make([]Dead, 0, len(paths))
	names := map[inode]uint64{}
	for _, path := range paths {
		d := Dead{Path: path}
		err := filepath.WalkDir(o.file(path), func(name string, _ fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // registered, and lost
			}
			var st syscall.Stat_t
			if err == nil {
				err = syscall.Lstat(name, &st)
			}
			if err != nil {
				return err
			}
			if st.Mode&syscall.S_IFMT == syscall.S_IFDIR || st.Nlink == 1 {
				d.Bytes += st.Blocks * 512
				return nil
			}
			id := inode{uint64(st.Dev), st.Ino}
			names[id]++
			if left := uint64(st.Nlink) - names[id]; left == 0 || left == 1 && shared[id] {
				d.Bytes += st.Blocks * 512
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		dead = append(dead, d)
	}
	return dead, nil
}

// shared returns the files that an optimised store has in .links.
func (o Options) shared() (map[inode]bool, error) {
	links := filepath.Join(o.Layout.Store, ".links")
	entries, err := os.ReadDir(links)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	all := make(map[inode]bool, len(entries))
	for _, e := range entries {
		var st syscall.Stat_t
		if err := syscall.Lstat(filepath.Join(links, e.Name()), &st); err == nil {
			all[inode{uint64(st.Dev), st.Ino}] = true
		}
	}
	return all, nil
}
