package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"bootstrap/internal/fault"
)

const hintLocal = "Give the path of the very file, or its digest if it is another one that is meant."

// take brings a file of this machine into the cache. What is copied is what is checked.
func (f *Fetcher) take(ctx context.Context, file File, p *part, m *meter) (_ string, err error) {
	// A pipe would be waited for.
	from, err := os.OpenFile(file.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", fault.New(fault.General, fmt.Errorf("take %q: %w", file.Name, err), hintLocal)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if info, err := from.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", fault.New(fault.General, fmt.Errorf("take %q: %q is not a file", file.Name, file.Path), hintLocal)
	}
	if err := p.reset(); err != nil {
		return "", localFault(f.cache.dir, err)
	}
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return "", localFault(f.cache.dir, err)
	}
	// One byte more than there should be tells that it is too large.
	limit := f.opts.MaxBytes
	if file.Size > 0 {
		limit = file.Size
	}
	if _, err := io.Copy(p.file, io.LimitReader(from, limit+1)); err != nil {
		return "", localFault(f.cache.dir, err)
	}
	d := &download{f: f, file: file, part: p, meter: m}
	path, err := d.finish(ctx, "", false)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if rank(err) > 2 {
		return "", errors.Join(fault.New(fault.Verify, fmt.Errorf("file %q: %w", file.Path, err), hintLocal), p.reset())
	}
	if err != nil {
		return "", localFault(f.cache.dir, err)
	}
	f.remember(file.SHA256, path)
	m.set(file.Size)
	return path, nil
}
