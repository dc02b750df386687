package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/receipt"
)

// remains are what is left of an installation: its store and its receipt.
type remains struct {
	files   map[string]string  // of the store: kind, mode, digest, size
	receipt receipt.Receipt    // without times
	seconds map[string]float64 // that each stage took
}

func (p *patient) remains() remains {
	p.Helper()
	r := remains{files: map[string]string{}, seconds: map[string]float64{}}
	must(p.T, filepath.WalkDir(p.store(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := info.Mode().String() // of anything that has no place there
		switch {
		case path == p.store():
			return nil
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			// Of a file's mode, Nix keeps whether it can be run.
			sum := sha256.Sum256(data)
			line = fmt.Sprintf("file %t %s %d", info.Mode()&0o100 != 0, hex.EncodeToString(sum[:]), len(data))
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line = "link " + target
		case d.IsDir():
			line = "directory"
		}
		r.files[strings.TrimPrefix(path, p.store()+"/")] = line
		return nil
	}))
	rec, err := receipt.Load(p.path("opt", "var", "bootstrap", "receipt.json"))
	must(p.T, err)
	r.receipt = *rec
	r.receipt.Created, r.receipt.Updated = time.Time{}, time.Time{}
	for i := range r.receipt.Stages {
		s := &r.receipt.Stages[i]
		r.seconds[s.Name], s.Seconds = s.Seconds, 0
	}
	slices.SortFunc(r.receipt.Made, func(a, b receipt.Made) int { return strings.Compare(a.Path, b.Path) })
	return r
}

// compare fails if an installation is not like a healthy one. Outputs of the stages that may differ
// are left out, and times always.
func (r remains) compare(t *testing.T, healthy remains, differs []string) {
	t.Helper()
	if diff := cmp.Diff(healthy.files, r.files); diff != "" {
		t.Errorf("the store (-healthy +this):\n%s", diff)
	}
	if diff := cmp.Diff(healthy.told(t, differs), r.told(t, differs)); diff != "" {
		t.Errorf("the receipt (-healthy +this):\n%s", diff)
	}
}

// told returns the receipt as text.
func (r remains) told(t *testing.T, differs []string) string {
	t.Helper()
	rec := r.receipt
	rec.Host = receipt.Host{} // some faults are on one of their own
	rec.Stages = slices.Clone(rec.Stages)
	for i := range rec.Stages {
		if slices.Contains(differs, rec.Stages[i].Name) {
			rec.Stages[i].Outputs = nil
		}
	}
	text, err := json.MarshalIndent(rec, "", " ")
	must(t, err)
	return string(text)
}

// lost returns how many bytes of the healthy store's files others do not have.
func (r remains) lost(got remains) int64 {
	var bytes int64
	for path, line := range r.files {
		var size int64
		if _, err := fmt.Sscanf(line[strings.LastIndex(line, " ")+1:], "%d", &size); err == nil && strings.HasPrefix(line, "file ") && got.files[path] != line {
			bytes += size
		}
	}
	return bytes
}
