package mirror

import (
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"bootstrap/internal/control"
)

// maxSources is the most bytes that are read of one file of apt's. Real ones have a few hundred,
// and some thousands where a key is embedded.
const maxSources = 64 << 10

// aptMirrors returns the mirrors of the Debian archive that the host itself installs from,
// in the order apt reads its files, each once. Files that cannot be read or understood
// are passed over: they are for apt to complain about.
func aptMirrors(root fs.FS) []Mirror {
	if root == nil {
		return nil
	}
	const dir = "etc/apt/sources.list.d"
	names := []string{"etc/apt/sources.list"}
	entries, _ := fs.ReadDir(root, dir) // sorted
	for _, e := range entries {
		if ext := path.Ext(e.Name()); ext == ".list" || ext == ".sources" {
			names = append(names, path.Join(dir, e.Name()))
		}
	}
	var out []Mirror
	for _, name := range names {
		for _, u := range aptFile(root, name) {
			if !slices.ContainsFunc(out, func(m Mirror) bool { return m.URL == u }) {
				out = append(out, Mirror{URL: u, Origin: "/" + name})
			}
		}
	}
	return out
}

func aptFile(root fs.FS, name string) []string {
	f, err := root.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	if path.Ext(name) == ".sources" {
		return ParseSources(f)
	}
	return ParseList(f)
}

// ParseList returns the mirrors of the Debian archive in a file of the one-line form
// of sources.list(5):
//
//	deb [ option=value ... ] uri suite component ...
func ParseList(r io.Reader) []string {
	text, err := io.ReadAll(io.LimitReader(r, maxSources))
	if err != nil {
		return nil
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		kind, rest, ok := cutField(line)
		if !ok || kind != "deb" {
			continue
		}
		if strings.HasPrefix(rest, "[") {
			if _, rest, ok = strings.Cut(rest, "]"); !ok {
				continue
			}
		}
		words := strings.Fields(rest)
		if len(words) < 3 {
			continue
		}
		out = append(out, source{uris: words[:1], suites: words[1:2], components: words[2:]}.mirrors()...)
	}
	return out
}

// cutField splits a line after its first word.
func cutField(line string) (first, rest string, ok bool) {
	line = strings.TrimSpace(line)
	i := strings.IndexAny(line, " \t[")
	if i < 0 {
		return line, "", false
	}
	return line[:i], strings.TrimSpace(line[i:]), true
}

// ParseSources returns the mirrors of the Debian archive in a file of the deb822 form
// of sources.list(5).
func ParseSources(r io.Reader) []string {
	var out []string
	for p, err := range control.Paragraphs(io.LimitReader(r, maxSources)) {
		if err != nil {
			break // what came before is still good
		}
		if !slices.Contains(strings.Fields(p.Get("Types")), "deb") || !enabled(p) {
			continue
		}
		out = append(out, source{
			uris:       strings.Fields(p.Get("URIs")),
			suites:     strings.Fields(p.Get("Suites")),
			components: strings.Fields(p.Get("Components")),
		}.mirrors()...)
	}
	return out
}

// enabled reads the field Enabled as apt does: everything but these words is a yes.
func enabled(p control.Paragraph) bool {
	switch strings.ToLower(p.Get("Enabled")) {
	case "no", "false", "without", "off", "disable", "0":
		return false
	}
	return true
}

// source is one entry of apt's.
type source struct{ uris, suites, components []string }

// mirrors returns those of the entry's addresses that may be a mirror of the Debian archive.
// Whether they are, only asking can tell.
func (s source) mirrors() []string {
	if !slices.Contains(s.components, "main") || !slices.ContainsFunc(s.suites, isDebianSuite) {
		return nil
	}
	var out []string
	for _, uri := range s.uris {
		u, err := Parse(uri)
		if err != nil || strings.Contains(u, "$") || strings.Contains(strings.ToLower(u), "%24") {
			continue // another transport, or a variable of apt's
		}
		out = append(out, u)
	}
	return out
}

// suites are Debian's, by status and by code name.
// https://www.debian.org/releases/ and distro-info-data's debian.csv.
const suites = "stable oldstable oldoldstable testing unstable sid " +
	"buster bullseye bookworm trixie forky duke"

// isDebianSuite reports whether a suite is in the main archive. Suites for security have an archive
// of their own, and so had backports.
func isDebianSuite(suite string) bool {
	suite = strings.TrimSuffix(suite, "/")
	return slices.Contains(strings.Fields(suites), strings.TrimSuffix(suite, "-updates"))
}
