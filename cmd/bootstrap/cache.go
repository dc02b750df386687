package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"

	"bootstrap/internal/fault"
)

// downloads is the cache of downloads: what internal/fetch keeps, and the program itself,
// which scripts/install.sh keeps beside it.
type downloads struct {
	Path    string `json:"path"`
	Bytes   int64  `json:"bytes"` // in blocks of the disk
	Removed bool   `json:"removed"`

	foreign string // something in it that is not ours; "" if all of it is
}

// cacheTop are the entries of the cache, and cacheEntry matches everything that may be in it.
var (
	cacheTop   = []string{"sha256", "tmp", "bin"}
	cacheEntry = regexp.MustCompile(`^(sha256(/[0-9a-f]{2}(/[0-9a-f]{64})?)?` +
		`|tmp(/[0-9a-f]{64}\.(part|[^/]*\.tmp))?` +
		`|bin(/bootstrap|/bootstrap-checkout|/tmp\.[^/]+(/[^/]+)?)?)$`)
)

// findDownloads looks at a cache; nil stands for one that is not there, or empty.
func findDownloads(dir string) (*downloads, error) {
	d := &downloads{Path: dir}
	entries := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			if err == nil && !e.IsDir() {
				d.foreign = path // a link, whose target may be anything
			}
			return err
		}
		entries++
		if !cacheEntry.MatchString(path[len(dir)+1:]) || !e.IsDir() && !e.Type().IsRegular() {
			if d.foreign == "" {
				d.foreign = path
			}
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			d.Bytes += st.Blocks * 512
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) || err == nil && entries == 0 && d.foreign == "" {
		return nil, nil
	}
	return d, err
}

// check refuses a directory that has anything in it that is not ours: it may be no cache at all.
func (d *downloads) check() error {
	if d.foreign == "" {
		return nil
	}
	return fault.New(fault.Usage, fmt.Errorf("cache %q: %q is not ours", d.Path, d.foreign),
		"leave --cache out, and remove by hand what you do not need")
}

// remove removes a cache that was checked; what came to it since then stays.
func (d *downloads) remove() error {
	root, err := os.OpenRoot(d.Path)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, name := range cacheTop {
		if err := root.RemoveAll(name); err != nil {
			return fmt.Errorf("cache %q: %w", d.Path, err)
		}
	}
	d.Removed = true
	if err := os.Remove(d.Path); err != nil {
		return err
	}
	// The directory above may have been made for it; if it is not empty, it has other uses.
	if filepath.Base(filepath.Dir(d.Path)) == ".cache" {
		_ = os.Remove(filepath.Dir(d.Path))
	}
	return nil
}
