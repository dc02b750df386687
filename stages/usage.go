package stages

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"

	"bootstrap/internal/prefix"
)

// Usage is what one part of a prefix takes on the disk.
type Usage struct {
	What  string `json:"what"`
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"` // in blocks of the disk; a file with several names counts once
	Files int64  `json:"files"` // inodes
}

// Measure adds up the parts of a prefix.
func Measure(ctx context.Context, l prefix.Layout) ([]Usage, error) {
	parts := []Usage{
		{What: "store", Path: l.Store},
		{What: "state", Path: l.State},
		{What: "logs", Path: l.Log},
		{What: "package set", Path: l.Packages}, // of the current generation
		{What: "installer", Path: l.Work},
	}
	seen := map[[2]uint64]bool{}
	for i := range parts {
		top, err := filepath.EvalSymlinks(parts[i].Path)
		if err != nil {
			continue // there is none, which WalkDir would find, too
		}
		err = filepath.WalkDir(top, func(_ string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			info, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			st, ok := info.Sys().(*syscall.Stat_t)
			if !ok || seen[[2]uint64{uint64(st.Dev), st.Ino}] {
				return nil
			}
			seen[[2]uint64{uint64(st.Dev), st.Ino}] = true
			parts[i].Bytes += st.Blocks * 512
			parts[i].Files++
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return parts, nil
}
