// Package nixsource reads some files of a source of Nix: of an unpacked directory, or of an archive
// as upstream and Debian publish it. It writes nothing, follows no link out of the directory,
// and does not unpack anything.
package nixsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"bootstrap/internal/fault"

	version "github.com/hashicorp/go-version"
)

// versionFile is the file in which a source of Nix says its version.
const versionFile = ".version"

// Most bytes that are read: of one file, and of an archive when it is unpacked. A source of
// Nix 2.26 has some 20 MB, and its largest file that is patched 0.2 MB.
const (
	maxFile    = 8 << 20
	maxArchive = 1 << 30
)

// Source is what was read of a source of Nix.
type Source struct {
	Version *version.Version
	Ending  string            // of an archive's name, by what it is: ".tar", ".tar.gz", ".tar.xz"; "" for a directory
	Files   map[string][]byte // those that were asked for and are there, by their paths in the source
}

const hint = "give the directory or the archive (.tar, .tar.gz, .tar.xz) of a source of Nix"

// Read reads files, given by their paths in the source, of a directory or an archive. What is
// no source of Nix is an error of kind [fault.Usage].
func Read(ctx context.Context, path string, files []string) (*Source, error) {
	return ReadAs(ctx, path, path, files)
}

// ReadAs is [Read] of a file that people know by another name.
func ReadAs(ctx context.Context, name, path string, files []string) (*Source, error) {
	s, err := read(ctx, path, files)
	if err != nil && ctx.Err() == nil {
		return nil, fault.New(fault.Usage, fmt.Errorf("source %q: %w", name, err), hint)
	}
	return s, err
}

func read(ctx context.Context, path string, files []string) (*Source, error) {
	wanted := map[string]bool{versionFile: true}
	for _, file := range files {
		wanted[file] = true
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unwrapped(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, unwrapped(err)
	case info.IsDir():
		return fromDirectory(path, wanted)
	case !info.Mode().IsRegular():
		return nil, errors.New("is neither a directory nor a file")
	}
	return fromArchive(ctx, f, wanted)
}

func fromDirectory(path string, wanted map[string]bool) (_ *Source, err error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	found := map[string][]byte{}
	for name := range wanted {
		switch data, err := readIn(root, name); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, fmt.Errorf("file %q: %w", name, err)
		default:
			found[name] = data
		}
	}
	return newSource(found)
}

// readIn reads a file that does not lead out of the directory.
func readIn(root *os.Root, name string) ([]byte, error) {
	info, err := root.Lstat(filepath.FromSlash(name))
	if err != nil {
		return nil, unwrapped(err)
	}
	if !info.Mode().IsRegular() { // a pipe would be waited for
		return nil, errors.New("is not a file")
	}
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, unwrapped(err)
	}
	defer f.Close()
	return limited(f)
}

// limited reads all there is, unless it is more than a source file has.
func limited(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("has more than %d bytes", maxFile)
	}
	return data, err
}

// newSource takes the version out of the files.
func newSource(found map[string][]byte) (*Source, error) {
	text, there := found[versionFile]
	if !there {
		return nil, fmt.Errorf("there is no %s in it, which every source of Nix has", versionFile)
	}
	v, err := version.NewVersion(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: %q is no version", versionFile, strings.TrimSpace(string(text)))
	}
	delete(found, versionFile)
	return &Source{Version: v, Files: found}, nil
}

// unwrapped returns an error without the path, which the caller says.
func unwrapped(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
