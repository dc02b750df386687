package stages

import (
	"fmt"
	"path"
	"slices"

	"bootstrap/internal/lock"
	"bootstrap/patches"

	version "github.com/hashicorp/go-version"
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
	Name    string  `json:"name"`  // the directory of the patches
	Range   string  `json:"range"` // versions it is for
	Patches int     `json:"patches"`
	Built   []Build `json:"built"` // none if they are only known to apply
}

// Build is a whole installation that was made with a series of patches.
type Build struct {
	Nix          string `json:"nix"`          // version of the Nix that was built
	Architecture string `json:"architecture"` // in Debian's words
	Host         string `json:"host"`         // version of the Nix that began it
}

// Versions returns the versions of Nix that a lock has the source of. Only a source that the test
// command builds, the very file, counts as tested.
func Versions(l *lock.Lock) ([]Known, error) {
	built, err := patches.AllBuilt()
	if err != nil {
		return nil, err
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
		k.Tested = err == nil && slices.ContainsFunc(built, func(b patches.Built) bool { return b.Tested && b.SHA256 == e.SHA256 })
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
	built, err := patches.AllBuilt()
	if err != nil {
		return nil, err
	}
	series := []Series{}
	for _, p := range all {
		s := Series{Name: path.Dir(p.File), Range: p.Range.String(), Built: []Build{}}
		i := slices.IndexFunc(series, func(o Series) bool { return o.Name == s.Name && o.Range == s.Range })
		if i < 0 {
			for _, b := range built {
				v, err := version.NewVersion(b.Nix)
				if err != nil {
					return nil, fmt.Errorf("built.json: %w", err)
				}
				if p.Range.Check(v) {
					s.Built = append(s.Built, Build{Nix: b.Nix, Architecture: b.Architecture, Host: b.Host})
				}
			}
			series = append(series, s)
			i = len(series) - 1
		}
		series[i].Patches++
	}
	return series, nil
}
