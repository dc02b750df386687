package main

import (
	"fmt"
	"io"

	"bootstrap/internal/registry"
)

// printFound prints for people where something leads, and which store that is.
func printFound(w io.Writer, f found) {
	fmt.Fprintf(w, "%-14s %s\n", f.Kind, f.Way[0])
	for _, step := range f.Way[1:] {
		fmt.Fprintf(w, "%-14s -> %s\n", "", step)
	}
	if f.StorePath != "" {
		gone := ""
		if !f.Origin.There {
			gone = " (not there)"
		}
		fmt.Fprintf(w, "%-14s %s%s\n", "store path", f.StorePath, gone)
	} else {
		fmt.Fprintf(w, "%-14s %s\n", "part", f.Part)
	}
	if !f.There && f.Origin.There {
		fmt.Fprintf(w, "%-14s the path itself is not there\n", "note")
	}
	fmt.Fprintf(w, "%-14s %s\n", "store", f.Store)
	fmt.Fprintf(w, "%-14s %s\n", "belongs to", ownerOf(f.Origin))
	if e := f.Prefix; e != nil && e.Why != "" {
		fmt.Fprintf(w, "%-14s %s; %s\n", "note", e.Why, e.Remedy)
	}
}

// ownerOf says whose a store is.
func ownerOf(o registry.Origin) string {
	switch {
	case o.Prefix != nil:
		return prefixText(*o.Prefix)
	case o.Classic != nil:
		return fmt.Sprintf("a classic Nix, which is not ours; %s", daemonOf(o.Classic))
	}
	return "no prefix, and no Nix that is known"
}

// prefixText describes a prefix in a few words.
func prefixText(e registry.Entry) string {
	text := fmt.Sprintf("prefix %s, %s", e.Store, e.State)
	if e.NixVersion != "" {
		text += ", nix " + e.NixVersion
	}
	if e.Active {
		text += ", in this environment"
	}
	return text
}
