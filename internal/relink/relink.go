// Package relink makes programs and libraries of Debian run from another directory.
//
// It changes the interpreter and the RUNPATH of ELF files with patchelf, and takes the
// directories of the host out of their dynamic loader. The files are those of a directory that
// belongs to the caller; it never looks at those of the host.
package relink

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"bootstrap/internal/run"

	"golang.org/x/sync/errgroup"
)

// Triplet returns the name of the directory below lib that has the libraries of a Debian
// architecture; "" for one that is not known.
func Triplet(arch string) string {
	return map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[arch]
}

// Loader returns the file name of the dynamic loader of a Debian architecture; "" for one that
// is not known.
func Loader(arch string) string {
	return map[string]string{"amd64": "ld-linux-x86-64.so.2", "arm64": "ld-linux-aarch64.so.1"}[arch]
}

// Tool is a patchelf, and what it needs to be run from where it lies. None of the files it is
// made of may be among those it changes.
//
// It must be 0.14.3: 0.18 breaks programs that are not position-independent.
type Tool struct {
	Program   string // absolute path
	Loader    string // absolute path of its dynamic loader
	Libraries string // absolute paths of directories, as LD_LIBRARY_PATH has them
	Log       string // file that gets what it says
}

// Runtime finds the loader and the library directories below a directory that packages with a C
// library were unpacked into.
func Runtime(dir, loader, triplet string) (file, libraries string, err error) {
	var dirs []string
	for _, d := range []string{"lib/" + triplet, "usr/lib/" + triplet} {
		dirs = append(dirs, filepath.Join(dir, d))
	}
	for _, d := range dirs {
		candidate := filepath.Join(d, loader)
		if info, serr := os.Stat(candidate); serr == nil && info.Mode().IsRegular() {
			file = candidate
		}
	}
	if file == "" {
		return "", "", fmt.Errorf("relink %q: no %s in it", dir, loader)
	}
	return file, strings.Join(dirs, ":"), nil
}

// Options says what to relink.
type Options struct {
	Libraries string   // directory with the shared libraries, absolute; they will look for each other there
	Programs  []string // absolute paths; they will look for libraries there too
	Loader    string   // file name of the dynamic loader in Libraries
	Triplet   string   // see [Triplet]
	Parallel  int      // files at a time; default 1
}

// Tree relinks a directory of libraries, and programs that use them.
func (t Tool) Tree(ctx context.Context, o Options) error {
	objects, err := t.objects(o)
	if err != nil {
		return err
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, o.Parallel))
	for _, object := range objects {
		group.Go(func() error { return t.relink(gctx, o, object) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return Seal(filepath.Join(o.Libraries, o.Loader), o.Triplet)
}

// untouched are files that patchelf breaks, and that need nothing: the C library's own.
func untouched(name, loader string) bool {
	return name == loader || name == "libc.so.6" || name == "libm.so.6"
}

func (t Tool) objects(o Options) ([]string, error) {
	objects := append([]string(nil), o.Programs...)
	entries, err := os.ReadDir(o.Libraries)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Type().IsRegular() && !untouched(e.Name(), o.Loader) {
			objects = append(objects, filepath.Join(o.Libraries, e.Name()))
		}
	}
	return objects, nil
}

func (t Tool) relink(ctx context.Context, o Options, object string) error {
	kind, err := inspect(object)
	if err != nil {
		return fmt.Errorf("relink %q: %w", object, err)
	}
	var args []string
	switch kind {
	case program:
		args = []string{"--set-interpreter", filepath.Join(o.Libraries, o.Loader), "--set-rpath", o.Libraries}
	case library:
		args = []string{"--set-rpath", o.Libraries}
	default:
		return nil
	}
	cmd := run.Cmd{
		Path: t.Loader, Env: run.Env{"LC_ALL": "C"}, LogFile: t.Log,
		Args: append([]string{"--library-path", t.Libraries, t.Program}, append(args, object)...),
	}
	if err := cmd.Run(ctx); err != nil {
		return err
	}
	return mendProperty(object)
}

type kind int

const (
	other kind = iota
	program
	library
)

// inspect tells a program from a library, and both from files that need no relinking.
func inspect(path string) (_ kind, err error) {
	file, err := os.Open(path)
	if err != nil {
		return other, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return kindOf(file)
}

// kindOf trusts nothing that r says of itself, its size included.
func kindOf(r io.ReaderAt) (kind, error) {
	magic := make([]byte, len(elf.ELFMAG))
	if _, err := r.ReadAt(magic, 0); err != nil && err != io.EOF {
		return other, err
	}
	if string(magic) != elf.ELFMAG {
		return other, nil // a linker script, for example
	}
	f, err := elf.NewFile(r)
	if err != nil {
		return other, err
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return program, nil
		}
	}
	needed, err := f.ImportedLibraries()
	if err != nil {
		return other, err
	}
	if len(needed) == 0 {
		return other, nil
	}
	return library, nil
}

// Seal makes a dynamic loader find libraries only where a program's RUNPATH says: the host's
// library directories, their cache and the list of libraries to preload become names below
// /dev, where no libraries are. A host's library was made for another C library. The names keep
// their length, since the loader has the lengths in a table.
func Seal(path, triplet string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, r := range replacements(triplet) {
		if !bytes.Contains(data, r.old) {
			return fmt.Errorf("seal %q: no %q in it", path, r.old)
		}
		data = bytes.ReplaceAll(data, r.old, r.new)
	}
	return replaceFile(path, data, info.Mode())
}

type replacement struct{ old, new []byte }

func replacements(triplet string) []replacement {
	dirs := []string{"/lib/" + triplet + "/", "/usr/lib/" + triplet + "/", "/lib/", "/usr/lib/"}
	var old, sealed bytes.Buffer
	for _, d := range dirs {
		old.WriteString(d + "\x00")
		sealed.WriteString("/dev" + strings.Repeat("/", len(d)-len("/dev")) + "\x00")
	}
	return []replacement{
		{old.Bytes(), sealed.Bytes()},
		{[]byte("\x00/etc/ld.so.cache\x00"), []byte("\x00/dev/ld.so.cache\x00")},
		{[]byte("\x00/etc/ld.so.preload\x00"), []byte("\x00/dev/ld.so.preload\x00")},
	}
}

// replaceFile gives path a new file with the data: the loader may be running.
func replaceFile(path string, data []byte, mode fs.FileMode) error {
	tmp := path + ".sealed"
	if err := os.WriteFile(tmp, data, mode.Perm()); err != nil {
		return err
	}
	if err := os.Chmod(tmp, mode.Perm()); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
