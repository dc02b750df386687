package lock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// Marshal returns the canonical form of the lock: sorted, one suite and one entry a line,
// so that a difference between two locks reads as the files it is about.
// It leaves l as it is.
func (l *Lock) Marshal() []byte {
	c := l.canonical()
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\n  \"version\": %d,\n  \"timestamp\": %s,\n", c.Version, line(c.Timestamp))
	writeList(&b, "suites", c.Suites)
	b.WriteString(",\n")
	writeList(&b, "entries", c.Entries)
	b.WriteString("\n}\n")
	return b.Bytes()
}

// canonical returns a copy in canonical order that shares nothing with l which is sorted.
func (l *Lock) canonical() *Lock {
	c := *l
	c.Version = l.format()
	c.Suites = slices.Clone(l.Suites)
	c.Entries = slices.Clone(l.Entries)
	slices.SortFunc(c.Suites, compareSuites)
	slices.SortFunc(c.Entries, compareEntries)
	for i := range c.Entries {
		e := &c.Entries[i]
		e.Roles = slices.Sorted(slices.Values(e.Roles))
		e.For = slices.Sorted(slices.Values(e.For))
	}
	return &c
}

func writeList[T any](b *bytes.Buffer, name string, items []T) {
	fmt.Fprintf(b, "  %q: [", name)
	for i, item := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n    ")
		b.Write(line(item))
	}
	if len(items) > 0 {
		b.WriteString("\n  ")
	}
	b.WriteByte(']')
}

// line returns v as JSON on one line, with <, > and & as they are: versions and names may hold them.
func line(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	// Strings, numbers and lists of strings: nothing in a lock can fail to encode.
	_ = enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
