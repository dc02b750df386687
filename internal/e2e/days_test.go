//go:build e2e

package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/receipt"
)

// earlier is what another run of these tests has built of the same inputs.
type earlier struct {
	Day     string            `json:"day"`
	Outputs map[string]string `json:"outputs"` // NAR hash by store path
}

// testDays looks for the day on which a prefix was built in what was built, and compares that with what
// earlier runs on this machine have built of the same inputs, on whatever days those were.
func testDays(t *testing.T, p *place) {
	rec, err := receipt.Load(filepath.Join(p.root(), "var/bootstrap/receipt.json"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	now := earlier{Day: rec.Created.UTC().Format(time.DateOnly), Outputs: map[string]string{}}
	var paths []string
	for _, stage := range []string{"toolchain", "native"} {
		s, _ := rec.Stage(stage)
		sum.Write([]byte(stage + " " + s.Key + "\n"))
		for _, path := range s.Outputs {
			if filepath.Dir(path) == p.store {
				paths = append(paths, path)
			}
		}
	}
	if len(paths) != 6 {
		t.Fatalf("outputs: %q", paths)
	}
	for path, info := range p.pathInfos(t, paths...) {
		now.Outputs[path] = info.NarHash
	}
	for _, path := range slices.Sorted(maps.Keys(now.Outputs)) {
		if files := dated(t, path, rec.Created); len(files) > 0 {
			t.Errorf("%s has the day in it: %q", path, files)
		}
	}

	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(cache, "bootstrap-test", "outputs-"+hex.EncodeToString(sum.Sum(nil))[:32]+".json")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		t.Logf("skipped: no earlier run has built these inputs; %s is for the next", file)
		if text, err = json.MarshalIndent(now, "", "  "); err == nil {
			err = errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, append(text, '\n'), 0o644))
		}
		if err != nil {
			t.Error(err)
		}
		return
	}
	var then earlier
	if err == nil {
		err = json.Unmarshal(text, &then)
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(then.Outputs, now.Outputs); diff != "" {
		t.Errorf("on %s other bytes were built (-then +now):\n%s", then.Day, diff)
	}
	if !t.Failed() {
		t.Logf("measured: %d outputs of %s, the same as of %s", len(now.Outputs), now.Day, then.Day)
	}
}

// dated returns files of a store path that have a day in them, in one of the ways in which programs
// write it.
func dated(t *testing.T, path string, day time.Time) (files []string) {
	t.Helper()
	var texts [][]byte
	for _, layout := range []string{time.DateOnly, "20060102", "Jan 02 2006", "Jan _2 2006", "_2 Jan 2006", "January _2, 2006"} {
		texts = append(texts, []byte(day.UTC().Format(layout)))
	}
	for hour := range 2 { // as date(1) has it, whatever year
		texts = append(texts, []byte(day.UTC().Add(-time.Duration(hour)*time.Hour).Format("Mon Jan _2 15:")))
	}
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(name)
		if slices.ContainsFunc(texts, func(text []byte) bool { return bytes.Contains(data, text) }) {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
