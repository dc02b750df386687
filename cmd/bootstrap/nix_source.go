package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/lock"
	"bootstrap/internal/mirror"
	"bootstrap/stages"

	"github.com/spf13/pflag"
)

// sourceFlags say which source of Nix is to be built instead of the lock's.
type sourceFlags struct{ address, sha256 string }

func (f *sourceFlags) register(s *pflag.FlagSet) {
	s.StringVar(&f.address, "nix-source", "", "`URL or path` of a tarball of Nix's source, to build instead of the lock's")
	f.registerDigest(s)
}

func (f *sourceFlags) registerDigest(s *pflag.FlagSet) {
	s.StringVar(&f.sha256, "nix-sha256", "", "sha256 `digest` of that tarball; a URL needs it")
}

// check checks the flags, and makes a path absolute.
func (f *sourceFlags) check(m machine) error {
	isURL := strings.HasPrefix(f.address, "http://") || strings.HasPrefix(f.address, "https://")
	switch {
	case f.address == "" && f.sha256 != "":
		return fault.New(fault.Usage, errors.New("--nix-sha256: there is no --nix-source that it could be the digest of"),
			"name the tarball with --nix-source")
	case f.sha256 != "" && !sha256Text.MatchString(f.sha256):
		return fault.New(fault.Usage, fmt.Errorf("--nix-sha256 %q: is not a sha256", f.sha256),
			"give its 64 digits of 0-9 and a-f, as sha256sum prints them")
	case isURL && f.sha256 == "":
		return fault.New(fault.Usage, fmt.Errorf("--nix-source %q: no digest to check it against", mirror.Redact(f.address)),
			"add --nix-sha256 with the sha256 that its publisher states")
	case isURL && mirror.Redact(f.address) != f.address:
		return fault.New(fault.Usage, fmt.Errorf("--nix-source %q: there is a login in it, and the prefix keeps the address where everybody can read it",
			mirror.Redact(f.address)), "download the file, and give its path")
	case isURL || f.address == "":
		return nil
	}
	path, err := m.absolute("--nix-source", f.address)
	f.address = path
	return err
}

// chosen returns the options of an installation with the source of Nix that was chosen.
func (f *planFlags) chosen(ctx context.Context, m machine) (stages.Options, error) {
	o, err := f.options(ctx, m)
	if err != nil {
		return o, err
	}
	o.Lock, err = f.source.lock(ctx, m, o.Lock, o.CacheDir, o.Transport)
	return o, err
}

// lock returns a lock with the source of Nix that was chosen: the same one where none was.
func (f *sourceFlags) lock(ctx context.Context, m machine, l *lock.Lock, cacheDir string, transport http.RoundTripper) (*lock.Lock, error) {
	if err := f.check(m); err != nil || f.address == "" {
		return l, err
	}
	scratch, err := m.scratch()
	if err != nil {
		return nil, err
	}
	return stages.ChooseSource(ctx, stages.SourceOptions{
		Lock: l, Address: f.address, SHA256: f.sha256, CacheDir: cacheDir, Scratch: scratch, Transport: transport,
	})
}
