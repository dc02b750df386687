package main

import (
	"fmt"
	"io"
	"path/filepath"

	"bootstrap/internal/probe"
	"bootstrap/internal/uninstall"
)

// printRemoval prints for people what is going to be removed.
func printRemoval(w io.Writer, r *uninstall.Removal) {
	fmt.Fprintf(w, "\nTo be removed from %s:\n\n", r.Layout.Root)
	for _, step := range r.Steps {
		for _, line := range gathered(step.Paths) {
			fmt.Fprintf(w, "  %-14s %s\n", step.Name, line)
		}
	}
	for _, file := range r.Hooks {
		fmt.Fprintf(w, "  %-14s the marked block in %s\n", uninstall.ShellHooks, file)
	}
	listed(w, "Not ours, and stays:", r.Foreign)
	listed(w, "Links that will lead nowhere:", r.Dangling)
	listed(w, "Note:", r.Warnings)
	fmt.Fprintln(w)
}

// few is how many paths of one directory are listed one by one.
const few = 4

// gathered returns a line for each path, and one line for those of a directory that has many.
// The paths come in the order that their directories are first named.
func gathered(paths []string) []string {
	byDir := map[string][]string{}
	var dirs []string
	for _, p := range paths {
		dir := filepath.Dir(p)
		if byDir[dir] == nil {
			dirs = append(dirs, dir)
		}
		byDir[dir] = append(byDir[dir], p)
	}
	var lines []string
	for _, dir := range dirs {
		if n := len(byDir[dir]); n > few {
			lines = append(lines, fmt.Sprintf("%d entries of %s", n, dir))
		} else {
			lines = append(lines, byDir[dir]...)
		}
	}
	return lines
}

// printReport prints for people what was removed, and what was not.
func printReport(w io.Writer, r uninstall.Report) {
	fmt.Fprintf(w, "Removed %d files, %s.\n", r.Files, probe.Size(r.Bytes))
	listed(w, "Could not be removed:", r.Failed)
	listed(w, "Left where it is, since it is not ours:", r.Foreign)
	listed(w, "Note:", r.Warnings)
}

// printDownloads says what is left of the cache, and what to do about it.
func printDownloads(w io.Writer, d *downloads) {
	switch {
	case d == nil:
	case d.Removed:
		fmt.Fprintf(w, "\nRemoved the cache of downloads, %s.\n", probe.Size(d.Bytes))
	case d.foreign != "": // what it is, nobody knows
	default:
		fmt.Fprintf(w, "\nThe cache of downloads stays, for other prefixes: %s, %s.\nTo remove it: rm -r %s\n",
			d.Path, probe.Size(d.Bytes), quoted(d.Path))
	}
}

func listed(w io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, l := range lines {
		fmt.Fprintf(w, "  %s\n", l)
	}
}
