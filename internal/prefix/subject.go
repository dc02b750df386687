package prefix

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"bootstrap/internal/fault"
)

// subject is a path somebody typed, and how to speak about it.
type subject struct {
	noun, flag string
	path       string
	cwd        string
	below      string // as in [Options]
}

func (s subject) fault(kind fault.Kind, cause, hint string) error {
	return fault.New(kind, fmt.Errorf("%s %q: %s", s.noun, s.path, cause), hint)
}

func (s subject) usage(cause, hint string) error { return s.fault(fault.Usage, cause, hint) }
func (s subject) unfit(cause, hint string) error { return s.fault(fault.Unfit, cause, hint) }

// check looks at the text of the path alone.
func (s subject) check() error {
	switch {
	case s.path == "":
		return s.usage("is empty", "give an absolute path, as in --prefix /opt/store")
	case !utf8.ValidString(s.path):
		return s.usage("is not valid UTF-8", "give a path whose name is valid UTF-8")
	case !filepath.IsAbs(s.path):
		return s.usage("is not an absolute path", s.absoluteHint())
	}
	if cause := badText(s.path); cause != "" {
		return s.usage(cause, textHint)
	}
	return nil
}

func (s subject) absoluteHint() string {
	switch {
	case strings.HasPrefix(s.path, "~"):
		return fmt.Sprintf(`the shell did not expand the tilde; write %s "$HOME/..."`, s.flag)
	case s.cwd != "":
		return fmt.Sprintf("did you mean %s %q?", s.flag, filepath.Join(s.cwd, s.path))
	}
	return "it must begin with a slash"
}

const textHint = "use letters, digits and . _ - + @ ~ only"

// badText says what in a path a store cannot bear, or returns the empty string.
//
// A store path ends up in #! lines (which end at a blank), in PATH and RUNPATH (lists with colons),
// in compiler flags (-Wl,-rpath,<path>; -ffile-prefix-map=<from>=<to>), in nix.conf (# is a comment),
// in ninja files ($) and unquoted in countless shell scripts.
func badText(path string) string {
	for _, r := range path {
		switch {
		case unicode.IsControl(r):
			return fmt.Sprintf("contains the control character %U", r)
		case unicode.IsSpace(r):
			return "contains a blank, at which #! lines end"
		case r < utf8.RuneSelf && !isPlain(r):
			return fmt.Sprintf("contains %q, which shells and compilers treat specially", r)
		case !unicode.IsGraphic(r):
			return fmt.Sprintf("contains the invisible character %U", r)
		}
	}
	return ""
}

func isPlain(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/._-+@~", r)
}

// resolve returns the path without symbolic links and without `.` and `..`.
// Elements that do not exist yet are kept as they are.
// The path must be absolute.
func (s subject) resolve() (string, error) {
	at := "/"
	elems := strings.Split(s.path, "/")
	for i, elem := range elems {
		switch elem {
		case "", ".":
			continue
		case "..":
			// at has no links left in it, so its parent is the one the kernel would go to.
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, elem)
		info, err := os.Lstat(filepath.Join(s.below, next))
		if err == nil && info.Mode()&fs.ModeSymlink != 0 && s.below != "" {
			return "", s.unfit(fmt.Sprintf("%q is a symbolic link", filepath.Join(s.below, next)),
				"put a directory in its place: what is built has the path without links compiled in")
		}
		if errors.Is(err, fs.ErrNotExist) {
			at = filepath.Join(append([]string{at}, elems[i:]...)...)
			break
		}
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			next, info, err = s.follow(next)
		}
		if err != nil {
			return "", s.unresolved(err)
		}
		if !info.IsDir() {
			return "", s.unfit(fmt.Sprintf("%q is not a directory", filepath.Join(s.below, next)), "give another path, or move that file away")
		}
		at = next
	}
	if cause := badText(at); cause != "" {
		return "", s.unfit(fmt.Sprintf("leads to %q, which %s", at, cause), textHint)
	}
	if !utf8.ValidString(at) {
		return "", s.unfit(fmt.Sprintf("leads to %q, which is not valid UTF-8", at), textHint)
	}
	return at, nil
}

// resolveDirectory resolves a path that is a directory called name, or else the parent of one,
// and that is not the root. A directory may be called anything if name is empty.
func (s subject) resolveDirectory(name string) (string, error) {
	path, err := s.resolve()
	if err != nil {
		return "", err
	}
	if path == "/" {
		return "", s.usage("is the root of the file system", s.belowHint())
	}
	if name == "" || filepath.Base(path) == name {
		return path, nil
	}
	s.path = ending(path, name)
	path, err = s.resolve()
	if err != nil {
		return "", err
	}
	if filepath.Base(path) != name {
		return "", s.unfit(
			fmt.Sprintf("is a symbolic link to %q, which is not called %q", path, name),
			fmt.Sprintf("give %s %s, or remove the link", s.flag, ending(path, name)))
	}
	return path, nil
}

func (s subject) belowHint() string {
	if s.flag == "--prefix" {
		return "give a directory below it, as in --prefix /opt/store"
	}
	return "give a directory below it, or leave " + s.flag + " out"
}

// follow resolves a symbolic link whose parent has been resolved.
func (s subject) follow(link string) (string, fs.FileInfo, error) {
	target, err := filepath.EvalSymlinks(link)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, s.unfit(fmt.Sprintf("%q is a symbolic link to nowhere", link), "make its target, or remove the link")
	}
	if err != nil {
		return "", nil, s.unfit(fmt.Sprintf("the symbolic link %q cannot be followed: %v", link, cause(err)), "repair the link, or remove it")
	}
	info, err := os.Lstat(target)
	return target, info, err
}

// unresolved turns what the kernel said about a path into a fault.
func (s subject) unresolved(err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f
	}
	if errors.Is(err, syscall.ENAMETOOLONG) {
		return s.usage(fmt.Sprintf("has a file name of more than %d bytes", nameLimit), "make it shorter")
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		return s.unfit(fmt.Sprintf("%q cannot be looked at: %v", p.Path, p.Err), "give a path whose parents you may enter")
	}
	return s.unfit(err.Error(), "give another path")
}

// cause returns what a [fs.PathError] wraps, for a sentence that has named the path already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
