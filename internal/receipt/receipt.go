// Package receipt owns the file that says what was installed in a prefix:
// versioned JSON, replaced as a whole, read strictly.
//
// Receipts of every released version stay readable; testdata holds one of each.
// The package never looks at whether what a receipt says is still true.
package receipt

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"bootstrap/internal/prefix"
)

// Version is the newest version of the format that [Load] reads. A field that is added, renamed or
// given another meaning makes a new version; [Write] writes the oldest that has a place for
// everything, so that older programs go on reading what they can understand.
//
//	1  the first
//	2  borrowed
const Version = 2

// borrowedVersion is the first version with a place for [Receipt.Borrowed].
const borrowedVersion = 2

// Runtime is the mode of a prefix whose Nix was made for another store directory.
const Runtime = "runtime"

// Receipt is what was installed in one prefix.
type Receipt struct {
	Version    int           `json:"version"`
	Created    time.Time     `json:"created"`   // when the prefix was first complete
	Updated    time.Time     `json:"updated"`   // when this receipt was written
	Installer  string        `json:"installer"` // version of the installer that wrote it
	Layout     prefix.Layout `json:"layout"`
	NixVersion string        `json:"nix_version"`
	Mode       string        `json:"mode,omitempty"`     // [Runtime], or nothing where the Nix is native
	Diverted   string        `json:"diverted,omitempty"` // the store directory Nix knows, where the files lie elsewhere
	LockDigest string        `json:"lock_digest"`
	Stages     []Stage       `json:"stages"` // in the order they ran
	Made       []Made        `json:"made"`   // in the order it was made; uninstall goes backwards
	Hooks      []Hook        `json:"hooks"`
	Host       Host          `json:"host"`
	Borrowed   []Loan        `json:"borrowed,omitempty"` // other stores that builds see
}

// Stage is one stage that ended well.
type Stage struct {
	Name    string            `json:"name"`
	Key     string            `json:"key"`
	Outputs map[string]string `json:"outputs,omitempty"`
	Seconds float64           `json:"seconds"`         // how long it took when it last ran
	Bytes   int64             `json:"bytes,omitempty"` // what it left on the disk
}

// Made is one thing the installer made and uninstall takes away.
type Made struct {
	Kind string `json:"kind"` // as in internal/journal: directory, file, link, tree, block
	Path string `json:"path"`
}

// Hook is a marked block in a shell start-up file.
type Hook struct {
	Shell   string `json:"shell"`
	File    string `json:"file"`
	Created bool   `json:"created"` // the file did not exist before
}

// Loan is a store that builds of the prefix see although it is not theirs.
type Loan struct {
	Store   string    `json:"store"`           // the lender's store directory, as its Nix knows it
	Files   string    `json:"files,omitempty"` // where its files lie, if elsewhere
	State   string    `json:"state"`           // its state directory, in which its GC roots are
	Since   time.Time `json:"since"`
	Sandbox []string  `json:"sandbox"` // what builds see, in the words of extra-sandbox-paths
	Paths   []Lent    `json:"paths"`   // what is borrowed by name
}

// Lent is a store path of a lender.
type Lent struct {
	Path string `json:"path"`
	Root string `json:"root,omitempty"` // the GC root that keeps it; none if it could not be made
}

// Host is the machine the prefix was made on.
type Host struct {
	Name           string `json:"name"`
	Architecture   string `json:"architecture"` // as Debian calls it
	Kernel         string `json:"kernel"`
	FileSystem     string `json:"file_system"` // below the store directory
	UID            int    `json:"uid"`
	UserNamespaces bool   `json:"user_namespaces"`
}

// Stage returns the stage of that name.
func (r *Receipt) Stage(name string) (Stage, bool) {
	for _, s := range r.Stages {
		if s.Name == name {
			return s, true
		}
	}
	return Stage{}, false
}

// check refuses what uninstall could not safely act on.
func (r *Receipt) check() error {
	if r.Created.IsZero() {
		return errors.New("created: no time")
	}
	if r.NixVersion == "" {
		return errors.New("nix_version: empty")
	}
	for _, d := range r.Layout.Main() {
		if err := checkPath("layout: "+d.Noun, d.Path); err != nil {
			return err
		}
	}
	for _, d := range []string{r.Layout.Root, r.Layout.Work, r.Layout.RunLog, r.Layout.Share, r.Layout.Packages, r.Layout.ProfileD} {
		if err := checkPath("layout", d); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	for i, s := range r.Stages {
		if s.Name == "" || seen[s.Name] {
			return fmt.Errorf("stages[%d]: name %q is empty or not the first", i, s.Name)
		}
		seen[s.Name] = true
	}
	for i, m := range r.Made {
		if err := checkPath(fmt.Sprintf("made[%d]", i), m.Path); err != nil {
			return err
		}
		if m.Kind == "" {
			return fmt.Errorf("made[%d]: no kind", i)
		}
	}
	for i, h := range r.Hooks {
		if err := checkPath(fmt.Sprintf("hooks[%d]", i), h.File); err != nil {
			return err
		}
	}
	return r.checkBorrowed()
}

func (r *Receipt) checkBorrowed() error {
	if len(r.Borrowed) > 0 && r.Version < borrowedVersion {
		return fmt.Errorf("borrowed: version %d has no such field", r.Version)
	}
	seen := map[string]bool{}
	for i, l := range r.Borrowed {
		what := fmt.Sprintf("borrowed[%d]", i)
		if seen[l.Store] {
			return fmt.Errorf("%s: store %q is not the first", what, l.Store)
		}
		seen[l.Store] = true
		for _, path := range []string{l.Store, l.State, cmp.Or(l.Files, l.Store)} {
			if err := checkPath(what, path); err != nil {
				return err
			}
		}
		for _, p := range l.Paths {
			if err := checkPath(what, p.Path); err != nil {
				return err
			}
			if filepath.Dir(p.Path) != l.Store {
				return fmt.Errorf("%s: path %q is not one of that store", what, p.Path)
			}
		}
	}
	return nil
}

func checkPath(what, path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/" {
		return fmt.Errorf("%s: path %q is not absolute and clean", what, path)
	}
	return nil
}
