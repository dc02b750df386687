package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"bootstrap/internal/fault"
)

// isHost reports whether an error comes from a system call of ours rather than from what was read.
func isHost(err error) bool {
	var p *fs.PathError
	var l *os.LinkError
	return errors.As(err, &p) || errors.As(err, &l)
}

// wrap makes an error one about a file, and of the kind that fits.
func wrap(file string, err error) error {
	var format *FormatError
	var f *fault.Error
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.As(err, &f):
		return err
	case errors.As(err, &format):
		return fault.New(fault.Verify, fmt.Errorf("import %q: %w", file, err),
			"it was damaged on the way, or is not by `bootstrap export tar`; copy it again, nothing of it was registered")
	}
	return fmt.Errorf("import %q: %w", file, err)
}
