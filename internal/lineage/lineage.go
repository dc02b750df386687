// Package lineage owns the generations of an installation: which there are, which one is current,
// and how another one becomes it.
//
// A generation is a directory with a number for a name, `<work>/generations/<n>`. It has the
// receipt, the package set, nix.conf, the certificates, the files for shells, and a link to the
// native nix. What people and Nix know those by, `<conf>/nix.conf` and so on, are links that lead
// through `<work>/generations/current`, a link to one of the numbers: the rename of that link
// changes all of them at once. Each generation has GC roots of its own, so that all of them stay
// whole whatever else is collected.
//
// The package decides nothing: stages builds generations and says when one is to be current.
package lineage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"bootstrap/internal/fault"
	"bootstrap/internal/generations"
	"bootstrap/internal/prefix"
	"bootstrap/internal/receipt"
	"bootstrap/internal/shellenv"
)

// current is the name of the link in the directory of generations.
const current = "current"

// Generation is one state of an installation.
type Generation struct {
	Number  int
	Dir     string
	Current bool
	Receipt *receipt.Receipt // nil where it was never complete, or cannot be read
}

// Dir returns the directory of a generation.
func Dir(l prefix.Layout, number int) string {
	return filepath.Join(l.Generations(), strconv.Itoa(number))
}

// List returns the generations, by number.
func List(l prefix.Layout) ([]Generation, error) {
	entries, err := os.ReadDir(l.Generations())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	now, err := Current(l)
	if err != nil {
		return nil, err
	}
	var all []Generation
	for _, e := range entries {
		n, ok := number(e.Name())
		if !ok || !e.IsDir() {
			continue
		}
		g := Generation{Number: n, Dir: Dir(l, n), Current: n == now}
		g.Receipt, err = receipt.Load(filepath.Join(g.Dir, receiptName))
		if errors.Is(err, receipt.ErrNewer) {
			return nil, err
		}
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b Generation) int { return a.Number - b.Number })
	return all, nil
}

// Find returns the generation of that number.
func Find(all []Generation, number int) (Generation, bool) {
	i := slices.IndexFunc(all, func(g Generation) bool { return g.Number == number })
	if i < 0 {
		return Generation{}, false
	}
	return all[i], true
}

// Current returns the number of the current generation, 0 where there is none: nothing is
// installed, or by runtime options, or by a release that knew no generations.
func Current(l prefix.Layout) (int, error) {
	target, err := os.Readlink(filepath.Join(l.Generations(), current))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, ok := number(target)
	if !ok {
		return 0, fault.New(fault.Unfit, fmt.Errorf("link %q: leads to %q, which is no generation", filepath.Join(l.Generations(), current), target),
			"make it lead to one of the numbers beside it")
	}
	return n, nil
}

func number(name string) (int, bool) {
	n, err := strconv.Atoi(name)
	return n, err == nil && n > 0 && strconv.Itoa(n) == name
}

// Switch makes a generation the current one, by one rename, and brings that to the disk.
func Switch(l prefix.Layout, number int) error {
	link := filepath.Join(l.Generations(), current)
	tmp := link + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(strconv.Itoa(number), tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, link); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	dir, err := os.Open(l.Generations())
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Remove removes a generation, which must not be the current one: its directory in one step, so
// that none is left that is not whole, and then its GC roots. Run again it goes on.
func Remove(l prefix.Layout, number int) error {
	now, err := Current(l)
	if err != nil {
		return err
	}
	if number == now {
		return fmt.Errorf("generation %d: it is the current one", number)
	}
	gone := filepath.Join(l.Generations(), ".removed-"+strconv.Itoa(number))
	if err := os.Rename(Dir(l, number), gone); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(os.RemoveAll(gone), os.RemoveAll(l.RootsOf(number)))
}

// Superseded returns the numbers of the generations that a policy does not keep, and of those that
// were begun and have no receipt, unless the policy has no limits. The current one is always kept.
func Superseded(all []Generation, p generations.Policy, made func(Generation) time.Time) []int {
	if p.Keep < 0 && p.MaxAge == 0 {
		return nil
	}
	var numbers []int
	var line []generations.Generation
	for _, g := range all {
		switch {
		case g.Receipt != nil || g.Current:
			line = append(line, generations.Generation{Number: g.Number, Current: g.Current, Made: made(g)})
		default:
			numbers = append(numbers, g.Number)
		}
	}
	for _, old := range p.Old(line) {
		numbers = append(numbers, old.Number)
	}
	slices.Sort(numbers)
	return numbers
}

// Orphans returns the numbers of removed generations whose GC roots are still there.
func Orphans(l prefix.Layout) ([]int, error) {
	entries, err := os.ReadDir(l.GCRoots())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		n, ok := number(e.Name())
		if !ok || !e.IsDir() {
			continue
		}
		if _, err := os.Lstat(Dir(l, n)); errors.Is(err, fs.ErrNotExist) {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

// receiptName is the name of the receipt in a generation.
const receiptName = "receipt.json"

// Member is something of which each generation has its own.
type Member struct {
	Live string // where people and Nix look for it: a link
	Name string // in the directory of a generation
}

// Members returns all of them: files, but for the package set, which is a directory, and the
// profile, which is a link to the native nix.
func Members(l prefix.Layout) []Member {
	return []Member{
		{l.Packages, "packages"},
		{l.NixConf(), filepath.Base(l.NixConf())},
		{l.Certificates(), filepath.Base(l.Certificates())},
		{shellenv.Program(l), filepath.Base(shellenv.Program(l))},
		{l.EnvFile("sh"), filepath.Base(l.EnvFile("sh"))},
		{l.EnvFile("fish"), filepath.Base(l.EnvFile("fish"))},
		{l.EnvFile("csh"), filepath.Base(l.EnvFile("csh"))},
		{l.DefaultProfile(), "profile"},
		{l.Receipt(), receiptName},
	}
}

// Place returns where a generation has its own of a path of the prefix; false where it has none.
func Place(l prefix.Layout, number int, path string) (string, bool) {
	for _, m := range Members(l) {
		if rest, ok := strings.CutPrefix(path, m.Live); ok && (rest == "" || rest[0] == '/') {
			return filepath.Join(Dir(l, number), m.Name) + rest, true
		}
	}
	return path, false
}

// Target returns what the link at the place of a member says: a way through the current generation,
// relative to the directory the link is in, wherever links lead that one to.
func (m Member) Target(l prefix.Layout) (string, error) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(m.Live))
	if err != nil {
		return "", err
	}
	return filepath.Rel(dir, filepath.Join(l.Generations(), current, m.Name))
}

// Linked reports whether the link is at its place.
func (m Member) Linked(l prefix.Layout) bool {
	want, err := m.Target(l)
	if err != nil {
		return false
	}
	got, err := os.Readlink(m.Live)
	return err == nil && got == want
}
