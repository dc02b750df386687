package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"bootstrap/internal/fault"
	"bootstrap/internal/prefix"
	"bootstrap/internal/prompt"
	"bootstrap/internal/registry"
	"bootstrap/internal/transplant"
	"bootstrap/stages"
)

// autoPrefix is the --prefix that stands for one which fits a bundle.
const autoPrefix = "auto"

// choices is how many places are offered.
const choices = 3

// auto returns a prefix whose length is that of the bundle, in a place that this user can write to.
func (f *planFlags) auto(ctx context.Context, m machine, from *stages.From) (string, error) {
	if from == nil {
		return "", fault.New(fault.Usage, errors.New("--prefix auto: finds a place for a bundle, and there is none"), "add --from, or say where the store should be")
	}
	if f.state != "" || f.log != "" || f.conf != "" {
		return "", fault.New(fault.Usage, errors.New("--prefix auto: has all directories in one place"), "leave --state-dir, --log-dir and --conf-dir out, or say where the store should be")
	}
	length := len(from.Announced.Head.Store)
	found := m.places(length)
	if len(found) == 0 {
		return "", fault.New(fault.Unfit, fmt.Errorf("--prefix auto: in no place that you may write to can a store directory have %d bytes", length),
			"ask for a bundle of another length, or give a shorter prefix, which is filled up with slashes")
	}
	if f.choose == nil {
		return found[0], nil
	}
	return f.choose(ctx, found)
}

// places returns store directories of a length, the best first: one that was begun, or made, before all.
func (m machine) places(length int) []string {
	var begun, fresh []string
	for _, base := range m.bases() {
		if plain := filepath.Join(base, "store"); len(plain) == length && base != m.getenv("HOME") && fits(plain) {
			if registry.Look(plain).State != registry.Gone {
				begun = append(begun, plain)
			} else if free(plain) {
				fresh = append(fresh, plain)
			}
			continue
		}
		for try := range choices {
			store := transplant.StoreOf(length, base, try)
			if store == "" {
				break
			}
			if !fits(store) {
				break
			}
			if registry.Look(store).State != registry.Gone {
				begun = append(begun, store)
				break
			}
			if free(filepath.Dir(store)) {
				fresh = append(fresh, store)
				break
			}
		}
	}
	all := slices.Concat(begun, fresh)
	return all[:min(len(all), choices)]
}

// bases returns directories that a prefix could be made in: those of the user, then those for software.
func (m machine) bases() []string {
	var all []string
	home := m.getenv("HOME")
	asked := []string{m.getenv("XDG_DATA_HOME"), "/opt", "/srv", "/usr/local", "/var/opt", "/var/lib", "/var/tmp"}
	if filepath.IsAbs(home) && home != "/" {
		asked = append([]string{home, filepath.Join(home, ".local"), filepath.Join(home, ".local", "share")}, asked...)
	}
	for _, dir := range asked {
		if !filepath.IsAbs(dir) {
			continue
		}
		real, err := filepath.EvalSymlinks(dir)
		const write, search = 2, 1 // W_OK and X_OK of access(2)
		if err != nil || slices.Contains(all, real) || syscall.Access(real, write|search) != nil {
			continue
		}
		all = append(all, real)
	}
	return all
}

// fits reports whether a store directory can be one, just there.
func fits(store string) bool {
	l, err := prefix.Resolve(prefix.Options{Path: store})
	return err == nil && l.Store == store
}

// free reports whether nothing is at a path, or an empty directory.
func free(path string) bool {
	entries, err := os.ReadDir(path)
	return errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0
}

// choosePlace asks which place to take; --yes takes the first.
func choosePlace(m machine, f *installFlags) func(context.Context, []string) (string, error) {
	return func(ctx context.Context, found []string) (string, error) {
		if f.yes || f.dryRun {
			return found[0], nil
		}
		terminal, close, err := m.questioner()
		if err != nil || f.json {
			return "", fault.New(fault.Usage, fmt.Errorf("--prefix auto: there is nobody to ask; it would be %s", found[0]),
				"add --yes to have it there, or give --prefix "+quoted(found[0]))
		}
		defer close()
		q := prompt.Options{
			In: terminal, Out: terminal, ASCII: !m.utf8(), Dumb: m.getenv("TERM") == "dumb",
			Label: fmt.Sprintf("Where? Each is as long as the bundle's, %d bytes.", len(found[0])), Items: found,
		}
		place, err := prompt.Select(ctx, q)
		return place, unanswered(err)
	}
}
