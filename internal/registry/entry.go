package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/prefix"
	"bootstrap/internal/receipt"
)

// State says what there is at a store directory.
type State string

// The states.
const (
	Native     State = "native"     // a Nix that was made for this store directory
	Runtime    State = "runtime"    // a Nix that is pointed at it by its options
	Unfinished State = "unfinished" // an installation was begun, or something of it is missing
	Moved      State = "moved"      // what is there was installed elsewhere, or a link leads elsewhere
	Gone       State = "gone"       // nothing of bootstrap's is there
	Unknown    State = "unknown"    // it cannot be told; Why says why
)

// Entry is a prefix as it was found on the disk.
type Entry struct {
	Store      string `json:"store"`
	State      State  `json:"state"`
	NixVersion string `json:"nix_version,omitempty"`
	// Nix is the absolute path of its nix program, where it is complete.
	Nix string `json:"nix,omitempty"`
	// Diverted is the store directory that Nix knows, where the files lie elsewhere.
	Diverted string `json:"diverted,omitempty"`
	Listed   bool   `json:"listed"` // in the file of this account
	Active   bool   `json:"active"` // in the environment that was asked about
	Why      string `json:"why,omitempty"`
	Remedy   string `json:"remedy,omitempty"`

	// Layout is where its directories are, as far as that is known.
	Layout prefix.Layout `json:"-"`
}

// Installed reports whether there is a Nix to be used.
func (e Entry) Installed() bool { return e.State == Native || e.State == Runtime }

// nativeStage is the stage of the receipt whose output "nix" is the Nix that was made.
const nativeStage = "native"

// Look says what is at a store directory. It believes nobody: what the receipt names is looked for.
func Look(store string) Entry {
	e := Entry{Store: store, State: Gone}
	l, err := prefix.Locate(prefix.Options{Path: store, AllowDefaultStore: true})
	if err != nil {
		_, serr := os.Stat(store)
		if missing(serr) {
			return e.gone()
		}
		return e.because(Unknown, err.Error(), fault.HintOf(err))
	}
	e.Layout = l
	if l.Store != store {
		return e.moved(fmt.Sprintf("a symbolic link leads to %q", l.Store))
	}
	rec, err := receipt.Load(l.Receipt())
	switch {
	case err == nil && rec.Layout.Store != l.Store:
		return e.moved(fmt.Sprintf("what is there was installed as %q", rec.Layout.Store))
	case err == nil:
		return e.installed(rec)
	case missing(err):
		return e.begun()
	}
	remedy := fault.HintOf(err)
	if remedy == "" {
		remedy = "ask its owner, or the owner of the directories above it"
	}
	return e.because(Unknown, err.Error(), remedy)
}

func (e Entry) because(s State, why, remedy string) Entry {
	e.State, e.Why, e.Remedy = s, why, remedy
	return e
}

func (e Entry) gone() Entry {
	return e.because(Gone, "nothing of bootstrap's is there", "`bootstrap list --prune` drops it from the list")
}

func (e Entry) moved(why string) Entry {
	return e.because(Moved, why, "move it back; Nix has the directory compiled in")
}

func (e Entry) unfinished(why string) Entry {
	return e.because(Unfinished, why,
		"the install command, run again, goes on; `bootstrap uninstall` removes what there is")
}

// installed looks for what a receipt speaks of.
func (e Entry) installed(rec *receipt.Receipt) Entry {
	e.Layout, e.NixVersion, e.Diverted = rec.Layout, rec.NixVersion, rec.Diverted
	e.State = Native
	program := ""
	if s, ok := rec.Stage(nativeStage); ok {
		program = nixcmd.Program(s.Outputs["nix"])
	}
	if rec.Mode == receipt.Runtime {
		e.State, program = Runtime, nixcmd.Program(rec.Layout.RuntimeDir())
	}
	for _, path := range []string{rec.Layout.Store, rec.Layout.Database(), program} {
		if _, err := os.Stat(path); err != nil {
			return e.unfinished(fmt.Sprintf("%q is missing", path))
		}
	}
	e.Nix = program
	return e
}

// begun looks for the journal of an installation that has no receipt yet.
func (e Entry) begun() Entry {
	history, err := journal.Load(e.Layout.Journal())
	switch {
	case err == nil && len(history.Records) > 0:
		return e.unfinished("an installation was begun and did not end")
	case err == nil, missing(err):
		return e.gone()
	}
	return e.because(Unknown, err.Error(), fault.HintOf(err))
}

// missing reports whether the error says that there is nothing, not even a way to it.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// StoreOf returns the store directory in a prefix, given its root as $BOOTSTRAP_PREFIX has it.
func StoreOf(root string) string { return filepath.Join(filepath.Clean(root), "store") }

// Survey looks at every prefix of the list, and at the one in the environment, whose root is "" for
// none: it may be in nobody's list.
func Survey(list List, active string) []Entry {
	var entries []Entry
	store := ""
	if filepath.IsAbs(active) {
		store = StoreOf(active)
	}
	there := false
	for _, s := range list.Prefixes {
		e := Look(s)
		e.Listed, e.Active = true, s == store
		there = there || e.Active
		entries = append(entries, e)
	}
	if store != "" && !there {
		e := Look(store)
		e.Active = true
		if e.State == Gone {
			e.Remedy = "leave it: bootstrap_deactivate, or a new shell"
		}
		entries = append(entries, e)
	}
	return entries
}
