package prefix

import (
	"fmt"
	"path/filepath"
	"strings"

	"bootstrap/internal/fault"
)

// DefaultStore is the store directory of every other Nix.
const DefaultStore = "/nix/store"

// Options is what the user asked for.
type Options struct {
	Path     string // --prefix
	StateDir string // --state-dir; empty for the default
	LogDir   string // --log-dir; empty for the default
	ConfDir  string // --conf-dir; empty for the default

	// Cwd, where it is known, lets the hint for a relative path name the absolute one.
	Cwd string
	// AllowDefaultStore permits [DefaultStore].
	AllowDefaultStore bool
}

// Resolve returns the directories of the prefix that o asks for.
//
// A path that ends in the element `store` is the store directory; any other is its parent.
// That is decided after symbolic links were resolved,
// so that Resolve of a resolved store directory is that same directory.
//
// Every error is a [fault.Error]. What is wrong with the path itself is a [fault.Usage]:
// empty, relative, `/`, too long, not UTF-8, characters a store path cannot bear,
// [DefaultStore] without leave, directories that clash.
// What this host makes of it is a [fault.Unfit]:
// symbolic links that lead nowhere, a file where a directory should be, a place inside another store.
func Resolve(o Options) (Layout, error) {
	given := subject{noun: "prefix", flag: "--prefix", path: o.Path, cwd: o.Cwd}
	store, err := resolveStore(given)
	if err != nil {
		return Layout{}, err
	}
	l := layout(store)
	if asked := filepath.Clean(o.Path); asked != store && withStore(asked) != store {
		l.ResolvedFrom = asked
	}
	if err := checkRoot(l, o.AllowDefaultStore); err != nil {
		return Layout{}, err
	}
	if err := l.override(o); err != nil {
		return Layout{}, err
	}
	if err := checkDistinct(l); err != nil {
		return Layout{}, err
	}
	for _, d := range l.Main() {
		if err := checkNested(d); err != nil {
			return Layout{}, err
		}
	}
	if err := checkLength(l); err != nil {
		return Layout{}, err
	}
	return l, nil
}

// resolveStore returns the store directory for what was typed.
func resolveStore(s subject) (string, error) {
	if err := s.check(); err != nil {
		return "", err
	}
	if hasLongName(s.path) {
		// The kernel would refuse to look at it, and say less about it.
		return "", checkLength(layout(withStore(filepath.Clean(s.path))))
	}
	path, err := s.resolve()
	if err != nil {
		return "", err
	}
	if path == "/" {
		return "", s.usage("is the root of the file system", "give a directory below it, as in --prefix /opt/store")
	}
	if filepath.Base(path) == storeName {
		return path, nil
	}
	s.path = withStore(path)
	path, err = s.resolve()
	if err != nil {
		return "", err
	}
	if filepath.Base(path) != storeName {
		return "", s.unfit(
			fmt.Sprintf("is a symbolic link to %q, which is not called %q", path, storeName),
			fmt.Sprintf("give --prefix %s, or remove the link", withStore(path)))
	}
	return path, nil
}

const storeName = "store"

func withStore(path string) string {
	if filepath.Base(path) == storeName {
		return path
	}
	return filepath.Join(path, storeName)
}

// override replaces the directories that have a flag of their own,
// and resolves those that have none.
func (l *Layout) override(o Options) error {
	for _, d := range []struct {
		noun, flag, given string
		to                *string
	}{
		{"state directory", "--state-dir", o.StateDir, &l.State},
		{"log directory", "--log-dir", o.LogDir, &l.Log},
		{"configuration directory", "--conf-dir", o.ConfDir, &l.Conf},
		{"work directory", "--prefix", "", &l.Work},
		{"log directory", "--prefix", "", &l.RunLog},
	} {
		s := subject{noun: d.noun, flag: d.flag, path: d.given, cwd: o.Cwd}
		if d.given == "" {
			s.path = *d.to
		} else if err := s.check(); err != nil {
			return err
		}
		path, err := s.resolve()
		if err != nil {
			return err
		}
		if path == "/" {
			return s.usage("is the root of the file system", "give a directory below it, or leave "+d.flag+" out")
		}
		*d.to = path
	}
	return nil
}

// checkRoot refuses the two prefixes that belong to somebody else.
func checkRoot(l Layout, allowDefault bool) error {
	if l.Store == DefaultStore && !allowDefault {
		return fault.New(fault.Usage,
			fmt.Errorf("prefix %q: is the store directory of every other Nix", l.Store),
			"choose another one, as in --prefix /opt/store, or add --allow-default-store")
	}
	if l.Root == "/" {
		return fault.New(fault.Usage,
			fmt.Errorf("prefix %q: state and configuration would lie in the host's own /var and /etc", l.Store),
			"give a directory at least two deep, as in --prefix /opt/store")
	}
	return nil
}

// checkDistinct refuses directories that would get into each other's way.
func checkDistinct(l Layout) error {
	dirs := l.Main()
	for i, d := range dirs {
		for _, e := range dirs[:i] {
			if d.Path == e.Path {
				return clash(d, "is the %s directory as well", e.Noun)
			}
		}
		if i > 0 && within(d.Path, l.Store) {
			return clash(d, "lies inside the store directory %q", l.Store)
		}
		if i > 0 && within(l.Store, d.Path) {
			return clash(d, "contains the store directory %q", l.Store)
		}
		for _, own := range []string{l.Work, l.RunLog, l.Share} {
			if within(d.Path, own) {
				return clash(d, "lies inside %q, which the installer keeps for itself", own)
			}
		}
	}
	return nil
}

func clash(d Directory, format string, args ...any) error {
	return fault.New(fault.Usage,
		fmt.Errorf("%s directory %q: %s", d.Noun, d.Path, fmt.Sprintf(format, args...)),
		"give "+d.Flag+" a directory of its own, or leave it out")
}

// within reports whether path is dir or lies below it. Both are clean.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}
