package patches

import "strings"

// fileDiff is the part of a diff that changes one file.
type fileDiff struct {
	path  string
	hunks []hunk
}

// hunk is one change of a file: some of its lines, and what they become.
type hunk struct {
	header   string   // "@@ -12,3 +12,4 @@ context"
	lines    []string // as they stand in the diff, each with its mark
	from, to int      // number of the first line, before and after
	old, new []string // the lines before and after, without their marks
	prefix   int      // lines of context at the beginning
	suffix   int      // and at the end
}

// parseDiff returns the changes of a diff that [checkDiff] took.
func parseDiff(diff string) []fileDiff {
	var files []fileDiff
	lines := strings.Split(strings.TrimSuffix(diff, "\n"), "\n")
	for i := 0; i < len(lines); {
		if header, found := strings.CutPrefix(lines[i], "@@ -"); found {
			h := newHunk(header)
			m := hunkHeader.FindStringSubmatch(header)
			end := i + 1
			for before, after := count(m[2]), count(m[4]); before > 0 || after > 0; end++ {
				if lines[end][0] != '+' {
					before--
				}
				if lines[end][0] != '-' {
					after--
				}
			}
			h.fill(lines[i+1 : end])
			last := &files[len(files)-1]
			last.hunks = append(last.hunks, h)
			i = end
			continue
		}
		if path, found := strings.CutPrefix(lines[i], "+++ b/"); found {
			files = append(files, fileDiff{path: path})
		}
		i++
	}
	return files
}

// newHunk returns a hunk with what its header says.
func newHunk(header string) hunk {
	m := hunkHeader.FindStringSubmatch(header)
	h := hunk{header: "@@ -" + header, from: count(m[1]), to: count(m[3])}
	// Of no lines at all, the number is that of the line before.
	if count(m[2]) == 0 {
		h.from++
	}
	if count(m[4]) == 0 {
		h.to++
	}
	return h
}

// fill takes the lines of a hunk.
func (h *hunk) fill(lines []string) {
	h.lines = lines
	changed := false
	for _, line := range lines {
		mark, text := line[0], line[1:]
		if mark != '+' {
			h.old = append(h.old, text)
		}
		if mark != '-' {
			h.new = append(h.new, text)
		}
		switch {
		case mark != ' ':
			changed, h.suffix = true, 0
		case changed:
			h.suffix++
		default:
			h.prefix++
		}
	}
}

// text returns the hunk as it stands in the diff.
func (h *hunk) text() string { return h.header + "\n" + strings.Join(h.lines, "\n") + "\n" }

// reversed returns the hunk that takes this one back.
func (h hunk) reversed() hunk {
	h.from, h.to, h.old, h.new = h.to, h.from, h.new, h.old
	return h
}
