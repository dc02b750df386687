// Package shellenv renders the files that put a prefix into a shell's environment:
// nix.sh, nix.fish and nix.csh, which a person's shell sources, and environment.sh,
// which they run to find out what to set.
//
// The environment is the one that keeps a Nix of the prefix to its own files, and any other Nix's
// variables away from it. Nothing of who installs is compiled in: each user who sources a file
// gets directories of their own below the state directory.
// The package never writes a file; which start-up files source them is the business of
// internal/shellrc.
package shellenv

import (
	"bytes"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"

	"bootstrap/internal/prefix"
	"bootstrap/internal/shellrc"
	"bootstrap/templates"
)

// File is a file to be written, its directory made first where there is none.
type File struct {
	Path    string // absolute
	Content []byte
	Mode    fs.FileMode
}

// Program returns the path of the script that the sourced files run.
func Program(l prefix.Layout) string { return filepath.Join(l.Share, "environment.sh") }

// Files returns the files for the prefix: those of [prefix.Layout.EnvFile], and [Program].
// All four are needed for any one to work.
func Files(l prefix.Layout) ([]File, error) {
	for _, path := range []string{l.Root, l.State, l.Conf, l.Share, l.ProfileD} {
		if err := check(path); err != nil {
			return nil, fmt.Errorf("render environment: %w", err)
		}
	}
	t, err := template.New("env").Option("missingkey=error").Funcs(template.FuncMap{
		"sh":   shellrc.QuotePOSIX,
		"fish": shellrc.QuoteFish,
		"csh":  shellrc.QuoteCsh,
	}).ParseFS(templates.Env(), "*")
	if err != nil {
		return nil, fmt.Errorf("render environment: %w", err)
	}
	var out []File
	for _, path := range []string{l.EnvFile("sh"), l.EnvFile("fish"), l.EnvFile("csh"), Program(l)} {
		var b bytes.Buffer
		if err := t.ExecuteTemplate(&b, filepath.Base(path), data(l, path)); err != nil {
			return nil, fmt.Errorf("render environment: %w", err)
		}
		out = append(out, File{Path: path, Content: b.Bytes(), Mode: 0o644})
	}
	return out, nil
}

func data(l prefix.Layout, self string) map[string]string {
	return map[string]string{
		"Root":         l.Root,
		"State":        l.State,
		"Certificates": l.Certificates(),
		"Self":         self,
		"Program":      Program(l),
		"Deactivate":   cshDeactivate(Program(l)),
	}
}

// cshDeactivate returns the text of an alias, before it is quoted for the command that makes it.
// What the program prints is one word to eval, and "!" in the text of an alias recalls its arguments.
func cshDeactivate(program string) string {
	return "eval \"`/bin/sh " + shellrc.QuoteCsh(program) + " deactivate csh`\"; unalias bootstrap_deactivate"
}

// check refuses a path that would end the comment or the line it stands in.
func check(path string) error {
	switch {
	case !filepath.IsAbs(path):
		return fmt.Errorf("path %q: is not absolute", path)
	case !utf8.ValidString(path):
		return fmt.Errorf("path %q: is not valid UTF-8", path)
	case strings.ContainsFunc(path, unicode.IsControl):
		return fmt.Errorf("path %q: contains a control character", path)
	}
	return nil
}
