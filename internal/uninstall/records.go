package uninstall

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/journal"
	"bootstrap/internal/prefix"
	"bootstrap/internal/shellrc"
)

// records are what journal and receipt say together.
type records struct {
	dirs     map[string]bool // directories we made, to go when they are empty
	trees    map[string]bool // directories we made that are wholly ours
	files    []record        // files and links, each once
	hooks    []shellrc.Change
	warnings []string
}

type record struct {
	kind journal.Kind
	path string
}

// gather merges the records and drops those that a removal must not act on:
// a journal is a file, and whoever can write to it must not get to choose what root removes.
func gather(o Options) *records {
	var all []record
	if o.Journal != nil {
		for _, r := range o.Journal.Created() {
			all = append(all, record{r.Kind, r.Path})
		}
	}
	rec := &records{dirs: map[string]bool{}, trees: map[string]bool{}}
	if o.Receipt != nil {
		for _, m := range o.Receipt.Made {
			all = append(all, record{journal.Kind(m.Kind), m.Path})
		}
		for _, h := range o.Receipt.Hooks {
			rec.hooks = append(rec.hooks, shellrc.Change{Path: h.File, Created: h.Created})
		}
	}
	seen := map[record]bool{}
	for _, r := range all {
		if !seen[r] {
			seen[r] = true
			rec.take(o.Layout, r)
		}
	}
	return rec
}

func (rec *records) take(l prefix.Layout, r record) {
	if cause := refuse(l, r); cause != "" {
		rec.warnings = append(rec.warnings, fmt.Sprintf("left %q: it is recorded as made, but %s", r.path, cause))
		return
	}
	switch {
	case r.kind == journal.Tree, r.kind == journal.Directory && r.path == l.Work:
		rec.trees[r.path] = true
	case r.kind == journal.Directory:
		rec.dirs[r.path] = true
	case r.kind == journal.Block:
		same := func(c shellrc.Change) bool { return c.Path == r.path }
		if !slices.ContainsFunc(rec.hooks, same) {
			rec.hooks = append(rec.hooks, shellrc.Change{Path: r.path})
		}
	case !slices.Contains(last(l), r.path):
		rec.files = append(rec.files, r)
	}
}

// refuse says why a record cannot be believed, or returns the empty string.
// A directory is only removed empty and a block only by its marks, so they may be anywhere.
func refuse(l prefix.Layout, r record) string {
	if !filepath.IsAbs(r.path) || filepath.Clean(r.path) != r.path || r.path == "/" {
		return "its path is not absolute and clean"
	}
	switch r.kind {
	case journal.Directory, journal.Block:
		return ""
	case journal.File, journal.Link, journal.Tree:
	default:
		return fmt.Sprintf("kind %q is not known", r.kind)
	}
	base := baseOf(l, r.path)
	if base == "" {
		return "it lies outside of the prefix"
	}
	// These two may have been links to a directory of the host's since before us.
	if (base == l.Share || base == l.ProfileD) && unlinked(base) != nil {
		own := []string{l.Packages, l.EnvFile("sh"), l.EnvFile("fish"), l.EnvFile("csh")}
		if !slices.Contains(own, r.path) {
			return fmt.Sprintf("%q is reached by a symbolic link", base)
		}
	}
	if r.kind == journal.Tree {
		for _, d := range []string{l.Root, l.Store, l.State, l.Log, l.Conf, l.ProfileD} {
			if within(d, r.path) {
				return fmt.Sprintf("%q is in it", d)
			}
		}
	}
	return ""
}

func (rec *records) empty() bool {
	return len(rec.dirs)+len(rec.trees)+len(rec.files)+len(rec.hooks) == 0
}

// made reports whether the directory was made by us.
func (rec *records) made(dir string) bool { return rec.dirs[dir] || rec.trees[dir] }

// deepestFirst returns the directories to be removed when empty.
func (rec *records) deepestFirst() []string {
	var dirs []string
	for d := range rec.dirs {
		dirs = append(dirs, d)
	}
	slices.SortFunc(dirs, func(a, b string) int {
		if d := strings.Count(b, "/") - strings.Count(a, "/"); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return dirs
}

// strict returns the directories of a layout that are free of symbolic links.
func strict(l prefix.Layout) []string {
	return []string{l.Root, l.Store, l.State, l.Log, l.Conf, l.Work, l.RunLog}
}

// baseOf returns the innermost directory of the layout that holds path, or the empty string.
func baseOf(l prefix.Layout, path string) string {
	base := ""
	for _, dir := range append(strict(l), l.Share, l.ProfileD) {
		if within(path, dir) && len(dir) > len(base) {
			base = dir
		}
	}
	return base
}

// within reports whether path is dir or lies below it. Both are clean.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}
