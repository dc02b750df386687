package drv

import (
	"errors"
	"fmt"
	"strings"
)

// Parse reads the text of a .drv file. It takes only what Nix writes: [Derivation.Text] gives the same bytes again.
// The name is the derivation's, without hash part and .drv.
func Parse(name string, text []byte) (*Derivation, error) {
	p := parser{text: string(text)}
	d, err := p.derivation(name)
	if err != nil {
		return nil, fmt.Errorf("parse derivation %q: at byte %d: %w", name, p.at, err)
	}
	return d, nil
}

// parser reads ATerm. Strings without escapes are parts of text, not copies.
type parser struct {
	text string
	at   int
}

func (p *parser) derivation(name string) (*Derivation, error) {
	if strings.HasPrefix(p.text, "DrvWithVersion(") {
		return nil, errors.New("its outputs include derivations (DrvWithVersion), which is not known here")
	}
	d := &Derivation{Name: name}
	comma := func() error { return p.expect(",") }
	err := inOrder(
		func() error { return CheckName(name) },
		func() error { return p.expect("Derive(") },
		func() error { return p.list("(", func() error { return p.output(d) }) }, comma,
		func() error { return p.list("(", func() error { return p.input(d) }) }, comma,
		func() (err error) { d.Sources, err = p.sorted(); return err }, comma,
		func() error { return p.string(&d.System) }, comma,
		func() error { return p.string(&d.Builder) }, comma,
		func() (err error) { d.Args, err = p.strings(); return err }, comma,
		func() error { return p.list("(", func() error { return p.variable(d) }) },
		func() error { return p.expect(")") },
	)
	if err == nil && p.at != len(p.text) {
		err = errors.New("something follows it")
	}
	return d, err
}

// inOrder calls functions until one has an error.
func inOrder(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) expect(s string) error {
	if !strings.HasPrefix(p.text[p.at:], s) {
		return fmt.Errorf("%q was expected", s)
	}
	p.at += len(s)
	return nil
}

// list reads the elements between brackets; each begins with open and is read by element.
func (p *parser) list(open string, element func() error) error {
	if err := p.expect("["); err != nil {
		return err
	}
	for n := 0; ; n++ {
		if p.at < len(p.text) && p.text[p.at] == ']' {
			if n > 0 && p.text[p.at-1] == ',' {
				return errors.New("an element was expected")
			}
			p.at++
			return nil
		}
		if n > 0 {
			if err := p.expect(","); err != nil {
				return err
			}
		}
		if err := p.expect(open); err != nil {
			return err
		}
		if err := element(); err != nil {
			return err
		}
	}
}

func (p *parser) output(d *Derivation) error {
	var o Output
	err := p.fields(&o.Name, &o.Path, &o.Algo, &o.Hash)
	if n := len(d.Outputs); err == nil && n > 0 && d.Outputs[n-1].Name >= o.Name {
		return fmt.Errorf("output %q is not in order", o.Name)
	}
	d.Outputs = append(d.Outputs, o)
	return err
}

func (p *parser) input(d *Derivation) error {
	var in Input
	if err := p.string(&in.Path); err != nil {
		return err
	}
	if err := p.expect(","); err != nil {
		return err
	}
	var err error
	if in.Outputs, err = p.sorted(); err != nil {
		return err
	}
	if n := len(d.Inputs); n > 0 && d.Inputs[n-1].Path >= in.Path {
		return fmt.Errorf("input %q is not in order", in.Path)
	}
	d.Inputs = append(d.Inputs, in)
	return p.expect(")")
}

func (p *parser) variable(d *Derivation) error {
	var v Variable
	err := p.fields(&v.Name, &v.Value)
	if n := len(d.Env); err == nil && n > 0 && d.Env[n-1].Name >= v.Name {
		return fmt.Errorf("variable %q is not in order", v.Name)
	}
	d.Env = append(d.Env, v)
	return err
}

// fields reads strings with commas in between, and the parenthesis after them.
func (p *parser) fields(to ...*string) error {
	for i, s := range to {
		if i > 0 {
			if err := p.expect(","); err != nil {
				return err
			}
		}
		if err := p.string(s); err != nil {
			return err
		}
	}
	return p.expect(")")
}

// strings reads a list of strings.
func (p *parser) strings() ([]string, error) {
	var list []string
	err := p.list("", func() error {
		var s string
		err := p.string(&s)
		list = append(list, s)
		return err
	})
	return list, err
}

// sorted reads a set of strings.
func (p *parser) sorted() ([]string, error) {
	list, err := p.strings()
	for i := 1; i < len(list) && err == nil; i++ {
		if list[i-1] >= list[i] {
			return nil, fmt.Errorf("%q is not in order", list[i])
		}
	}
	return list, err
}

// string reads a quoted string. The escapes are those that Nix writes; anything else would be written differently.
func (p *parser) string(to *string) error {
	if err := p.expect(`"`); err != nil {
		return err
	}
	var b strings.Builder
	start := p.at
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case '"':
			if b.Len() == 0 {
				*to = p.text[start:p.at]
			} else {
				b.WriteString(p.text[start:p.at])
				*to = b.String()
			}
			p.at++
			return nil
		case '\n', '\r', '\t':
			return errors.New("a control character is not escaped")
		case '\\':
			if p.at+1 == len(p.text) {
				return errors.New("the text ends in a string")
			}
			c, ok := unescaped(p.text[p.at+1])
			if !ok {
				return fmt.Errorf("%q is not an escape that Nix writes", p.text[p.at:p.at+2])
			}
			b.WriteString(p.text[start:p.at])
			b.WriteByte(c)
			p.at += 2
			start = p.at
		default:
			p.at++
		}
	}
	return errors.New("the text ends in a string")
}

func unescaped(c byte) (byte, bool) {
	switch c {
	case '"', '\\':
		return c, true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	}
	return 0, false
}
