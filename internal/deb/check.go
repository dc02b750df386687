package deb

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"bootstrap/internal/deb/ar"
)

// Package is a package to be checked.
type Package struct {
	Name string // for errors
	Path string // of the file, absolute
}

// CheckOptions says how to check packages; the zero value will do.
type CheckOptions struct {
	Parallel int    // packages at a time; default 1
	Done     func() // is called after each package, from any goroutine; may be nil
}

// Check returns an error unless another program may unpack the packages into one directory, in
// any order and side by side, and stay in that directory. It writes nothing.
//
// The rules are those of [Extract] and, since nothing but these rules keeps the other program in,
// stricter in three ways: no entry lies at or below a symlink of any of the packages, but for the
// links that merging /usr makes; a header is one that dpkg-deb makes; and the package has
// the three members of deb(5) and no more.
//
// Errors are those of [Extract].
func Check(ctx context.Context, packages []Package, opts CheckOptions) error {
	var mu sync.Mutex
	c := checker{links: map[string]string{}}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(max(opts.Parallel, 1))
	for _, p := range packages {
		group.Go(func() error {
			entries, err := checkOne(gctx, p)
			if err != nil {
				return fmt.Errorf("package %q: %w", p.Name, wrap("check", p.Path, err))
			}
			mu.Lock()
			c.add(p, entries)
			mu.Unlock()
			if opts.Done != nil {
				opts.Done()
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return c.check()
}

// checked is an entry that is right as far as its own package goes.
type checked struct {
	pkg  Package
	name string
	link bool
}

// checkOne holds the entries of one package against the rules that need no other package.
func checkOne(ctx context.Context, p Package) ([]checked, error) {
	if err := onlyMembers(p.Path); err != nil {
		return nil, err
	}
	var entries []checked
	files := map[string]bool{} // what a hard link may name
	err := walk(ctx, p.Path, walkOptions{limit: DefaultMaxBytes, plain: true}, func(h *tar.Header, _ io.Reader) error {
		name, reason := checkEntry(h, files)
		if reason != "" {
			return &EntryError{Name: h.Name, Reason: reason}
		}
		files[name] = h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeLink
		entries = append(entries, checked{p, name, h.Typeflag == tar.TypeSymlink && !isMerge(name, h.Linkname)})
		return nil
	})
	return entries, err
}

// checkEntry returns the clean name of an entry, or why it must not be unpacked.
func checkEntry(h *tar.Header, files map[string]bool) (name, reason string) {
	name, err := cleanName(h.Name)
	if err != nil {
		return "", err.Error()
	}
	if len(h.PAXRecords) > 0 {
		return "", "its header is in the form of PAX, which dpkg-deb does not use"
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeSymlink, tar.TypeLink:
		if name == "." {
			return "", "is not a directory"
		}
	case tar.TypeDir:
	default:
		return "", refusedType(h.Typeflag)
	}
	switch {
	case h.Typeflag == tar.TypeSymlink && (h.Linkname == "" || strings.ContainsRune(h.Linkname, 0)):
		return "", fmt.Sprintf("is a symlink to %q", h.Linkname)
	case h.Typeflag == tar.TypeLink:
		target, err := cleanName(h.Linkname)
		if err != nil {
			return "", fmt.Sprintf("is a hard link to %q: %s", h.Linkname, err)
		}
		if target == name || !files[target] {
			return "", fmt.Sprintf("is a hard link to %q, which is no file unpacked before it", h.Linkname)
		}
	}
	return name, ""
}

// isMerge reports whether a symlink is one of those that merging /usr makes, in the form that
// keeps to the directory.
func isMerge(name, target string) bool { return isMerged(name) && target == "usr/"+name }

// onlyMembers refuses a package that has members besides those that are read here.
func onlyMembers(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	n := 0
	for m, err := range ar.Members(f, info.Size()) {
		if err != nil {
			return err
		}
		if n++; n > 3 {
			return &FormatError{Reason: fmt.Sprintf("member %q follows the last one", m.Name)}
		}
	}
	return nil
}

// checker holds entries of several packages against each other.
type checker struct {
	entries []checked
	links   map[string]string // the package that brings it, by the symlink's name
}

func (c *checker) add(p Package, entries []checked) {
	c.entries = append(c.entries, entries...)
	for _, e := range entries {
		if e.link {
			c.links[e.name] = p.Name
		}
	}
}

// check refuses what would be written through a symlink, by which of the packages it may come.
func (c *checker) check() error {
	for _, e := range c.entries {
		for _, name := range []string{e.name, usrMerge(e.name)} {
			if e.link { // it replaces another, and follows none
				name = path.Dir(name)
			}
			for ; name != "."; name = path.Dir(name) {
				if by, ok := c.links[name]; ok {
					err := &EntryError{Name: e.name, Reason: fmt.Sprintf("lies at or below %q, a symlink of %q", name, by)}
					return fmt.Errorf("package %q: %w", e.pkg.Name, wrap("check", e.pkg.Path, err))
				}
			}
		}
	}
	return nil
}
