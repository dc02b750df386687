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
	Path     string // --prefix: the store directory, or its parent
	StateDir string // --state-dir: the state directory, or its parent; empty for the default
	LogDir   string // --log-dir; empty for the default
	ConfDir  string // --conf-dir: the configuration directory, or its parent; empty for the default

	// Cwd, where it is known, lets the hint for a relative path name the absolute one.
	Cwd string
	// AllowDefaultStore permits [DefaultStore].
	AllowDefaultStore bool

	// Below is a directory that stands for "/": what there is is looked for below it, and nothing in
	// there may be a symbolic link. Empty for "/" itself.
	Below string
}

// Resolve returns the directories of the prefix that o asks for.
//
// A path that ends in the element `store` is the store directory; any other is its parent.
// In the same way the state and the configuration directory end in the element `nix`, which
// Nix's build appends to the directories it is given (src/libstore/meson.build in Nix 2.26).
// That is decided after symbolic links were resolved,
// so that Resolve of resolved directories gives those same directories.
//
// Every error is a [fault.Error]. What is wrong with the path itself is a [fault.Usage]:
// empty, relative, `/`, too long, not UTF-8, characters a store path cannot bear,
// [DefaultStore] without leave, directories that clash.
// What this host makes of it is a [fault.Unfit]:
// symbolic links that lead nowhere, a file where a directory should be, a place inside another store.
func Resolve(o Options) (Layout, error) {
	l, err := Locate(o)
	if err != nil {
		return Layout{}, err
	}
	if err := l.override(o); err != nil {
		return Layout{}, err
	}
	if err := checkDistinct(l); err != nil {
		return Layout{}, err
	}
	for _, d := range l.Main() {
		if err := checkNested(d, o.Below); err != nil {
			return Layout{}, err
		}
		if o.Below == "" {
			continue
		}
		files := Directory{d.Noun, "--destdir", filepath.Join(o.Below, d.Path)}
		if err := checkNested(files, ""); err != nil {
			return Layout{}, err
		}
	}
	if err := checkLength(l); err != nil {
		return Layout{}, err
	}
	return l, nil
}

// Locate returns what follows from o.Path alone: where the store directory is, and where the
// installer keeps what it recorded of a prefix that is there already.
// State, Log and Conf are the defaults, and nobody has looked at them.
// Its errors are like those of [Resolve].
func Locate(o Options) (Layout, error) {
	store, err := resolveStore(subject{noun: "prefix", flag: "--prefix", path: o.Path, cwd: o.Cwd, below: o.Below})
	if err != nil {
		return Layout{}, err
	}
	l := layout(store)
	if asked := filepath.Clean(o.Path); asked != store && ending(asked, storeName) != store {
		l.ResolvedFrom = asked
	}
	if err := checkRoot(l, o.AllowDefaultStore); err != nil {
		return Layout{}, err
	}
	for _, d := range []struct {
		noun string
		to   *string
	}{{"work directory", &l.Work}, {"log directory", &l.RunLog}} {
		s := subject{noun: d.noun, flag: "--prefix", path: *d.to, cwd: o.Cwd, below: o.Below}
		if *d.to, err = s.resolveDirectory(""); err != nil {
			return Layout{}, err
		}
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
		return "", checkLength(layout(ending(filepath.Clean(s.path), storeName)))
	}
	return s.resolveDirectory(storeName)
}

const (
	storeName = "store" // the last element of the store directory
	nixName   = "nix"   // the last element of the state and the configuration directory
)

// ending returns the path itself if name is its last element, or else the directory of that name in it.
func ending(path, name string) string {
	if filepath.Base(path) == name {
		return path
	}
	return filepath.Join(path, name)
}

// override replaces the directories that have a flag of their own.
func (l *Layout) override(o Options) error {
	for _, d := range []struct {
		noun, flag, given, name string
		to                      *string
	}{
		{"state directory", "--state-dir", o.StateDir, nixName, &l.State},
		{"log directory", "--log-dir", o.LogDir, "", &l.Log},
		{"configuration directory", "--conf-dir", o.ConfDir, nixName, &l.Conf},
	} {
		s := subject{noun: d.noun, flag: d.flag, path: d.given, cwd: o.Cwd, below: o.Below}
		if d.given == "" {
			s.path = *d.to
		} else if err := s.check(); err != nil {
			return err
		}
		path, err := s.resolveDirectory(d.name)
		if err != nil {
			return err
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
