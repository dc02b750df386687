package relocate_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"zombiezen.com/go/nix/nar"

	"bootstrap/internal/relocate"
)

// The algorithms of others, as their manuals and reports describe them: made anew here to be compared with, and used
// for nothing else.

// pairs are what becomes of what, for a map.
func pairs(o relocate.MapOptions) (paths, dirs [][2]string) {
	for _, from := range slices.Sorted(maps.Keys(o.Paths)) {
		paths = append(paths, [2]string{from, o.Paths[from]})
	}
	for _, d := range append([]relocate.Dir{o.Store}, o.Dirs...) {
		dirs = append(dirs, [2]string{d.From, d.To})
	}
	return paths, dirs
}

// conda replaces one placeholder after the other in each file, in each of five encodings. Where there is a zero byte in
// it, it takes each text up to its zero, and makes up for what is missing with more of them; elsewhere it just replaces.
// Here every store path is a placeholder, and every directory.
func conda(files tree, o relocate.MapOptions) (tree, error) {
	paths, dirs := pairs(o)
	var placeholders [][2]string
	for _, p := range paths {
		placeholders = append(placeholders, [2]string{o.Store.From + "/" + p[0], o.Store.To + "/" + p[1]})
	}
	placeholders = append(placeholders, dirs...)
	got := tree{}
	for name, content := range files {
		got[name] = content
		if strings.HasPrefix(content, "-> ") {
			continue
		}
		b := []byte(content)
		for _, p := range placeholders {
			for _, e := range encodings {
				b = condaReplace(b, e.encode(p[0]), e.encode(p[1]), e.encode("\x00"))
			}
		}
		got[name] = string(b)
	}
	return got, nil
}

// encoding is how many bytes a letter has, and which of them is not zero.
type encoding struct{ size, at int }

var encodings = []encoding{{1, 0}, {2, 0}, {2, 1}, {4, 0}, {4, 3}}

func (e encoding) encode(text string) []byte {
	b := make([]byte, e.size*len(text))
	for i := range len(text) {
		b[i*e.size+e.at] = text[i]
	}
	return b
}

func condaReplace(b, from, to, zero []byte) []byte {
	if bytes.IndexByte(b, 0) < 0 {
		return bytes.ReplaceAll(b, from, to)
	}
	text := regexp.MustCompile("(?s)" + regexp.QuoteMeta(string(from)) + ".*?" + regexp.QuoteMeta(string(zero)))
	return text.ReplaceAllFunc(b, func(m []byte) []byte {
		missing := (len(from) - len(to)) * bytes.Count(m, from)
		return append(bytes.ReplaceAll(m, from, to), make([]byte, missing)...)
	})
}

// ordered is how Nix rewrites a NAR as a whole: for one hash part after the other, and then each directory, what is
// there of it by then.
func ordered(files tree, o relocate.MapOptions, t testing.TB) (tree, error) {
	paths, dirs := pairs(o)
	b := pack(t, files)
	for _, p := range paths {
		b = bytes.ReplaceAll(b, []byte(p[0][:32]), []byte(p[1][:32]))
	}
	slices.SortFunc(dirs, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	for _, d := range dirs {
		b = bytes.ReplaceAll(b, []byte(d[0]), []byte(d[1]))
	}
	return tryUnpack(b)
}

// sed is dump | sed -e 's/path/path/g' … | restore, and then the directories.
func sed(files tree, o relocate.MapOptions, t testing.TB) (tree, error) {
	paths, dirs := pairs(o)
	b := pack(t, files)
	for _, p := range paths {
		b = bytes.ReplaceAll(b, []byte(o.Store.From+"/"+p[0]), []byte(o.Store.To+"/"+p[1]))
	}
	for _, d := range dirs {
		b = bytes.ReplaceAll(b, []byte(d[0]), []byte(d[1]))
	}
	return tryUnpack(b)
}

// tryUnpack is unpack of what may be no archive.
func tryUnpack(data []byte) (tree, error) {
	files := tree{}
	r := nar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if h.LinkTarget != "" {
			files[h.Path] = "-> " + h.LinkTarget
		} else if h.Mode.IsRegular() {
			content, err := io.ReadAll(r)
			if err != nil {
				return nil, err
			}
			files[h.Path] = string(content)
		}
	}
}

// score is how a program does.
type score struct{ right, refused, silent int }

func (s *score) count(right, refused bool) {
	switch {
	case right:
		s.right++
	case refused:
		s.refused++
	default:
		s.silent++
	}
}

// untouched are those cases that are refused because nobody can look into them, with nothing in them as it happens:
// leaving them as they are is right. In tame ones there are no sums that a path is part of, and replacing it is right.
var (
	untouched = []string{
		"brotli", "lz4", "lzip", "gzip, damaged", "xz, large window", "git pack", "git index of a pack", "git object",
		"SHF_COMPRESSED", "SHF_COMPRESSED in .a", "link-time optimisation", "ELF of another machine",
	}
	tame = []string{"tar", "initrd, plain"}
)

// scores runs all programs over both corpora.
func scores(t testing.TB) (lines []string) {
	t.Helper()
	var ours, condas, ordereds, seds score
	rivals := func(files tree, o relocate.MapOptions, right func(tree) bool) {
		got, err := conda(files, o)
		condas.count(err == nil && right(got), false)
		got, err = ordered(files, o, t)
		ordereds.count(err == nil && right(got), err != nil)
		got, err = sed(files, o, t)
		seds.count(err == nil && right(got), err != nil)
	}
	all := hazards(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		c := all[name]
		want := c.fixed
		got, _, err := run(t, relocate.Options{}, c.files)
		ours.count(err == nil && c.want == nil && maps.Equal(got, c.fixed), err != nil)
		switch {
		case slices.Contains(untouched, name):
			want = c.files
		case slices.Contains(tame, name):
			want = tree{}
			for file, content := range c.files {
				want[file] = strings.ReplaceAll(content, path, toStore+"/"+toA)
			}
		}
		rivals(c.files, options(), func(got tree) bool { return want != nil && maps.Equal(got, want) })
	}
	for _, name := range slices.Sorted(maps.Keys(bugs())) {
		b := bugs()[name]
		got, _, err := run(t, relocate.Options{Map: b.mapping(t)}, b.files)
		ours.count(err == nil && b.right(got), err != nil)
		o := options()
		if b.options != nil {
			b.options(&o)
		}
		rivals(b.files, o, b.right)
	}
	for _, s := range []struct {
		name string
		score
	}{
		{"`internal/relocate`", ours}, {"conda's loop", condas}, {"Nix's ordered replacement", ordereds}, {"`sed` on the archive", seds},
	} {
		lines = append(lines, fmt.Sprintf("| %s | %d | %d | %d |", s.name, s.right, s.refused, s.silent))
	}
	return lines
}
