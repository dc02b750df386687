package control

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
)

// Limits on what a paragraph may hold, against an endless one.
// The longest line of Debian's indexes has some 100 kB.
const (
	maxLine   = 4 << 20
	maxFields = 1000
)

// Paragraph is a run of "Name: value" fields.
type Paragraph struct {
	fields []Field
	more   []string // lines of the last field that are still to be joined to it
}

// Field is one field of a paragraph.
type Field struct {
	Name  string
	Value string // lines joined by "\n", each without the white space around it
}

// Get returns the value of the field of that name, in whatever case, and "" if there is none.
func (p Paragraph) Get(name string) string {
	v, _ := p.Lookup(name)
	return v
}

// Lookup is like [Paragraph.Get], and reports whether the field is there.
func (p Paragraph) Lookup(name string) (value string, ok bool) {
	i := slices.IndexFunc(p.fields, func(f Field) bool { return strings.EqualFold(f.Name, name) })
	if i < 0 {
		return "", false
	}
	return p.fields[i].Value, true
}

// Fields returns all fields, in the order of the text.
func (p Paragraph) Fields() []Field { return slices.Clone(p.fields) }

// Paragraphs reads control data. Paragraphs are parted by blank lines;
// lines that begin with "#" are comments.
// It ends after the first error, which comes with the zero Paragraph.
func Paragraphs(r io.Reader) iter.Seq2[Paragraph, error] {
	return func(yield func(Paragraph, error) bool) {
		sc := bufio.NewScanner(r)
		sc.Buffer(make([]byte, 0, 64<<10), maxLine)
		var p Paragraph
		for n := 1; sc.Scan(); n++ {
			line := sc.Text()
			if isBlank(line) {
				p.join()
				if len(p.fields) > 0 && !yield(p, nil) {
					return
				}
				p = Paragraph{fields: make([]Field, 0, len(p.fields))}
				continue
			}
			if err := p.add(line); err != nil {
				yield(Paragraph{}, fmt.Errorf("line %d: %w", n, err))
				return
			}
		}
		if err := sc.Err(); err != nil {
			yield(Paragraph{}, fmt.Errorf("control data: %w", err))
			return
		}
		p.join()
		if len(p.fields) > 0 {
			yield(p, nil)
		}
	}
}

// join ends the last field.
func (p *Paragraph) join() {
	if len(p.more) == 0 {
		return
	}
	last := &p.fields[len(p.fields)-1]
	last.Value += "\n" + strings.Join(p.more, "\n")
	p.more = nil
}

// add takes in one line that is not blank.
func (p *Paragraph) add(line string) error {
	switch line[0] {
	case '#':
		return nil
	case ' ', '\t':
		if len(p.fields) == 0 {
			return errors.New("continuation line without a field")
		}
		p.more = append(p.more, strings.TrimSpace(line))
		return nil
	}
	p.join()
	name, value, ok := strings.Cut(line, ":")
	if !ok || name == "" || !all(name, isFieldByte) || name[0] == '-' {
		return fmt.Errorf("no field in %.80q", line)
	}
	if _, twice := p.Lookup(name); twice {
		return fmt.Errorf("field %q is there twice", name)
	}
	if len(p.fields) >= maxFields {
		return fmt.Errorf("more than %d fields in a paragraph", maxFields)
	}
	p.fields = append(p.fields, Field{Name: name, Value: strings.TrimSpace(value)})
	return nil
}

// isFieldByte accepts what deb822(5) does in a field's name: printable ASCII but space and colon.
func isFieldByte(c byte) bool { return '!' <= c && c <= '~' && c != ':' }
