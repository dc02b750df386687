package resolve

import (
	"cmp"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"bootstrap/internal/control"
	"bootstrap/internal/deb"
	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/lock"
)

// object is one ELF file of a package.
type object struct {
	pkg    *control.Package
	path   string   // inside the package, "usr/lib/…"
	soname string   // DT_SONAME, or the file's base name
	needed []string // DT_NEEDED, and the base name of the interpreter
}

// needed returns those of packages that hold one of the files, or a library that these load.
// Only names the files themselves record are followed; what a program opens by name at run time is not seen.
func (r *resolver) needed(ctx context.Context, u *universe, packages []*control.Package, files []string) ([]*control.Package, error) {
	objects, err := r.objects(ctx, u, packages)
	if err != nil {
		return nil, err
	}
	bySoname := make(map[string]*object)
	var queue []*object
	for _, o := range objects {
		if best := bySoname[o.soname]; best == nil || compareObjects(o, best) < 0 {
			bySoname[o.soname] = o
		}
		if slices.Contains(files, o.path) {
			queue = append(queue, o)
		}
	}
	if len(queue) < len(files) {
		return nil, unmet("not all of %q are ELF files of the packages", files)
	}
	kept, seen := make(map[*control.Package]bool), make(map[*object]bool)
	for len(queue) > 0 {
		o := queue[0]
		queue = queue[1:]
		if seen[o] {
			continue
		}
		seen[o], kept[o.pkg] = true, true
		for _, name := range o.needed {
			library := bySoname[name]
			if library == nil {
				return nil, unmet("file %q of %s needs %q, which no dependency has", o.path, label(o.pkg), name)
			}
			queue = append(queue, library)
		}
	}
	return slices.DeleteFunc(slices.Clone(packages), func(p *control.Package) bool { return !kept[p] }), nil
}

// compareObjects sorts first what the dynamic linker would find first:
// a library in a plain library directory before a private one further down.
func compareObjects(a, b *object) int {
	return cmp.Or(
		cmp.Compare(strings.Count(a.path, "/"), strings.Count(b.path, "/")),
		strings.Compare(a.path, b.path),
		strings.Compare(a.pkg.Name, b.pkg.Name),
	)
}

// objects returns the ELF files of packages, which are fetched and unpacked for it one after the other.
func (r *resolver) objects(ctx context.Context, u *universe, packages []*control.Package) (objects []*object, err error) {
	entries := make([]lock.Entry, len(packages))
	for i, p := range packages {
		entries[i] = u.entry(p)
	}
	paths, err := r.Fetch(ctx, entries)
	if err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp(r.TempDir, "resolve-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	root, err := os.OpenRoot(temp)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	for i, p := range packages {
		file := paths[p.SHA256]
		if file == "" {
			return nil, fmt.Errorf("fetch %q: no copy was made", p.Filename)
		}
		found, err := unpackObjects(ctx, root, strconv.Itoa(i), file, p)
		if err != nil {
			return nil, err
		}
		objects = append(objects, found...)
		r.Sink.Emit(event.Event{
			Time: r.Archive.Now(), Kind: event.Progress, Stage: r.Stage, Unit: event.Packages,
			Done: int64(i + 1), Total: int64(len(packages)),
		})
	}
	return objects, nil
}

// unpackObjects unpacks into a directory below root what may be a program or a library,
// reads it and removes it again.
func unpackObjects(ctx context.Context, root *os.Root, dir, file string, p *control.Package) ([]*object, error) {
	_, err := deb.Extract(ctx, file, &deb.ExtractOptions{Root: root, Dir: dir, Filter: mayBeObject, UsrMerge: true})
	if err != nil {
		return nil, err
	}
	var objects []*object
	err = fs.WalkDir(root.FS(), dir, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == dir {
			return nil // nothing of the package was kept
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		o, err := readObject(root, name)
		if err != nil {
			err = fmt.Errorf("file %q of %s: %w", name, label(p), err)
			return fault.New(fault.Verify, err, "the package is broken: use another mirror with `--mirror`")
		}
		if o != nil {
			o.pkg, o.path = p, strings.TrimPrefix(name, dir+"/")
			objects = append(objects, o)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return objects, root.RemoveAll(dir)
}

// mayBeObject spares unpacking documentation and data.
func mayBeObject(name string) bool {
	return strings.HasPrefix(name, "usr/bin/") || strings.HasPrefix(name, "usr/lib")
}

// readObject returns nil if the file is no ELF file, or one that is not linked dynamically.
func readObject(root *os.Root, name string) (*object, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseObject(f, path.Base(name))
}

// parseObject is [readObject] on what a file of that name has in it.
func parseObject(r io.ReaderAt, name string) (*object, error) {
	var magic [len(elf.ELFMAG)]byte
	if n, _ := r.ReadAt(magic[:], 0); string(magic[:n]) != elf.ELFMAG {
		return nil, nil
	}
	e, err := elf.NewFile(r)
	if err != nil {
		return nil, err
	}
	if e.Type != elf.ET_DYN && e.Type != elf.ET_EXEC {
		return nil, nil
	}
	o := &object{soname: name}
	if names, err := e.DynString(elf.DT_SONAME); err == nil && len(names) == 1 {
		o.soname = names[0]
	}
	if o.needed, err = e.DynString(elf.DT_NEEDED); err != nil {
		return nil, err
	}
	for _, p := range e.Progs {
		if p.Type != elf.PT_INTERP || p.Filesz > 4096 {
			continue
		}
		interp := make([]byte, p.Filesz)
		if _, err := p.ReadAt(interp, 0); err != nil {
			return nil, err
		}
		file, _, _ := strings.Cut(string(interp), "\x00") // as the kernel reads it
		o.needed = append(o.needed, path.Base(file))
	}
	return o, nil
}
