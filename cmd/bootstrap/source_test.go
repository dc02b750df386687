package main

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"bootstrap/patches"

	version "github.com/hashicorp/go-version"
	"github.com/rogpeppe/go-internal/testscript"
)

// digest sets a variable to the sha256 of a file: digest NAME FILE.
func digest(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg)
	ts.Setenv(args[0], fmt.Sprintf("%x", sha256.Sum256([]byte(ts.ReadFile(args[1])))))
}

// publish has the mirror serve a file, and sets a variable to its address: publish NAME FILE.
func publish(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg)
	name := "static/" + filepath.Base(args[1])
	worldOf(ts).seed.archive.Tamper(name, []byte(ts.ReadFile(args[1])))
	ts.Setenv(args[0], ts.Getenv("MIRROR")+"/"+name)
}

// nixSource makes a directory that looks like a source of Nix: nixsource DIR VERSION [COUNT].
// Its files have every line that the patches for that version want to find, where they want it, and some lines
// between. With COUNT, so many patches are in it already.
func nixSource(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg)
	all, err := patches.All()
	ts.Check(err)
	v, err := version.NewVersion(args[1])
	ts.Check(err)
	all = patches.Nearest(all, v)
	in := 0
	if len(args) > 2 {
		in, err = strconv.Atoi(args[2])
		ts.Check(err)
	}
	s := sourceTree{before: map[string][]*string{}, now: map[string][]*string{}}
	patched := map[string][]*string{}
	for i, p := range all {
		s.take(string(p.Body))
		if i+1 == in {
			for path, lines := range s.now {
				patched[path] = slices.Clone(lines)
			}
		}
	}
	files := s.before
	maps.Copy(files, patched)
	dir := ts.MkAbs(args[0])
	write := func(path, text string) {
		path = filepath.Join(dir, path)
		ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
		ts.Check(os.WriteFile(path, []byte(text), 0o644))
	}
	write(".version", args[1]+"\n")
	for path, lines := range files {
		var b strings.Builder
		for i, line := range lines {
			if *line == "" {
				*line = fmt.Sprintf("// between %d\n", i)
			}
			b.WriteString(*line)
		}
		write(path, b.String())
	}
}

// sourceTree is a source as far as patches tell of it, as lines by path: before all patches, and
// after those that were taken. A line that a patch leaves alone is the same in both, and one that
// nobody has told of yet is empty.
type sourceTree struct{ before, now map[string][]*string }

var hunkLine = regexp.MustCompile(`^@@ -\S+ \+(\d+)`)

// take goes through a diff: what it wants to find is what the source has there.
func (s *sourceTree) take(diff string) {
	path, at := "", 0
	for line := range strings.Lines(diff) {
		m := hunkLine.FindStringSubmatch(line)
		switch {
		case strings.HasPrefix(line, "+++ b/"):
			path = strings.TrimSpace(line[len("+++ b/"):])
		case m != nil:
			at, _ = strconv.Atoi(m[1])
			at--
		case path == "" || strings.HasPrefix(line, "diff ") || strings.HasPrefix(line, "--- a/"):
		case line[0] == '+':
			text := line[1:]
			s.now[path] = slices.Insert(s.now[path], at, &text)
			at++
		default:
			for len(s.now[path]) <= at {
				s.before[path], s.now[path] = grown(s.before[path], s.now[path])
			}
			if found := s.now[path][at]; *found == "" {
				*found = line[1:]
			}
			if line[0] == '-' {
				s.now[path] = slices.Delete(s.now[path], at, at+1)
			} else {
				at++
			}
		}
	}
}

// grown returns a file with another line at its end, before and after.
func grown(before, now []*string) (_, _ []*string) {
	line := new(string)
	return append(before, line), append(now, line)
}
