package relocate

import (
	"bytes"
	"io"
)

// copy copies a content, with everything that has to look at it.
func (e *engine) copy(w io.Writer, file string, length int64) error {
	head, err := e.r.r.Peek(int(min(length, peek)))
	if err != nil {
		return unexpected(err)
	}
	s := sniff(head, file)
	e.lists.look(file, head)
	c := e.content
	c.out, c.keep, c.texts = w, e.o.KeepBare, true
	c.reset(file)
	writers := make([]io.Writer, 0, 5)
	var back *wayBack
	if s.code {
		c.code = newCode(&e.o.Map.chunks)
		c.code.archive, c.code.loads = s.archive, e.loads[:0]
		if !e.o.TargetMayOccur {
			if e.back == nil {
				e.back = newWayBack(e.o.Map, drift{seed: c.drift.seed})
			}
			back = e.back
			back.start(c, e.o.KeepBare)
			c.out = io.MultiWriter(w, back)
		}
	}
	var sections interface {
		io.Writer
		hazards() map[Hazard]string
	}
	switch {
	case s.elf:
		c.names = names{}
		sections = &elfWatch{names: c.names}
	case s.archive:
		c.names = names{}
		sections = newArWatch(c.names, func() int64 { return c.plain })
	}
	if sections != nil {
		writers = append(writers, sections)
	}
	var list *limitedBuffer
	if isList(file) {
		list = &limitedBuffer{}
		writers = append(writers, list)
	}
	tail := &tailBuffer{}
	writers = append(writers, tail)
	var inside *inspection
	if s.inside {
		inside = e.inspect(s.detail)
		writers = append(writers, inside.w)
	}
	err = e.pour(length, c, writers)
	if inside != nil {
		inside.close(err)
	}
	if err != nil {
		return err
	}
	if err := c.Close(); err != nil {
		return err
	}
	if c.code != nil {
		e.loads = c.code.loads
	}
	if back != nil {
		if err := back.judge(e, c); err != nil {
			return err
		}
	}
	if list != nil {
		e.list(list, file)
	}
	if sections != nil {
		for h, what := range sections.hazards() {
			if h == DebugLink {
				e.lists.link(file)
				continue
			}
			e.note(Finding{Refused, h, file, -1, what})
		}
	}
	if inside != nil {
		inside.judge(e, s, file)
	}
	e.judge(c, s, file, tail)
	return nil
}

// judge refuses what must not be changed.
func (e *engine) judge(c *content, s sort, file string, tail *tailBuffer) {
	if c.changed {
		e.lists.change(file)
	}
	switch {
	case s.always != "":
		e.note(Finding{Refused, s.always, file, -1, s.detail})
	case s.hits != "" && c.hits > 0:
		e.note(Finding{Refused, s.hits, file, -1, s.detail})
	case c.changed && bytes.HasSuffix(tail.b, []byte("~Module signature appended~\n")):
		e.note(Finding{Refused, Signed, file, -1, "a module's signature is appended"})
	}
}

// list takes a list of digests, or refuses one that is too long.
func (e *engine) list(l *limitedBuffer, file string) {
	if l.over {
		e.note(Finding{Refused, Listed, file, -1, "it is longer than what is read"})
		return
	}
	e.lists.lines(file, string(l.b))
}

// pour hands a content to the rewriter, and to all that only look at it.
func (e *engine) pour(length int64, c *content, to []io.Writer) error {
	for length > 0 {
		b := c.room()
		b = b[:min(int64(len(b)), length, 64<<10)]
		n, err := e.r.r.Read(b)
		length -= int64(n)
		for _, w := range to {
			if _, err := w.Write(b[:n]); err != nil {
				return err
			}
		}
		if err := c.took(n); err != nil {
			return err
		}
		if err != nil && length > 0 {
			return unexpected(err)
		}
	}
	return nil
}

// limitedBuffer keeps a short content.
type limitedBuffer struct {
	b    []byte
	over bool
}

func (l *limitedBuffer) Write(p []byte) (int, error) {
	n := min(len(p), maxList-len(l.b))
	l.b = append(l.b, p[:n]...)
	l.over = l.over || n < len(p)
	return len(p), nil
}

// tailBuffer keeps the end of a content.
type tailBuffer struct{ b []byte }

func (t *tailBuffer) Write(p []byte) (int, error) {
	const n = 64
	t.b = append(t.b, p[max(0, len(p)-n):]...)
	t.b = append(t.b[:0], t.b[max(0, len(t.b)-n):]...)
	return len(p), nil
}
