package relocate

import (
	"fmt"
	"io"
)

// node copies one file, link or directory.
func (e *engine) node(w io.Writer, file string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nar: %q: directories are nested too deeply", file)
	}
	e.report.Entries++
	out := narWriter{w}
	if err := e.r.all("(", "type"); err != nil {
		return err
	}
	typ, err := e.r.expect("regular", "symlink", "directory")
	if err != nil {
		return err
	}
	if err := out.text("(", "type", typ); err != nil {
		return err
	}
	switch typ {
	case "regular":
		err = e.file(out, file)
	case "symlink":
		err = e.link(out, file)
	default:
		err = e.directory(w, file, depth)
	}
	e.written++
	return err
}

func (e *engine) link(out narWriter, file string) error {
	if err := e.r.all("target"); err != nil {
		return err
	}
	target, err := e.r.text(maxTarget)
	if err != nil {
		return err
	}
	e.replace(target, file, LinkTarget)
	if err := e.r.all(")"); err != nil {
		return err
	}
	return out.text("target", string(target), ")")
}

// replace rewrites a short text in place, as a content is.
func (e *engine) replace(text []byte, file string, what Hazard) {
	e.names.note = func(f Finding) {
		f.Offset = -1
		if f.Hazard == Plain {
			f.Hazard = what
		}
		e.note(f)
	}
	e.names.short(text, file)
}

func (e *engine) directory(w io.Writer, file string, depth int) error {
	d := &directory{all: e.all[file]}
	last := ""
	for {
		t, err := e.r.expect("entry", ")")
		if err != nil {
			return err
		}
		if t == ")" {
			if err := d.close(w); err != nil {
				return err
			}
			return narWriter{w}.text(")")
		}
		if err := e.r.all("(", "name"); err != nil {
			return err
		}
		text, err := e.r.text(maxName)
		if err != nil {
			return err
		}
		name := string(text)
		if err := checkName(name); err != nil {
			return err
		}
		if name <= last && last != "" {
			return fmt.Errorf("nar: %q: entry %q is not in order", file, name)
		}
		last = name
		child := join(file, name)
		e.replace(text, child, FileName)
		to, err := d.place(name, string(text), child, e.store, w)
		if err != nil {
			return err
		}
		if err := e.entry(to, child, string(text), depth); err != nil {
			return err
		}
	}
}

func (e *engine) entry(w io.Writer, file, target string, depth int) error {
	if err := (narWriter{w}).text("entry", "(", "name", target, "node"); err != nil {
		return err
	}
	if err := e.r.all("node"); err != nil {
		return err
	}
	if err := e.node(w, file, depth+1); err != nil {
		return err
	}
	if err := e.r.all(")"); err != nil {
		return err
	}
	return narWriter{w}.text(")")
}

// file copies a regular file.
func (e *engine) file(out narWriter, file string) error {
	t, err := e.r.expect("contents", "executable")
	if err != nil {
		return err
	}
	if t == "executable" {
		if err := e.r.all("", "contents"); err != nil {
			return err
		}
		err = out.text("executable", "", "contents")
	} else {
		err = out.text("contents")
	}
	if err != nil {
		return err
	}
	length, err := e.r.length()
	if err != nil {
		return err
	}
	if length >= 1<<62 {
		return fmt.Errorf("nar: %q has %d bytes", file, length)
	}
	if err := out.length(length); err != nil {
		return err
	}
	if err := e.copy(out.w, file, int64(length)); err != nil {
		return err
	}
	if err := e.r.padding(length); err != nil {
		return err
	}
	if err := out.padding(length); err != nil {
		return err
	}
	if err := e.r.all(")"); err != nil {
		return err
	}
	return out.text(")")
}
