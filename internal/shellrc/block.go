package shellrc

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// errTorn is a block without its end, or an end without its block.
var errTorn = errors.New("a marker stands alone")

// What a block remembers of the file it was added to, so that taking it out
// gives the very bytes that were there before, receipt or no receipt.
const (
	noteNoNewline = "# The line above had no line end."
	noteAbsent    = "# This file did not exist; directories made for it: %d."
)

var absentPattern = regexp.MustCompile(`^# This file did not exist; directories made for it: (\d+)\.$`)

// anyBegin is the first line of any prefix's block.
var anyBegin = regexp.MustCompile(`^\s*# >>> bootstrap .+ >>>\s*$`)

// origin is what the file was before the block.
type origin struct {
	absent    bool // there was no file
	dirs      int  // how many directories were made for it
	noNewline bool // its last line had no end
}

// span is a block's place in a file: bytes [start, end).
type span struct {
	start, end int
	origin     origin
}

func beginMarker(root string) string { return "# >>> bootstrap " + root + " >>>" }
func endMarker(root string) string   { return "# <<< bootstrap " + root + " <<<" }

// block returns the lines to be added for root.
func block(root, command string, o origin) []byte {
	var b bytes.Buffer
	line := func(s string) { b.WriteString(s + "\n") }
	line(beginMarker(root))
	b.Write(o.notes())
	line(command)
	line(endMarker(root))
	return b.Bytes()
}

// notes returns the lines that remember o.
func (o origin) notes() []byte {
	var b bytes.Buffer
	if o.absent {
		fmt.Fprintf(&b, noteAbsent+"\n", o.dirs)
	}
	if o.noNewline {
		b.WriteString(noteNoNewline + "\n")
	}
	return b.Bytes()
}

// findBlocks returns root's blocks in their order. Lines are compared without the white space
// around them: an editor may have indented them or given them carriage returns.
func findBlocks(data []byte, root string) ([]span, error) {
	var (
		out  []span
		open *span
		pos  int
		n    int
	)
	for line := range bytes.Lines(data) {
		n++
		switch text := strings.TrimSpace(string(line)); text {
		case beginMarker(root):
			if open != nil {
				return nil, fmt.Errorf("line %d: %w", n, errTorn)
			}
			open = &span{start: pos}
		case endMarker(root):
			if open == nil {
				return nil, fmt.Errorf("line %d: %w", n, errTorn)
			}
			open.end = pos + len(line)
			out = append(out, *open)
			open = nil
		default:
			if open != nil {
				open.origin.note(text)
			}
		}
		pos += len(line)
	}
	if open != nil {
		return nil, fmt.Errorf("line %d: %w", 1+bytes.Count(data[:open.start], []byte("\n")), errTorn)
	}
	return out, nil
}

func (o *origin) note(line string) {
	if line == noteNoNewline {
		o.noNewline = true
	}
	if m := absentPattern.FindStringSubmatch(line); m != nil {
		o.absent = true
		o.dirs, _ = strconv.Atoi(m[1])
	}
}

// addBlock returns data with exactly one block for root, that runs command.
// An old block is replaced where it stands; a new one goes to the end.
func addBlock(data []byte, root, command string, o origin) ([]byte, error) {
	spans, err := findBlocks(data, root)
	if err != nil {
		return nil, err
	}
	if len(spans) > 0 {
		first := spans[0]
		for i := len(spans) - 1; i > 0; i-- {
			data = cut(data, spans[i])
		}
		return splice(data, first, block(root, command, first.origin)), nil
	}
	var out bytes.Buffer
	out.Write(data)
	if len(data) > 0 && data[len(data)-1] != '\n' {
		o.noNewline = true
		out.WriteByte('\n')
	}
	out.Write(block(root, command, o))
	return out.Bytes(), nil
}

// removeBlocks returns data without root's blocks, and what the first of them remembers.
// found is false if there was none.
func removeBlocks(data []byte, root string) (out []byte, o origin, found bool, err error) {
	spans, err := findBlocks(data, root)
	if err != nil || len(spans) == 0 {
		return data, origin{}, false, err
	}
	for i := len(spans) - 1; i >= 0; i-- {
		data = cut(data, spans[i])
	}
	return data, spans[0].origin, true, nil
}

// cut returns data without s, and without the line end that was put before it,
// unless that would join two lines that somebody wrote. What the block remembers
// goes over to the block of another prefix that comes right after it.
func cut(data []byte, s span) []byte {
	rest := data[s.end:]
	if s.origin.noNewline && len(rest) == 0 {
		eol := "\n"
		if bytes.HasSuffix(data[s.start:s.end], []byte("\r\n")) {
			eol = "\r\n" // an editor has converted the file, and that line end with it
		}
		s.start = len(bytes.TrimSuffix(data[:s.start], []byte(eol)))
	}
	if next, _, ok := bytes.Cut(rest, []byte("\n")); ok && anyBegin.Match(next) {
		s.end += len(next) + 1
		return splice(data, s, append(append(bytes.Clone(next), '\n'), s.origin.notes()...))
	}
	return splice(data, s, nil)
}

func splice(data []byte, s span, with []byte) []byte {
	return bytes.Join([][]byte{data[:s.start], with, data[s.end:]}, nil)
}
