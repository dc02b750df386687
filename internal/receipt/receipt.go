// Package receipt owns the file that says what was installed in a prefix:
// versioned JSON, replaced as a whole, read strictly.
//
// Receipts of every released version stay readable; testdata holds one of each.
// The package never looks at whether what a receipt says is still true.
package receipt

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"bootstrap/internal/prefix"
)

// Version is the version of the format that [Write] writes and the newest that [Load] reads.
// A field that is added, renamed or given another meaning makes a new version.
const Version = 1

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
	return nil
}

func checkPath(what, path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/" {
		return fmt.Errorf("%s: path %q is not absolute and clean", what, path)
	}
	return nil
}
