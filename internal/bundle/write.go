// Package bundle carries closures from one prefix to another of the same store directory, in a file.
//
// The file is a tarball, compressed with zstd, that every tar can unpack:
//
//	nix-path-registration        what Nix has registered of the paths (see [closure.Registration])
//	opt/store/<digest>-<name>    the store paths, in the order of the registration, each with all
//	opt/store/<digest>-<name>/…  that is in it, directories first and names in order
//
// Whoever reads one trusts nothing in it. No path gets its name in the store before all of the file
// was read and every path was found to have the contents that it is registered with.
package bundle

import (
	"archive/tar"
	"context"
	"io"
	"os"
	"time"

	"bootstrap/internal/closure"
	"bootstrap/internal/packed"

	"github.com/klauspost/compress/zstd"
)

// registrationName is the first entry. NixOS calls it so in the tarballs of whole systems.
const registrationName = "nix-path-registration"

// Options say what is written.
type Options struct {
	Closure *closure.Closure
	Root    *os.Root          // its store directory, open
	Done    func(bytes int64) // told of what was written of files; may be nil
}

// Write writes a closure: the same bytes for the same closure.
func Write(ctx context.Context, to io.Writer, o Options) error {
	// More than one goroutine would be no other bytes by the library's word, and is by nobody's promise.
	z, err := zstd.NewWriter(to, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
	if err != nil {
		return err
	}
	if err := write(ctx, z, o); err != nil {
		return err
	}
	return z.Close()
}

func write(ctx context.Context, to io.Writer, o Options) error {
	w := packed.Writer{Tar: tar.NewWriter(to), Done: o.Done}
	if err := w.File(registrationName, 0o444, closure.Registration(o.Closure.Paths)); err != nil {
		return err
	}
	for _, p := range o.Closure.Paths {
		if err := w.Store(ctx, o.Root, o.Closure.Store, p.Base()); err != nil {
			return err
		}
	}
	return w.Tar.Close()
}

// epoch is the time that all files in a store have.
func epoch() time.Time { return time.Unix(1, 0) }
