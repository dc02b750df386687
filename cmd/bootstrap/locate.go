package main

import (
	"errors"
	"fmt"
	"io/fs"

	"bootstrap/internal/fault"
	"bootstrap/internal/prefix"
	"bootstrap/internal/receipt"
	"bootstrap/stages"
)

// place is a prefix as the flags name it, and as earlier runs recorded it.
type place struct {
	layout  prefix.Layout
	known   bool             // an earlier run recorded the layout
	receipt *receipt.Receipt // nil where there is none that can be read
	damaged error            // why the receipt that is there cannot be read
}

func (f *prefixFlags) asked(m machine) (prefix.Options, error) {
	if f.prefix == "" {
		return prefix.Options{}, fault.New(fault.Usage, errors.New("no prefix given"),
			`say where the store should be: --prefix "$HOME/opt/store"`)
	}
	below, err := f.below(m)
	return prefix.Options{
		Path: f.prefix, StateDir: f.state, LogDir: f.log, ConfDir: f.conf,
		Cwd: m.cwd, AllowDefaultStore: f.allowDefaultStore, Below: below,
	}, err
}

// layout returns the directories for an installation: the recorded ones, where there are any.
func (f *prefixFlags) layout(m machine) (prefix.Layout, error) {
	if f.destdir != "" && m.within == nil { // as long as nothing is recorded
		a, err := f.apart(m)
		return a.layout, err
	}
	at, err := f.locate(m)
	if err != nil || !at.known {
		return at.layout, err
	}
	if err := at.layout.MayWrite(); err != nil {
		return at.layout, err
	}
	// They are looked at again, since somebody may have put a link in their way.
	o, err := f.asked(m)
	if err != nil {
		return prefix.Layout{}, err
	}
	return agreed(o, at.layout)
}

// locate finds a prefix. The directories are those that the receipt has, else those that the
// journal has, and only where there is neither those that the flags name.
func (f *prefixFlags) locate(m machine) (place, error) {
	o, err := f.asked(m)
	if err != nil {
		return place{}, err
	}
	l, err := prefix.Locate(o)
	if err != nil {
		return place{}, err
	}
	at := place{}
	switch rec, err := receipt.Load(l.Receipt()); {
	case err == nil:
		at.receipt = rec
	case errors.Is(err, receipt.ErrDamaged):
		at.damaged = err
	case errors.Is(err, fs.ErrPermission):
		return place{}, fault.New(fault.Unfit, fmt.Errorf("prefix %q: you may not even look at it: %w", l.Store, err),
			"ask whoever looks after it to put you into its group")
	case !errors.Is(err, fs.ErrNotExist):
		return place{}, err
	}
	// The receipt of a prefix that was moved speaks of another one.
	if at.receipt != nil && at.receipt.Layout.Store == l.Store {
		at.layout, at.known = at.receipt.Layout, true
	} else if recorded, ok := stages.Recorded(l); ok && recorded.Store == l.Store {
		at.layout, at.known = recorded, true
	}
	switch {
	case !at.known:
		at.layout, err = prefix.Resolve(o)
	case f.state != "" || f.log != "" || f.conf != "":
		at.layout, err = agreed(o, at.layout)
	}
	at.layout.ResolvedFrom = l.ResolvedFrom
	return at, err
}

// agreed resolves o, with the known directories for those that it does not name, and refuses what
// is not where it was: Nix has the directories compiled in.
func agreed(o prefix.Options, known prefix.Layout) (prefix.Layout, error) {
	given := map[string]bool{}
	for _, d := range []struct {
		flag  string
		asked *string
		known string
	}{
		{"--state-dir", &o.StateDir, known.State},
		{"--log-dir", &o.LogDir, known.Log},
		{"--conf-dir", &o.ConfDir, known.Conf},
	} {
		given[d.flag] = *d.asked != ""
		if *d.asked == "" {
			*d.asked = d.known
		}
	}
	l, err := prefix.Resolve(o)
	if err != nil {
		return l, err
	}
	now := l.Main()
	for i, was := range known.Main() {
		switch {
		case now[i].Path == was.Path:
		case given[was.Flag]:
			return l, fault.New(fault.Usage,
				fmt.Errorf("%s %q: the %s directory of this prefix is %q", was.Flag, now[i].Path, was.Noun, was.Path),
				"leave "+was.Flag+" out, or uninstall first: Nix has the directory compiled in")
		default:
			return l, fault.New(fault.Unfit,
				fmt.Errorf("%s directory %q: is %q now, by a symbolic link", was.Noun, was.Path, now[i].Path),
				"put the directory back where it was")
		}
	}
	return l, nil
}
