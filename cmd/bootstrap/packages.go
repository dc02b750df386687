package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/mirror"
	"bootstrap/internal/pkgset"
	"bootstrap/internal/registry"
	"bootstrap/internal/run"
	"bootstrap/stages"

	"github.com/spf13/pflag"
)

// packagesFlags say which package set is installed.
type packagesFlags struct {
	named, sha256 string
	sources       string
	slots         int
}

func (f *packagesFlags) register(s *pflag.FlagSet) {
	s.StringVar(&f.named, "packages", "", "package `set`: nixpkgs=PATH, nixpkgs=URL, nixpkgs=FLAKE[@REV], or embedded (default: the one that the prefix has)")
	f.registerDigest(s)
	f.registerBuilds(s)
}

func (f *packagesFlags) registerDigest(s *pflag.FlagSet) {
	s.StringVar(&f.sha256, "packages-sha256", "", "sha256 `digest` of the tarball that --packages names; a URL needs it")
}

// registerBuilds has the flags of how its packages are built.
func (f *packagesFlags) registerBuilds(s *pflag.FlagSet) {
	s.StringVar(&f.sources, "sources", "", "of nixpkgs, `URL` of a binary cache of another store directory to have sources from, by their hash: /nix/store, or what ?store= says")
	s.IntVar(&f.slots, "slots", 1, "of nixpkgs, build `N` derivations at a time, which share the jobs")
}

// sourceCache returns the cache to have sources from as Nix has it; "" for none.
func (f *packagesFlags) sourceCache() (string, error) {
	if f.sources == "" {
		return "", nil
	}
	u, err := url.Parse(f.sources)
	if err != nil || !slices.Contains([]string{"http", "https", "file"}, u.Scheme) || strings.ContainsAny(f.sources, " \t\n#") {
		return "", fault.New(fault.Usage, fmt.Errorf("--sources %q: is no address of a binary cache", mirror.Redact(f.sources)),
			"give one that begins with https://, http:// or file:///")
	}
	q := u.Query()
	if q.Get("store") == "" {
		q.Set("store", registry.ClassicRoot+"/store")
	}
	u.RawQuery = strings.ReplaceAll(q.Encode(), "%2F", "/")
	return u.String(), nil
}

// ref reads the name of the set; false if there is none.
func (f *packagesFlags) ref(m machine) (pkgset.Ref, bool, error) {
	if f.slots < 1 {
		return pkgset.Ref{}, false, fault.New(fault.Usage, fmt.Errorf("--slots %d: is less than one", f.slots), "give the number of derivations to build at a time, or leave it out")
	}
	if f.named == "" {
		if f.sha256 != "" {
			return pkgset.Ref{}, false, fault.New(fault.Usage, errors.New("--packages-sha256: there is no --packages that it could be the digest of"), "name the tarball with --packages")
		}
		return pkgset.Ref{}, false, nil
	}
	if f.sha256 != "" {
		if err := pkgset.CheckSHA256(f.sha256); err != nil {
			return pkgset.Ref{}, false, err
		}
	}
	ref, err := pkgset.Parse(f.named, f.sha256, func(path string) (string, error) { return m.absolute("--packages", path) })
	return ref, err == nil, err
}

// withChosen calls do with the options of an installation, with the source of Nix and the package set that were
// chosen. What had to be fetched to know them is removed afterwards.
func (f *planFlags) withChosen(ctx context.Context, m machine, do func(stages.Options) error) (err error) {
	ref, named, err := f.packages.ref(m)
	if err != nil {
		return err
	}
	if named {
		if err := f.besidePackages(); err != nil {
			return err
		}
	}
	o, err := f.chosen(ctx, m)
	if err != nil {
		return err
	}
	if o.Sources, err = f.packages.sourceCache(); err != nil {
		return err
	}
	o.Slots, o.Remote = f.packages.slots, m.remote()
	if !named {
		return do(o)
	}
	scratch, err := m.scratch()
	if err != nil {
		return err
	}
	if ref.Kind != pkgset.Own && !f.json {
		fmt.Fprintln(m.stderr, "Looking at the package set …")
	}
	remove, err := o.Examine(ctx, ref, scratch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	return do(o)
}

// besidePackages refuses flags that --packages cannot be had with.
func (f *planFlags) besidePackages() error {
	for _, other := range []struct {
		flag string
		set  bool
		why  string
	}{
		{"--runtime", f.runtime, "runtime mode has no package set"},
		{"--from", f.location != "", "a bundle has a Nix of the embedded package set"},
		{"--nix-source", f.source.address != "", "nixpkgs says where its Nix has its source from"},
		{"--destdir", f.destdir != "", "it is not known how to build nixpkgs there"},
	} {
		if other.set {
			return fault.New(fault.Usage, fmt.Errorf("%s: cannot be had with --packages: %s", other.flag, other.why), "leave one of them out")
		}
	}
	return nil
}

// scratch returns where temporary files are.
func (m machine) scratch() (string, error) {
	dir := m.getenv("TMPDIR")
	if dir == "" {
		dir = "/tmp"
	}
	if _, err := os.Stat(dir); err != nil {
		return "", fault.New(fault.Unfit, fmt.Errorf("directory for temporary files: %w", err), "set TMPDIR to one that is there")
	}
	return m.absolute("TMPDIR", dir)
}

// remote is what a Nix goes by where it reaches other machines.
func (m machine) remote() run.Env {
	env := run.Env{}
	for _, name := range sshVariables {
		if value := m.getenv(name); value != "" {
			env[name] = value
		}
	}
	return env
}
