package stages

import (
	"path"
	"slices"

	"bootstrap/internal/lock"
	"bootstrap/patches"
	"bootstrap/templates"
)

// Known is a version of Nix whose source is known.
type Known struct {
	Version string   `json:"version"`
	From    string   `json:"from"` // what names the source: "lock"
	File    string   `json:"file"`
	SHA256  string   `json:"sha256"`
	Patches []string `json:"patches"` // in the order they apply; none if the version is refused
	Tested  bool     `json:"tested"`  // this very source is built and used by the test command
	Refused string   `json:"refused,omitempty"`
}

// Series is the patches for one range of versions.
type Series struct {
	Name    string `json:"name"`  // the directory of the patches
	Range   string `json:"range"` // versions it is for
	Patches int    `json:"patches"`
}

// Versions returns the versions of Nix that a lock has the source of. The test command builds what
// the built-in lock has: only that source counts as tested.
func Versions(l *lock.Lock) ([]Known, error) {
	builtIn, err := lock.Parse(templates.Lock())
	if err != nil {
		return nil, err
	}
	tested := map[string]bool{}
	for _, e := range nixSources(builtIn) {
		tested[e.SHA256] = true
	}
	known := []Known{}
	for _, e := range nixSources(l) {
		v, err := entryVersion(e)
		if err != nil {
			return nil, err
		}
		k := Known{Version: v.String(), From: "lock", File: path.Base(e.Path), SHA256: e.SHA256, Patches: []string{}}
		series, err := patches.For(v)
		if err != nil {
			k.Refused = err.Error()
		}
		for _, p := range series {
			k.Patches = append(k.Patches, p.File)
		}
		k.Tested = err == nil && tested[e.SHA256]
		known = append(known, k)
	}
	return known, nil
}

// AllSeries returns the series of patches that there are. A series with patches of several ranges
// has a line for each.
func AllSeries() ([]Series, error) {
	all, err := patches.All()
	if err != nil {
		return nil, err
	}
	series := []Series{}
	for _, p := range all {
		s := Series{Name: path.Dir(p.File), Range: p.Range.String()}
		i := slices.IndexFunc(series, func(o Series) bool { return o.Name == s.Name && o.Range == s.Range })
		if i < 0 {
			series = append(series, s)
			i = len(series) - 1
		}
		series[i].Patches++
	}
	return series, nil
}
