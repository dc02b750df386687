package stages

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/lock"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/receipt"
)

// Damage is a store path whose contents were not those that Nix's database says, and what became of it.
type Damage struct {
	Path  string `json:"path"`
	Cured string `json:"cured"` // how; "" if it is damaged still
}

// Repaired is what [Repair] found and did.
type Repaired struct {
	Stages  []string         `json:"stages"` // that were done again
	Paths   []Damage         `json:"paths"`  // that were damaged besides
	Receipt *receipt.Receipt `json:"receipt"`
}

// Damaged returns the paths that are damaged still.
func (r *Repaired) Damaged() []string {
	var paths []string
	for _, d := range r.Paths {
		if d.Cured == "" {
			paths = append(paths, d.Path)
		}
	}
	return paths
}

// Repair makes an installation what it was: it runs the stages whose outputs are not as they were
// recorded, by their keys and by every byte, and then has Nix compare the whole store with its
// database. What else is damaged there it has Nix make anew, or says that nobody can.
//
// It refuses where nothing is installed. [Options.Confirm] is asked if a stage has to be run.
func Repair(ctx context.Context, o Options) (*Repaired, error) {
	r, err := begin(o)
	if err != nil {
		return nil, err
	}
	r.thorough = true
	p, err := r.repairPlan(ctx)
	if err != nil {
		return nil, err
	}
	done := &Repaired{Stages: []string{}, Paths: []Damage{}}
	for _, s := range p.Stages {
		if !s.Done {
			done.Stages = append(done.Stages, s.Name)
		}
	}
	if len(done.Stages) > 0 && o.Confirm != nil {
		if err := o.Confirm(ctx, p); err != nil {
			return nil, err
		}
	}
	r.audited = done
	if done.Receipt, err = r.execute(ctx); err != nil {
		return nil, r.outOf(err)
	}
	return done, nil
}

// repairPlan makes the plan for a prefix as it was installed.
func (r *installation) repairPlan(ctx context.Context) (*Plan, error) {
	if err := r.look(ctx); err != nil {
		return nil, err
	}
	if len(r.history.Records) == 0 {
		return nil, fault.New(fault.Usage, fmt.Errorf("prefix %q: nothing is installed there", r.layout.Store),
			"give the --prefix it was installed with; `bootstrap --prefix` installs")
	}
	r.Runtime, r.Diverted = r.installedMode()
	if r.From == nil {
		r.From = r.recordFrom()
	}
	p, err := r.plan(ctx)
	if err != nil {
		return nil, err
	}
	return p, p.Err()
}

// audit has Nix compare the whole store with its database, once the stages are done, and mends
// what it finds.
func (r *installation) audit(ctx context.Context) error {
	if r.audited == nil {
		return nil
	}
	n := r.installed(Prove)
	altered, err := n.VerifyAll(ctx)
	if err != nil || len(altered) == 0 {
		return err
	}
	slices.Sort(altered)
	r.emit(event.Warn, "", fmt.Sprintf("%d store paths are not what they were", len(altered)))
	if err := r.mend(ctx, n, altered); err != nil {
		return err
	}
	left, err := n.Altered(ctx, slices.DeleteFunc(slices.Clone(altered), func(p string) bool {
		return !n.Registered(ctx, p)
	})...)
	if err != nil {
		return err
	}
	for _, path := range altered {
		d := Damage{Path: path, Cured: "made anew"}
		switch {
		case slices.Contains(left, path):
			d.Cured = ""
		case !exists(path):
			d.Cured = "gone; Nix's database has forgotten it"
		}
		r.audited.Paths = append(r.audited.Paths, d)
	}
	return nil
}

// mend makes damaged store paths anew, each kind in its way. That one cannot be is no error.
func (r *installation) mend(ctx context.Context, n nixcmd.Nix, altered []string) error {
	var others []string
	seed, derivations := false, false
	names := r.seedNames()
	for _, path := range altered {
		_, name, _ := strings.Cut(filepath.Base(path), "-")
		switch {
		case strings.HasSuffix(name, ".drv"):
			derivations = true
		case names[name]:
			seed = true
		case exists(path):
			others = append(others, path)
		}
	}
	var errs error
	if derivations && !r.Runtime {
		errs = errors.Join(errs, r.deriveAgain(ctx, n))
	}
	if seed {
		errs = errors.Join(errs, r.addSeed(ctx, n, seedRoles()...))
	}
	errs = errors.Join(errs, r.repairPaths(ctx, n, others))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errs != nil {
		r.emit(event.Warn, "", "not all could be made anew: "+lastLine(errs))
	}
	return nil
}

// repairPaths has Nix make store paths anew: from a cache, or by their derivations, see
// [buildsInPlace].
func (r *installation) repairPaths(ctx context.Context, n nixcmd.Nix, paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	infos, err := n.PathInfo(ctx, paths...)
	if err != nil {
		return err
	}
	var errs error
	for _, path := range paths {
		var args []string
		if !buildsInPlace(r.known(Configure)) && infos[path].CA == "" {
			args = []string{"--option", "max-jobs", "0", "--option", "builders", ""}
		}
		_, err := n.Command("nix-store", append(args, "--repair-path", path)...).Output(ctx)
		if err != nil && len(args) > 0 {
			err = fmt.Errorf("no cache has %s, and without a sandbox it would not be built again as it was", path)
		}
		errs = errors.Join(errs, err)
	}
	return errs
}

// buildsInPlace reports whether Nix builds what is there already once more at its own path. Without a
// sandbox it takes a path of another name, and puts the right name where it finds that one; a compiler
// leaves parts of it where it does not look, and what comes out is registered all the same (Nix 2.26:
// src/libstore/unix/build/local-derivation-goal.cc). What is known by its contents is compared with them.
func buildsInPlace(facts outputs) bool { return facts["sandbox"] == "true" }

// seedRoles are the roles of the files that may be in the store.
func seedRoles() []lock.Role {
	return []lock.Role{lock.Shell, lock.Patchelf, lock.Toolchain, lock.CACert, lock.NixSource, lock.HelloSource}
}

// seedNames are the names that files of the seed have in the store.
func (r *installation) seedNames() map[string]bool {
	names := map[string]bool{}
	for _, e := range r.lock.For(r.arch, seedRoles()...) {
		names[storeName(e.Path)] = true
	}
	return names
}

// deriveAgain writes the derivations of the package set again, as evaluation does, and builds none.
func (r *installation) deriveAgain(ctx context.Context, n nixcmd.Nix) error {
	args := []string{"build", "--dry-run", "--repair", "--file", r.packages()}
	if r.set == nil {
		args = append(append(args, toolAttributes()[1:]...), "nix-bootstrap")
	}
	_, err := n.Command("nix", append(args, "nix")...).Output(ctx)
	return err
}
