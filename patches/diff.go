package patches

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// checkDiff reports whether a diff is one that patch -p1 takes as it is meant:
// in git's format, with changes of existing files only, clean relative paths,
// and hunks that have as many lines as they say.
//
// See https://www.gnu.org/software/diffutils/manual/html_node/Detailed-Unified.html
// for the format.
func checkDiff(diff string) error {
	if !strings.HasSuffix(diff, "\n") {
		return fmt.Errorf("the last line does not end")
	}
	c := &diffChecker{lines: strings.Split(strings.TrimSuffix(diff, "\n"), "\n")}
	for c.next < len(c.lines) {
		if err := c.file(); err != nil {
			return fmt.Errorf("line %d: %w", c.next+1, err)
		}
	}
	return nil
}

type diffChecker struct {
	lines []string
	next  int // index of the first line not read yet
}

// take returns the next line if it has the given prefix.
func (c *diffChecker) take(prefix string) (string, error) {
	if c.next >= len(c.lines) {
		return "", fmt.Errorf("the diff ends where %q should be", prefix)
	}
	rest, found := strings.CutPrefix(c.lines[c.next], prefix)
	if !found {
		return "", fmt.Errorf("%q, where %q should be", c.lines[c.next], prefix)
	}
	c.next++
	return rest, nil
}

// file reads the diff of one file.
func (c *diffChecker) file() error {
	names, err := c.take("diff --git a/")
	if err != nil {
		return err
	}
	before, err := c.take("--- a/")
	if err != nil {
		return err
	}
	after, err := c.take("+++ b/")
	if err != nil {
		return err
	}
	if before != after || names != before+" b/"+after {
		return fmt.Errorf("the three lines before name different files")
	}
	if path.Clean("/" + before)[1:] != before {
		return fmt.Errorf("path %q is not clean", before)
	}
	if err := c.hunk(); err != nil {
		return err
	}
	for c.next < len(c.lines) && strings.HasPrefix(c.lines[c.next], "@@") {
		if err := c.hunk(); err != nil {
			return err
		}
	}
	return nil
}

// hunkHeader matches "@@ -12,3 +12,4 @@ context"; a count of 1 may be left out.
var hunkHeader = regexp.MustCompile(`^(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@(?: .*)?$`)

// hunk reads one hunk.
func (c *diffChecker) hunk() error {
	head, err := c.take("@@ -")
	if err != nil {
		return err
	}
	m := hunkHeader.FindStringSubmatch(head)
	if m == nil {
		return fmt.Errorf("%q is not the rest of a hunk's header", head)
	}
	before, after := count(m[2]), count(m[4])
	changed := false
	for ; before > 0 || after > 0; c.next++ {
		if c.next >= len(c.lines) {
			return fmt.Errorf("the diff ends within a hunk: %d old and %d new lines are missing", before, after)
		}
		switch line := c.lines[c.next]; {
		case strings.HasPrefix(line, " "):
			before--
			after--
		case strings.HasPrefix(line, "-"):
			before--
			changed = true
		case strings.HasPrefix(line, "+"):
			after--
			changed = true
		default:
			return fmt.Errorf("%q within a hunk: %d old and %d new lines are missing", line, before, after)
		}
		if before < 0 || after < 0 {
			return fmt.Errorf("the hunk has more lines than its header says")
		}
	}
	if !changed {
		return fmt.Errorf("the hunk before changes nothing")
	}
	return nil
}

// count returns the number of lines in a hunk's header.
func count(s string) int {
	if s == "" {
		return 1
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}
