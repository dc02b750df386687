package relocate

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Entries of a directory are sorted by name, so renamed ones have to move. One that moves behind others is held until
// its turn comes. One that moves before others that were written already needs to be known of beforehand: if the
// source can be read twice, its names are read first.

// OrderError says that a source would have to be read twice, and cannot be.
type OrderError struct{ File string }

func (e *OrderError) Error() string {
	return fmt.Sprintf("relocate: %q moves before entries that were written already: give a source that can seek", e.File)
}

// directory is one that is being written.
type directory struct {
	all  bool // hold everything: something will move before it
	last string
	held []*entry
}

// place says where an entry goes: into the stream, or into an entry that is held.
func (d *directory) place(name, target, file string, s *store, w io.Writer) (io.Writer, error) {
	if err := d.flush(name, w); err != nil {
		return nil, err
	}
	if d.all || target != name {
		if target <= d.last && d.last != "" {
			return nil, &OrderError{file}
		}
		e := &entry{name: target, s: s}
		d.held = append(d.held, e)
		return e, nil
	}
	if name <= d.last {
		return nil, &OrderError{file}
	}
	d.last = name
	return w, nil
}

// flush writes what is held and comes before a name. In a directory of which everything is held it does nothing.
func (d *directory) flush(name string, w io.Writer) error {
	if d.all {
		return nil
	}
	return d.release(w, func(held string) bool { return held < name })
}

func (d *directory) release(w io.Writer, now func(string) bool) error {
	slices.SortFunc(d.held, func(a, b *entry) int { return strings.Compare(a.name, b.name) })
	n := 0
	for ; n < len(d.held) && now(d.held[n].name); n++ {
		if d.held[n].name <= d.last && d.last != "" {
			return fmt.Errorf("relocate: two entries are called %q", d.held[n].name)
		}
		d.last = d.held[n].name
		if err := d.held[n].release(w); err != nil {
			return err
		}
	}
	d.held = slices.Delete(d.held, 0, n)
	return nil
}

// close writes what is still held.
func (d *directory) close(w io.Writer) error {
	return d.release(w, func(string) bool { return true })
}

// outline returns the directories in which an entry moves before others, from the names alone.
func outline(m *Map, src io.ReadSeeker) (map[string]bool, error) {
	o := outliner{m: m, src: src, r: narReader{r: bufio.NewReaderSize(src, 4096)}, all: map[string]bool{}}
	if err := o.r.all("nix-archive-1"); err != nil {
		return nil, err
	}
	return o.all, o.node("", 0)
}

type outliner struct {
	m   *Map
	src io.ReadSeeker
	r   narReader
	all map[string]bool
}

func (o *outliner) node(file string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nar: %q: directories are nested too deeply", file)
	}
	if err := o.r.all("(", "type"); err != nil {
		return err
	}
	typ, err := o.r.expect("regular", "symlink", "directory")
	if err != nil {
		return err
	}
	switch typ {
	case "regular":
		return o.file()
	case "symlink":
		if err := o.r.all("target"); err != nil {
			return err
		}
		if _, err := o.r.text(maxTarget); err != nil {
			return err
		}
		return o.r.all(")")
	}
	last := ""
	for {
		t, err := o.r.expect("entry", ")")
		if err != nil || t == ")" {
			return err
		}
		if err := o.r.all("(", "name"); err != nil {
			return err
		}
		name, err := o.r.text(maxName)
		if err != nil {
			return err
		}
		child := join(file, string(name))
		target := name
		o.m.replaceString(target)
		if string(target) <= last && last != "" {
			o.all[file] = true
		}
		last = max(last, string(target))
		if err := o.r.all("node"); err != nil {
			return err
		}
		if err := o.node(child, depth+1); err != nil {
			return err
		}
		if err := o.r.all(")"); err != nil {
			return err
		}
	}
}

// file skips a content.
func (o *outliner) file() error {
	t, err := o.r.expect("contents", "executable")
	if err == nil && t == "executable" {
		err = o.r.all("", "contents")
	}
	if err != nil {
		return err
	}
	length, err := o.r.length()
	if err != nil {
		return err
	}
	if length >= 1<<62 {
		return fmt.Errorf("nar: a file of %d bytes", length)
	}
	skip := int64(length + -length&7)
	if skip <= int64(o.r.r.Buffered()) {
		_, err = o.r.r.Discard(int(skip))
	} else {
		_, err = o.src.Seek(skip-int64(o.r.r.Buffered()), io.SeekCurrent)
		o.r.r.Reset(o.src)
	}
	if err != nil {
		return err
	}
	return o.r.all(")")
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}
