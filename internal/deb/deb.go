// Package deb unpacks Debian binary packages, the .deb files of deb(5).
//
// It owns the way from a file to names on disk, and whether another program may go that way
// ([Check]). It is the only package that imports archiver.
// Every write goes through an [os.Root], so that no entry can name, or reach by a symlink,
// anything outside of it. Owners, times, setuid and setgid bits are dropped;
// a file is 0755 when it is executable and 0644 when it is not.
// Nothing is synced: the caller does that once, for all packages.
//
// It does not check who made a package: verify its digest first.
package deb

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	pathpkg "path"
)

// DefaultMaxBytes is how much a package may unpack to when [ExtractOptions] does not say.
const DefaultMaxBytes = 4 << 30

// maxMember is the size of the largest file [ReadMember] returns.
const maxMember = 64 << 20

// ExtractOptions says where a package goes and what of it.
type ExtractOptions struct {
	// Root receives the files; it stays open. Required.
	Root *os.Root
	// Dir is the directory below Root to unpack into, which is made if it is not there.
	// Symlinks of the package cannot lead out of it. Empty means Root itself.
	Dir string
	// Filter returns whether to keep the entry of the given slash-separated name,
	// which has no leading "./" and is as it would be on disk.
	// A directory left out is still made when a file in it is kept.
	// Nil keeps all.
	Filter func(name string) bool
	// UsrMerge moves bin, sbin, lib, lib32, lib64 and libx32 at the top into usr,
	// where Debian has them as symlinks.
	UsrMerge bool
	// MaxBytes is the most that the package's tarball may come to, uncompressed,
	// entries left out included. Zero means [DefaultMaxBytes].
	MaxBytes int64
}

// Stats counts what was unpacked.
type Stats struct {
	Files int   // regular files, symlinks and hard links
	Bytes int64 // in regular files
}

// Extract unpacks the files of the package at path, an absolute path.
// Packages can be unpacked side by side into one root;
// a file that is there already is replaced, a directory never is.
//
// It stops within one read when ctx ends. What was written until an error stays.
//
// Errors a caller may test: [*EntryError], [*LimitError], [*FormatError]
// and [*ar.FormatError], each inside a [fault.Verify];
// ctx's own; those of the disk.
func Extract(ctx context.Context, path string, opts *ExtractOptions) (Stats, error) {
	if opts == nil || opts.Root == nil {
		return Stats{}, errors.New("unpack: no root is given")
	}
	u, err := newUnpacker(opts)
	if err != nil {
		return Stats{}, fmt.Errorf("unpack %q: %w", path, err)
	}
	defer u.root.Close()
	if err := walk(ctx, path, walkOptions{limit: u.max}, u.entry); err != nil {
		return u.stats, wrap("unpack", path, err)
	}
	return u.stats, nil
}

// ReadMember returns the content of one regular file of the package at path.
// The name is slash-separated and relative to the package's root;
// usr/bin/x also finds bin/x and the other way round, as on Debian itself.
// Links are not followed. A file over 64 MiB is refused.
//
// Errors a caller may test: [os.ErrNotExist], and those of [Extract].
func ReadMember(ctx context.Context, path, name string) ([]byte, error) {
	op := fmt.Sprintf("read %q of", name)
	var (
		found   []byte
		problem = os.ErrNotExist // with the entry, not with the package
		want    = usrMerge(pathpkg.Clean(name))
	)
	err := walk(ctx, path, walkOptions{limit: DefaultMaxBytes}, func(h *tar.Header, body io.Reader) error {
		got, err := cleanName(h.Name)
		if err != nil {
			return &EntryError{Name: h.Name, Reason: err.Error()}
		}
		switch {
		case usrMerge(got) != want:
			return nil
		case h.Typeflag != tar.TypeReg:
			problem = errors.New("not a regular file")
			return nil
		case h.Size > maxMember:
			problem = &LimitError{Max: maxMember}
			return nil
		}
		problem = nil
		found, err = io.ReadAll(body)
		return err
	})
	if err != nil {
		return nil, wrap(op, path, err)
	}
	if problem != nil {
		return nil, fmt.Errorf("%s %q: %w", op, path, problem)
	}
	return found, nil
}
