package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/mirror"
	"bootstrap/internal/nixbundle"
	"bootstrap/internal/prefix"
	"bootstrap/stages"

	"github.com/spf13/pflag"
)

// fromFlags name a bundle, and what it is known by.
type fromFlags struct {
	location, key, sha256 string
	keyFlag, sha256Flag   string // the names of the flags
}

func (f *fromFlags) register(s *pflag.FlagSet) {
	f.keyFlag, f.sha256Flag = "--from-key", "--from-sha256"
	s.StringVar(&f.location, "from", "", "take the Nix from a bundle: a `file or URL`; nothing is compiled")
	s.StringVar(&f.key, "from-key", "", "public `key` that the bundle must be signed by, or a file with one")
	s.StringVar(&f.sha256, "from-sha256", "", "sha256 `digest` of the bundle, as `bootstrap bundle create` printed it")
}

// parse reads the flags. Whether there has to be something the bundle is known by is for the caller.
func (f *fromFlags) parse(m machine, known bool) (*stages.From, error) {
	from := &stages.From{Location: f.location, Shown: mirror.Redact(f.location), SHA256: strings.ToLower(f.sha256)}
	if !nixbundle.IsURL(f.location) {
		path, err := m.absolute("--from", f.location)
		if err != nil {
			return nil, err
		}
		from.Location, from.Shown = path, path
	}
	switch {
	case known && f.key == "" && f.sha256 == "":
		return nil, fault.New(fault.Usage, fmt.Errorf("bundle %q: there is nothing to know it by", from.Shown),
			fmt.Sprintf("add %s with the public key of whoever made it, or %s with its sha256", f.keyFlag, f.sha256Flag))
	case f.sha256 != "" && !sha256Text.MatchString(from.SHA256):
		return nil, fault.New(fault.Usage, fmt.Errorf("%s %q: is not a sha256", f.sha256Flag, f.sha256),
			"give its 64 digits of 0-9 and a-f, as sha256sum prints them")
	case f.key == "":
		return from, nil
	}
	var err error
	from.Key, err = publicKey(f.keyFlag, f.key)
	return from, err
}

// publicKey reads a key, or a file with one.
func publicKey(flag, text string) (*nixbundle.PublicKey, error) {
	if k, err := nixbundle.ParsePublicKey(text); err == nil {
		return k, nil
	}
	const hint = "give <name>:<base64>, as `nix key convert-secret-to-public` prints it, or a file with that"
	data, err := os.ReadFile(text)
	if err != nil {
		return nil, fault.New(fault.Usage, fmt.Errorf("%s %q: is neither a public key nor a file with one", flag, text), hint)
	}
	k, err := nixbundle.ParsePublicKey(string(data))
	if err != nil {
		return nil, fault.New(fault.Usage, fmt.Errorf("%s %q: %w", flag, text, err), hint)
	}
	return k, nil
}

// from returns the bundle that the flags name, with its head; nil if they name none.
func (f *planFlags) from(ctx context.Context, m machine) (*stages.From, error) {
	if f.fromFlags.location == "" {
		if f.fromFlags.key != "" || f.fromFlags.sha256 != "" {
			return nil, fault.New(fault.Usage, errors.New("--from-key, --from-sha256: there is no --from that they could be for"), "leave them out, or add --from")
		}
		return nil, nil
	}
	if err := f.checkFrom(); err != nil {
		return nil, err
	}
	from, err := f.parse(m, true)
	if err != nil {
		return nil, err
	}
	o := stages.Options{From: from, Sink: event.Discard(), Now: m.now}
	if o.CacheDir, err = m.cacheDir(f.cacheDir); err != nil {
		return nil, err
	}
	// Where the prefix is going to be may follow from the bundle.
	if o.Transport, err = f.transport(m, prefix.Layout{}); err != nil {
		return nil, err
	}
	return from, o.Announce(ctx)
}

// checkFrom refuses flags that are about building.
func (f *planFlags) checkFrom() error {
	for _, other := range []struct {
		flag string
		set  bool
		why  string
	}{
		{"--runtime", f.runtime, "a bundle has a native nix, which needs no runtime options"},
		{"--cache", f.url != "" || f.only, "a bundle has all that it needs; `bootstrap cache use` names a cache for builds"},
		{"--nix-source", f.source.address != "", "the bundle has a Nix that was built already"},
		{"--host", f.host != "", "nothing is built, so there is nothing to begin with"},
		{"--build-hello", f.buildHello, "there is no compiler in a bundle; the same command without --from brings one afterwards"},
	} {
		if other.set {
			return fault.New(fault.Usage, fmt.Errorf("--from and %s: one of them is enough", other.flag), other.why)
		}
	}
	return nil
}
