package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"bootstrap/internal/probe"
)

// printExported prints the table of sizes, the largest first, and what was written.
func printExported(w io.Writer, e exported) {
	rows := slices.SortedStableFunc(slices.Values(e.Paths), func(a, b pathRow) int { return cmp.Compare(b.Bytes, a.Bytes) })
	fmt.Fprintln(w)
	for _, r := range rows {
		fmt.Fprintf(w, "  %10s  %s\n", probe.Size(r.Bytes), r.Path)
	}
	fmt.Fprintf(w, "  %10s  together, %d store paths\n\n", probe.Size(e.Unpacked), len(e.Paths))
	fmt.Fprintf(w, "Wrote %s, %s.\nsha256 %s\n", e.Output, probe.Size(e.Bytes), e.SHA256)
}
