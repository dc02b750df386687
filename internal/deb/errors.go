package deb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"bootstrap/internal/fault"
)

// EntryError says that an entry of a package cannot be unpacked safely.
type EntryError struct {
	Name   string // as the package has it
	Reason string
}

// Error returns the name and the reason.
func (e *EntryError) Error() string { return fmt.Sprintf("entry %q: %s", e.Name, e.Reason) }

// LimitError says that a package, or a file to be read whole, is larger than allowed.
type LimitError struct {
	Max int64 // bytes
}

// Error returns the limit.
func (e *LimitError) Error() string { return fmt.Sprintf("larger than %d bytes uncompressed", e.Max) }

// FormatError says that a file is not a whole .deb of a kind this package knows.
type FormatError struct {
	Reason string
	Err    error // the cause; may be nil
}

// Error returns the reason and the cause.
func (e *FormatError) Error() string {
	if e.Err == nil {
		return e.Reason
	}
	return e.Reason + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *FormatError) Unwrap() error { return e.Err }

// wrap makes err one about the package at path,
// and a [fault.Verify] unless the context or this host is to blame.
func wrap(op, path string, err error) error {
	wrapped := fmt.Errorf("%s %q: %w", op, path, err)
	var entry *EntryError
	var limit *LimitError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return wrapped
	case errors.As(err, &entry), errors.As(err, &limit):
		return fault.New(fault.Verify, wrapped,
			"no Debian archive serves such a package: check where the lock file and the mirror come from")
	case isHost(err):
		return wrapped
	case errors.Is(err, errors.ErrUnsupported):
		return fault.New(fault.Verify, wrapped, "packages compressed by xz, zstd, gzip or not at all can be unpacked")
	default:
		return fault.New(fault.Verify, wrapped,
			"the file is damaged: remove it, and run the command again to fetch it anew")
	}
}

// isHost returns whether err comes from a system call of ours rather than from the package's bytes.
func isHost(err error) bool {
	var p *fs.PathError
	var l *os.LinkError
	return errors.As(err, &p) || errors.As(err, &l)
}

// ofPackage lists what a system call answers when a name asks for the impossible.
var ofPackage = []error{
	syscall.EEXIST, syscall.EISDIR, syscall.ELOOP, syscall.ENAMETOOLONG,
	syscall.ENOENT, syscall.ENOTDIR, syscall.ENOTEMPTY,
}

// diskError turns the error of an operation on an entry into an [*EntryError]
// where the entry's name or target is the cause, and leaves the others, such as a full disk, as they are.
func diskError(name string, err error) error {
	if err == nil || !isHost(err) {
		return err
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		// os.Root has no exported error for a path that leads out,
		// and it is the only one that is not a system call's.
		return &EntryError{Name: name, Reason: "leads out of the directory it is unpacked into"}
	}
	for _, e := range ofPackage {
		if errors.Is(err, e) {
			return &EntryError{Name: name, Reason: errno.Error()}
		}
	}
	return err
}
