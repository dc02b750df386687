package stages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/nixconf"
)

// derivationRoot is the name of the GC root of what makes the Nix of a set, while it is built: it keeps what
// was built of it, over days if need be.
const derivationRoot = "nix.drv"

// buildSet has the host nix build the Nix of the set, and all that it needs. What could be built is there for
// the next run where something could not.
func (r *installation) buildSet(ctx context.Context) (outputs, error) {
	host, err := r.setBuilder(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.guardSchema(ctx, host, "the host nix"); err != nil {
		return nil, err
	}
	derivation, err := host.Command("nix", "eval", "--raw", "--file", r.packages(), "nix.drvPath").Output(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.root(Native, outputs{derivationRoot: strings.TrimSpace(string(derivation))}, derivationRoot); err != nil {
		return nil, err
	}
	out, err := r.build(ctx, Native, host, "nix")
	if err != nil {
		var f *fault.Error
		if errors.As(err, &f) && ctx.Err() == nil {
			f.Hint = "what could be built is kept: the same command goes on with the rest; the log has the whole output"
		}
		return nil, err
	}
	if err := os.Remove(filepath.Join(r.rootsDir(), derivationRoot)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return out, nil
}

// setBuilder is the host nix with what builds of a set need besides: all builds that can be done although one
// failed, several at a time, other machines that build for the prefix, and caches to have sources from.
func (r *installation) setBuilder(ctx context.Context) (nixcmd.Nix, error) {
	n := r.hostNix(Native)
	slots := max(1, r.Slots)
	settings := [][2]string{
		{"keep-going", "true"},
		{"max-jobs", strconv.Itoa(slots)},
		{"cores", strconv.Itoa(max(1, r.jobs()/slots))},
		{"keep-outputs", "true"},
		{"fallback", "true"},
	}
	more, err := r.sourceSettings(ctx)
	if err != nil {
		return n, err
	}
	settings = append(settings, more...)
	if file := r.layout.Machines(); exists(file) {
		settings = append(settings, [2]string{"builders", "@" + file})
		n.Env = n.Env.With(r.Remote)
	}
	authorities, err := r.seedAuthorities(ctx)
	if err != nil {
		return n, err
	}
	certificates := filepath.Join(r.layout.HomeDir(), "ca-bundle.crt")
	if authorities, err = r.certificates(Native, authorities); err == nil {
		err = r.put(Native, certificates, authorities, 0o644)
	}
	if err != nil {
		return n, err
	}
	n.Options = append(n.Options, asOptions(append(settings, [2]string{"ssl-cert-file", certificates}))...)
	return n, nil
}

// sourceSettings are where Nix looks for what is fixed by its hash before it asks where that is from: the caches
// of this prefix, the one that was named, and the public one. The last two are for another store directory: of
// them Nix takes what its hash alone names, which needs no signature, and nothing that was built.
func (r *installation) sourceSettings(ctx context.Context) ([][2]string, error) {
	var from, keys []string
	for _, c := range r.Caches {
		from, keys = append(from, c.URL), append(keys, c.Key.String())
	}
	if r.Sources != "" {
		from = append(from, r.Sources)
	}
	if reason, err := r.askUpstream(ctx); err != nil {
		return nil, err
	} else if reason == "" {
		from, keys = append(from, nixconf.Public().URL), append(keys, nixconf.Public().PublicKey)
	}
	return [][2]string{{"substituters", strings.Join(from, " ")}, {"trusted-public-keys", strings.Join(keys, " ")}}, nil
}

func asOptions(settings [][2]string) []string {
	var options []string
	for _, s := range settings {
		options = append(options, "--option", s[0], s[1])
	}
	return options
}

// refuseSet says what cannot be had together with another package set than the embedded one.
func (r *installation) refuseSet() []*fault.Error {
	if r.set == nil {
		return nil
	}
	var all []*fault.Error
	if r.CacheOnly {
		all = append(all, fault.New(fault.Usage, errors.New("--cache-only: a cache has records of the embedded package set alone"),
			"leave it out: what the cache has of the packages is taken from it all the same"))
	}
	if err := r.layoutOfSet(); err != nil {
		all = append(all, err)
	}
	return all
}

// layoutOfSet refuses directories that nixpkgs has no words for.
func (r *installation) layoutOfSet() *fault.Error {
	for _, d := range []struct{ flag, path string }{{"--state-dir", r.layout.State}, {"--conf-dir", r.layout.Conf}} {
		if filepath.Base(d.path) != "nix" {
			return fault.New(fault.Usage, fmt.Errorf("%s %q: does not end in \"nix\", which nixpkgs adds", d.flag, d.path),
				"choose one that does")
		}
	}
	return nil
}
