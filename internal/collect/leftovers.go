package collect

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// Caches of Nix carry the version of their format in their names (libexpr/eval-cache.cc,
// libfetchers/cache.cc and libstore/nar-info-disk-cache.cc in Nix 2.26). Nix looks at its own only.
var (
	versioned = regexp.MustCompile(`^([a-z-]+)-v([0-9]+)(\.sqlite(?:-[a-z]+)?)?$`)
	temporary = regexp.MustCompile(`^nix-([0-9]+)-[0-9]+$`)
)

// unused is how long a cache of downloads may lie before it is taken for forgotten.
const unused = 90 * 24 * time.Hour

// leftovers returns what nothing reads any more: caches in old formats or long unused, temporary
// directories of processes that are gone, and, if nobody is at work, directories of builds and what
// the options name.
func (o Options) leftovers(busy bool) ([]Leftover, error) {
	caches, err := filepath.Glob(filepath.Join(o.Layout.State, "users", "*", "cache"))
	if err != nil {
		return nil, err
	}
	var all []Leftover
	for _, dir := range caches {
		found, err := o.leftoversIn(dir, o.oldCache(dir))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	if busy {
		return all, nil
	}
	found, err := o.leftoversIn(o.Layout.BuildDir(), func(fs.DirEntry) bool { return true })
	if err != nil {
		return nil, err
	}
	all = append(all, found...)
	for _, dir := range o.Unused {
		found, err := o.leftoversIn(filepath.Dir(dir), func(e fs.DirEntry) bool { return e.Name() == filepath.Base(dir) })
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func (o Options) leftoversIn(dir string, old func(fs.DirEntry) bool) ([]Leftover, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil // another user's caches are that user's business
	}
	if err != nil {
		return nil, err
	}
	var all []Leftover
	for _, e := range entries {
		if !old(e) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		bytes, err := blocks(path)
		if err != nil {
			return nil, err
		}
		all = append(all, Leftover{Path: path, Bytes: bytes})
	}
	return all, nil
}

// oldCache returns what decides over the entries of one user's cache.
func (o Options) oldCache(dir string) func(fs.DirEntry) bool {
	newest := map[string]int{}
	entries, _ := os.ReadDir(dir) // leftoversIn says so if that fails
	for _, e := range entries {
		if m := versioned.FindStringSubmatch(e.Name()); m != nil {
			n, _ := strconv.Atoi(m[2])
			newest[m[1]] = max(newest[m[1]], n)
		}
	}
	return func(e fs.DirEntry) bool {
		if m := temporary.FindStringSubmatch(e.Name()); m != nil {
			pid, err := strconv.Atoi(m[1])
			return err == nil && !alive(pid)
		}
		if e.Name() == "tarball-cache" || e.Name() == "gitv3" {
			info, err := e.Info()
			return err == nil && o.Policy.Now.Sub(info.ModTime()) > unused
		}
		m := versioned.FindStringSubmatch(e.Name())
		if m == nil {
			return false
		}
		n, err := strconv.Atoi(m[2])
		return err == nil && n < newest[m[1]]
	}
}

// alive reports whether there is a process of that number on this host.
func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// blocks returns how much of the disk a tree takes.
func blocks(path string) (bytes int64, err error) {
	err = filepath.WalkDir(path, func(name string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil
		}
		var st syscall.Stat_t
		if err == nil {
			err = syscall.Lstat(name, &st)
		}
		bytes += st.Blocks * 512
		return err
	})
	return bytes, err
}
