package patches

import (
	"slices"
	"strings"
)

// Verdict is what a source makes of a patch.
type Verdict string

// The verdicts.
const (
	Applies   Verdict = "applies"
	Obsolete  Verdict = "obsolete" // every hunk is in the source already
	Conflicts Verdict = "conflicts"
)

// Conflict is one hunk that cannot be applied.
type Conflict struct {
	File string `json:"file"`
	Why  string `json:"why"`
	Hunk string `json:"hunk,omitempty"` // as it stands in the diff; none where the file is missing
}

// Finding is what a source makes of one patch.
type Finding struct {
	Patch     Patch
	Verdict   Verdict
	Offset    int        // the most lines that a hunk is away from where the patch has it
	Conflicts []Conflict // of a patch that conflicts
	After     []string   // earlier patches of the same files that did not apply either
}

// Files returns the paths of the files that patches change, sorted.
func Files(series []Patch) []string {
	var files []string
	for _, p := range series {
		for _, f := range parseDiff(string(p.Body)) {
			files = append(files, f.path)
		}
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// Check applies patches to a source in their order, in memory, and returns what came of each.
// It goes by the rules of patch -p1 --fuzz=0: every line of a hunk has to be there, if need be
// some lines above or below where the patch has it. A patch of which one hunk cannot be applied
// is left out as a whole. source has the contents of files by their paths; it is not changed.
func Check(source map[string][]byte, series []Patch) []Finding {
	now := map[string][]string{}
	for path, data := range source {
		now[path] = split(string(data))
	}
	findings := make([]Finding, 0, len(series))
	for _, p := range series {
		f := Finding{Patch: p}
		files := parseDiff(string(p.Body))
		changed := map[string][]string{}
		for _, file := range files {
			f.apply(now, changed, file)
		}
		switch {
		case len(f.Conflicts) == 0:
			f.Verdict = Applies
			for path, lines := range changed {
				now[path] = lines
			}
		case isIn(now, files):
			f.Verdict, f.Conflicts, f.Offset = Obsolete, nil, 0
		default:
			f.Verdict, f.Offset = Conflicts, 0
			f.After = unapplied(findings, files)
		}
		findings = append(findings, f)
	}
	return findings
}

// apply applies what a patch changes in one file, as far as it can.
func (f *Finding) apply(now, changed map[string][]string, file fileDiff) {
	lines, there := now[file.path]
	if earlier, again := changed[file.path]; again {
		lines, there = earlier, true
	}
	if !there {
		f.Conflicts = append(f.Conflicts, Conflict{File: file.path, Why: "the source has no such file"})
		return
	}
	out, done := []string{}, 0
	shift := 0 // by how many lines the hunk before was away
	for _, h := range file.hunks {
		at, found := locate(lines, h, shift, done)
		if !found {
			f.Conflicts = append(f.Conflicts, Conflict{File: file.path, Why: because(lines, h, shift), Hunk: h.text()})
			continue
		}
		shift = at - (h.from - 1)
		f.Offset = max(f.Offset, shift, -shift)
		out = append(append(out, lines[done:at]...), h.new...)
		done = at + len(h.old)
	}
	changed[file.path] = append(out, lines[done:]...)
}

// isIn reports whether everything that a patch makes of files is there.
func isIn(now map[string][]string, files []fileDiff) bool {
	for _, file := range files {
		lines, there := now[file.path]
		if !there {
			return false
		}
		shift, done := 0, 0
		for _, h := range file.hunks {
			r := h.reversed()
			at, found := locate(lines, r, shift, done)
			if !found {
				return false
			}
			shift, done = at-(r.from-1), at+len(r.old)
		}
	}
	return true
}

// locate returns the index of the first line of a hunk: the nearest place to where it should be at
// which all of its lines are, at or behind the line of index first.
//
// As in GNU patch 2.8 (src/patch.c, locate_hunk), a hunk with less context at its end than at its
// beginning is one of the end of the file, and so at the beginning if it is one of the first line.
func locate(lines []string, h hunk, shift, first int) (at int, found bool) {
	guess := h.from - 1 + shift
	last := len(lines) - len(h.old)
	matches := func(at int) bool {
		switch {
		case at < first || at > last:
			return false
		case h.suffix < h.prefix && at != last:
			return false
		case h.prefix < h.suffix && h.from <= 1 && at != 0:
			return false
		}
		return slices.Equal(lines[at:at+len(h.old)], h.old)
	}
	for away := 0; away <= max(guess-first, last-guess, 0); away++ {
		for _, at := range []int{guess + away, guess - away} {
			if matches(at) {
				return at, true
			}
		}
	}
	return 0, false
}

// because says why a hunk is not in a file.
func because(lines []string, h hunk, shift int) string {
	if _, found := locate(lines, h.reversed(), shift, 0); found {
		return "this change is in already, another of the patch is not"
	}
	for _, line := range h.old {
		if !slices.Contains(lines, line) {
			return "the source has no line \"" + strings.TrimSpace(line) + "\""
		}
	}
	return "its lines are there, but not one after the other"
}

// unapplied returns the files of earlier patches that did not apply and change one of these files.
func unapplied(findings []Finding, files []fileDiff) []string {
	var earlier []string
	for _, f := range findings {
		if f.Verdict != Conflicts {
			continue
		}
		for _, theirs := range parseDiff(string(f.Patch.Body)) {
			if slices.ContainsFunc(files, func(ours fileDiff) bool { return ours.path == theirs.path }) {
				earlier = append(earlier, f.Patch.File)
				break
			}
		}
	}
	return earlier
}

// split returns the lines of a file. What does not end in a newline has one that no line of a diff
// is equal to: a diff of such a file would need a mark that [checkDiff] does not take.
func split(text string) []string {
	lines := strings.Split(text, "\n")
	if last := len(lines) - 1; lines[last] == "" {
		return lines[:last]
	}
	lines[len(lines)-1] += "\n"
	return lines
}
