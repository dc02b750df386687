package stages

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/patches"

	version "github.com/hashicorp/go-version"
)

// candidate is a Nix that a set has.
type candidate struct {
	Path    []string `json:"path"`
	Version string   `json:"version"`
}

// choose takes the Nix that the set means by that name, where there are patches for it and it is as asked for;
// else the newest one of which that is true.
func (s *scout) choose(ctx context.Context) error {
	n, err := s.scoutNix(ctx)
	if err != nil {
		return err
	}
	dir, err := s.packages()
	if err != nil {
		return err
	}
	out, err := n.Command("nix", "eval", "--json", "--file", dir, "--apply", "set: (set { }).bootstrap").Output(ctx)
	if err != nil {
		return fault.New(fault.Usage, fmt.Errorf("package set %q: it cannot be evaluated: %w", s.set.From, err), "is it nixpkgs, or in its shape?")
	}
	var found struct {
		Version string      `json:"version"`
		Nixes   []candidate `json:"nixes"`
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return fmt.Errorf("nix eval: %w", err)
	}
	s.set.Version = found.Version
	best, err := s.best(found.Nixes)
	if err != nil {
		return err
	}
	s.set.Nix, s.set.NixVersion, s.r.version = best.Path, best.Version, version.Must(version.NewVersion(best.Version))
	return nil
}

var released = regexp.MustCompile(`^[0-9]+(\.[0-9]+)+$`)

func (s *scout) best(all []candidate) (best candidate, err error) {
	var newest *version.Version
	var why []string
	for i, c := range all {
		refused := error(nil)
		v, verr := version.NewVersion(c.Version)
		switch {
		case verr != nil || !released.MatchString(c.Version):
			refused = fmt.Errorf("%s is no release", c.Version)
		default:
			if _, refused = patches.For(v); refused == nil {
				refused = satisfied(v, s.r.NixVersion, "")
			}
		}
		if refused != nil {
			if text := c.Version; !slices.Contains(why, text) {
				why = append(why, text)
			}
			continue
		}
		if i == 0 && c.Path[0] == "nix" {
			return c, nil
		}
		if newest == nil || v.GreaterThan(newest) {
			newest, best = v, c
		}
	}
	if newest != nil {
		return best, nil
	}
	has := "it has none"
	if len(why) > 0 {
		has = "it has " + strings.Join(why, ", ")
	}
	return best, fault.New(fault.Usage, fmt.Errorf("package set %q: no Nix in it that there are patches for, and that --nix-version takes: %s", s.set.From, has),
		"`bootstrap versions` says what there are patches for; take a revision of nixpkgs that has one of those")
}
