package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/journal"
	"bootstrap/internal/lineage"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/prefix"
	"bootstrap/internal/receipt"
	"bootstrap/stages"
)

// drift is something in a prefix that is not as it was made.
type drift struct {
	Path string `json:"path"`
	What string `json:"what"`
}

// records are what a prefix says of itself.
type records struct {
	layout  prefix.Layout
	history *journal.History
	receipt *receipt.Receipt // nil where there is none
	runtime bool
}

// outputs returns what a stage made when it last ended well: by the receipt, or by the journal
// where that was lost.
func (r records) outputs(stage string) map[string]string {
	if r.receipt != nil { // that of the current generation; the journal has others, too
		s, _ := r.receipt.Stage(stage)
		return s.Outputs
	}
	for i := len(r.history.Records) - 1; i >= 0; i-- {
		if rec := r.history.Records[i]; rec.Stage == stage && rec.Event == journal.End {
			return rec.Output
		}
	}
	return nil
}

// drifted names what differs from what was made: files, the profile, GC roots, what is borrowed, and the caches.
func (r records) drifted() []drift {
	return slices.Concat(r.files(), r.profile(), r.roots(), r.loans(), r.caches())
}

// files compares those whose digests were recorded when they were written.
func (r records) files() []drift {
	stage := stages.Configure
	if r.runtime {
		stage = stages.Runtime
	}
	out := r.outputs(stage)
	var found []drift
	for _, path := range slices.Sorted(maps.Keys(out)) {
		if !strings.HasPrefix(path, "/") {
			continue
		}
		data, err := os.ReadFile(path)
		sum := sha256.Sum256(data)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			found = append(found, drift{path, "is missing"})
		case err != nil:
			found = append(found, drift{path, "cannot be read: " + errors.Unwrap(err).Error()})
		case hex.EncodeToString(sum[:]) != out[path]:
			found = append(found, drift{path, "is not what was written"})
		}
	}
	return found
}

// profile looks where the profile that shells find nix by leads to.
func (r records) profile() []drift {
	profile := r.layout.DefaultProfile()
	want := nixcmd.Program(r.outputs(stages.Native)["nix"])
	switch {
	case r.runtime:
		want = nixcmd.Program(r.layout.RuntimeDir())
		if r.outputs(stages.Runtime) == nil {
			return nil
		}
	case r.outputs(stages.Install) == nil:
		return nil
	}
	program := nixcmd.Program(profile)
	got, err := filepath.EvalSymlinks(program)
	switch {
	case err != nil:
		return []drift{{profile, "has no nix in it"}}
	case got != want:
		return []drift{{profile, "has another nix in it: " + got}}
	}
	return nil
}

// roots looks for the GC roots of what the installer has built.
func (r records) roots() []drift {
	if r.runtime {
		return nil
	}
	made := map[string]bool{}
	for _, record := range r.history.Created() {
		made[record.Path] = record.Kind == journal.Link
	}
	if r.receipt != nil {
		for _, m := range r.receipt.Made {
			made[m.Path] = made[m.Path] || m.Kind == string(journal.Link)
		}
	}
	var found []drift
	dir := r.layout.GCRoots()
	if n, err := lineage.Current(r.layout); err == nil && n > 0 {
		dir = r.layout.RootsOf(n)
	}
	for _, stage := range []string{stages.Toolchain, stages.Native} {
		out := r.outputs(stage)
		for _, name := range slices.Sorted(maps.Keys(out)) {
			root := filepath.Join(dir, name)
			if !made[root] {
				continue
			}
			switch target, err := os.Readlink(root); {
			case err != nil:
				found = append(found, drift{root, "is missing: the next garbage collection deletes " + out[name]})
			case target != out[name]:
				found = append(found, drift{root, "leads to " + target + ", and not to " + out[name]})
			}
		}
	}
	return found
}
