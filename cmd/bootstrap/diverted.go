package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/prefix"
)

// place returns the directories for an installation, and the store directory that Nix is to know
// where that is another one: with --root the files lie below a directory as if it were "/".
func (f *planFlags) place(m machine) (l prefix.Layout, diverted string, err error) {
	if err := f.checkMode(); err != nil {
		return l, "", err
	}
	if f.root == "" {
		l, err = f.layout(m)
		return l, "", err
	}
	asked, err := f.asked(m)
	if err != nil {
		return l, "", err
	}
	known, err := prefix.Resolve(asked)
	if err != nil {
		return l, "", err
	}
	root, err := m.absolute("--root", f.root)
	if err != nil {
		return l, "", err
	}
	below := f.prefixFlags
	below.prefix = filepath.Join(root, known.Store)
	if l, err = below.layout(m); err != nil {
		return l, "", err
	}
	if !strings.HasSuffix(l.Store, known.Store) {
		return l, "", fault.New(fault.Usage,
			fmt.Errorf("--root %q: the files would lie in %q, by a symbolic link", f.root, l.Store),
			"give a directory in which nothing on the way to the store is a link")
	}
	return l, known.Store, nil
}

// checkMode refuses flags that runtime mode and a native nix do not share.
func (f *planFlags) checkMode() error {
	switch {
	case f.destdir != "" && f.root != "":
		return fault.New(fault.Usage, errors.New("--destdir and --root: both say where the files lie"),
			"leave out --root: what it makes works where the files lie, what --destdir makes works at its place")
	case f.destdir != "" && f.shellHook:
		return fault.New(fault.Usage, errors.New("--shell-hook: with --destdir, nix will not be on this machine"),
			"leave it out, and run `bootstrap --shell-hook` with the same --prefix where the files are going to be")
	case f.root != "" && !f.runtime:
		return fault.New(fault.Usage, errors.New("--root: is for runtime mode"), "add --runtime")
	case f.root != "" && (f.state != "" || f.log != "" || f.conf != ""):
		return fault.New(fault.Usage, errors.New("--root: the other directories follow from it"),
			"leave --state-dir, --log-dir and --conf-dir out")
	case f.runtime && f.buildHello:
		return fault.New(fault.Usage, errors.New("--build-hello: there is no compiler in runtime mode"),
			"leave out one of --build-hello and --runtime")
	}
	return nil
}
