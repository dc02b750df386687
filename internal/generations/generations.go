// Package generations reads the profiles of a prefix and says which of their generations are old.
// It never removes one: Nix does, under its own lock.
package generations

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Generation is one state of a profile.
type Generation struct {
	Profile string    `json:"profile"` // the link that people use
	Number  int       `json:"number"`
	Target  string    `json:"target"` // the store path
	Made    time.Time `json:"made"`
	Current bool      `json:"current"`
}

// Link returns the link that is the generation.
func (g Generation) Link() string { return fmt.Sprintf("%s-%d-link", g.Profile, g.Number) }

// link matches the name of a generation: <profile>-<number>-link (libstore/profiles.cc in Nix 2.26).
var link = regexp.MustCompile(`^(.+)-([0-9]+)-link$`)

// List returns the generations of all profiles below a directory whose targets are in the store
// directory, by profile and number.
func List(dir, store string) ([]Generation, error) {
	var all []Generation
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return err
		}
		m := link.FindStringSubmatch(d.Name())
		if m == nil {
			return nil
		}
		target, err := os.Readlink(path)
		if err != nil || !strings.HasPrefix(target, store+"/") {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		number, err := strconv.Atoi(m[2])
		if err != nil {
			return nil // more digits than a number has
		}
		profile := filepath.Join(filepath.Dir(path), m[1])
		now, _ := os.Readlink(profile)
		all = append(all, Generation{
			Profile: profile, Number: number, Target: target, Made: info.ModTime(), Current: filepath.Base(now) == d.Name(),
		})
		return nil
	})
	slices.SortFunc(all, func(a, b Generation) int {
		if c := strings.Compare(a.Profile, b.Profile); c != 0 {
			return c
		}
		return a.Number - b.Number
	})
	return all, err
}

// Policy says which generations to keep. The current one of each profile always is, and so is
// every one in a profile whose current one is not known.
type Policy struct {
	Keep   int           // so many besides the current one, the newest; -1: no limit by number
	MaxAge time.Duration // those that are not older; 0: no limit by age
	Now    time.Time
}

// Old returns the generations that no limit of the policy keeps. A policy without limits keeps all.
func (p Policy) Old(all []Generation) []Generation {
	if p.Keep < 0 && p.MaxAge == 0 {
		return nil
	}
	current := map[string]bool{}
	for _, g := range all {
		current[g.Profile] = current[g.Profile] || g.Current
	}
	var old []Generation
	others := map[string]int{}
	for _, g := range slices.Backward(all) { // the newest first
		if g.Current || !current[g.Profile] {
			continue
		}
		others[g.Profile]++
		byNumber := p.Keep >= 0 && others[g.Profile] <= p.Keep
		byAge := p.MaxAge > 0 && p.Now.Sub(g.Made) <= p.MaxAge
		if !byNumber && !byAge {
			old = append(old, g)
		}
	}
	slices.Reverse(old)
	return old
}
