package drv

// Text returns the .drv file's text.
func (d *Derivation) Text() []byte {
	return d.appendText(nil, nil, false)
}

// appendText appends the text, with other inputs if they are given, and without the outputs' paths if mask is set.
func (d *Derivation) appendText(b []byte, inputs []Input, mask bool) []byte {
	if inputs == nil {
		inputs = d.Inputs
	}
	b = append(b, "Derive(["...)
	for i, o := range d.Outputs {
		path := o.Path
		if mask {
			path = ""
		}
		b = appendTuple(b, i, o.Name, path, o.Algo, o.Hash)
	}
	b = append(b, "],["...)
	for i, in := range inputs {
		b = appendComma(b, i)
		b = append(b, '(')
		b = appendString(b, in.Path)
		b = append(b, ',')
		b = appendList(b, in.Outputs)
		b = append(b, ')')
	}
	b = append(b, "],"...)
	b = appendList(b, d.Sources)
	b = append(b, ',')
	b = appendString(b, d.System)
	b = append(b, ',')
	b = appendString(b, d.Builder)
	b = append(b, ',')
	b = appendList(b, d.Args)
	b = append(b, ",["...)
	for i, v := range d.Env {
		value := v.Value
		if mask && d.isOutput(v.Name) {
			value = ""
		}
		b = appendTuple(b, i, v.Name, value)
	}
	return append(b, "])"...)
}

func appendComma(b []byte, i int) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	return b
}

// appendTuple appends the element number i of a list.
func appendTuple(b []byte, i int, fields ...string) []byte {
	b = appendComma(b, i)
	b = append(b, '(')
	for i, f := range fields {
		b = appendString(appendComma(b, i), f)
	}
	return append(b, ')')
}

func appendList(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		b = appendString(appendComma(b, i), s)
	}
	return append(b, ']')
}

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := range len(s) {
		e := escapes[s[i]]
		if e == 0 {
			continue
		}
		b = append(b, s[start:i]...)
		b = append(b, '\\', e)
		start = i + 1
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// escapes has what stands behind a backslash.
var escapes = [256]byte{'"': '"', '\\': '\\', '\n': 'n', '\r': 'r', '\t': 't'}
