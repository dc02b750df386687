package patches

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-version"

	"bootstrap/internal/fault"
)

// All returns every patch, series by series and in the order in which they apply.
func All() ([]Patch, error) { return Load(FS) }

// For returns the patches for a version of Nix, in the order in which they
// apply. What follows the numbers of the version, such as "-dfsg", is ignored.
// A version that no patch is for is an error of kind [fault.Usage]: an
// unpatched Nix would not keep to its prefix.
func For(v *version.Version) ([]Patch, error) {
	all, err := All()
	if err != nil {
		return nil, err
	}
	return Select(all, v)
}

// Select is [For] on a given list of patches.
func Select(all []Patch, v *version.Version) ([]Patch, error) {
	if v == nil {
		return nil, errors.New("select patches: no version of Nix given")
	}
	var (
		selected []Patch
		known    []string
	)
	core := v.Core() // a constraint without a pre-release matches none with one
	for _, p := range all {
		if p.Range.Check(core) {
			selected = append(selected, p)
		}
		// A later patch of a series may be for some of its versions only.
		if strings.HasPrefix(path.Base(p.File), "0001-") {
			known = append(known, fmt.Sprintf("%q", p.Range.String()))
		}
	}
	if len(selected) == 0 {
		return nil, fault.New(fault.Usage,
			fmt.Errorf("no patches for Nix %s: there are some for %s", v.Original(), strings.Join(known, "; ")),
			"choose a version of Nix in one of these ranges")
	}
	return selected, nil
}

// Nearest returns the series to try on a version: the patches that are for it, else those of the
// newest series for an older one, else those of the oldest. [For] is what a build goes by.
func Nearest(all []Patch, v *version.Version) []Patch {
	if series, err := Select(all, v); err == nil {
		return series
	}
	var best string
	var bestMinor *version.Version
	for _, p := range all {
		dir := path.Dir(p.File)
		minor, err := version.NewVersion(dir)
		if err != nil { // cannot be: Load has looked at the names
			continue
		}
		switch fits := minor.LessThanOrEqual(v.Core()); {
		case bestMinor == nil,
			fits && (minor.GreaterThan(bestMinor) || bestMinor.GreaterThan(v.Core())),
			!fits && bestMinor.GreaterThan(v.Core()) && minor.LessThan(bestMinor):
			best, bestMinor = dir, minor
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(p Patch) bool { return path.Dir(p.File) != best })
}

// fileName matches a patch's path in [FS].
var fileName = regexp.MustCompile(`^\d+\.\d+/(\d{4})-[a-z0-9]+(?:-[a-z0-9]+)*\.patch$`)

// Load reads and checks the patches of a file system laid out as [FS] is. The
// numbers in a directory must go up from 0001 without a gap or a double.
func Load(fsys fs.FS) ([]Patch, error) {
	files, err := fs.Glob(fsys, "*/*.patch")
	if err != nil {
		return nil, fmt.Errorf("list patches: %w", err)
	}
	slices.Sort(files)
	all := make([]Patch, 0, len(files))
	dir, last := "", 0
	for _, file := range files {
		m := fileName.FindStringSubmatch(file)
		if m == nil {
			return nil, fmt.Errorf("load patch %q: not named <version>/NNNN-<slug>.patch", file)
		}
		if path.Dir(file) != dir {
			dir, last = path.Dir(file), 0
		}
		number, err := strconv.Atoi(m[1])
		if err != nil || number != last+1 {
			return nil, fmt.Errorf("load patch %q: its number should be %04d", file, last+1)
		}
		last = number
		data, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, fmt.Errorf("load patch %q: %w", file, err)
		}
		p, err := Parse(file, data)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}
