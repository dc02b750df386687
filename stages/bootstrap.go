package stages

import (
	"context"
	"fmt"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/lock"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/receipt"
)

// bootstrapStage: bootstrap = host.build(packages.nix, fast).
//
// Key: the source, the patches, the package set and the four directories.
// Output: nix, the store path; nar, the hash of its contents: it is deleted once the native nix is there.
func bootstrapStage() stage {
	return stage{
		name: Bootstrap, does: "compile a Nix for this prefix, quickly", usedBy: []string{Native},
		inputs: nixInputs,
		intact: func(ctx context.Context, r *installation, out outputs) bool {
			return r.haveNix(ctx, Bootstrap, out["nix"]) &&
				unaltered(ctx, r.builtNix(Bootstrap, nixcmd.Program(out["nix"])), out["nix"])
		},
		build: func(r *installation, ctx context.Context) (outputs, error) {
			if err := r.writePackages(ctx, Bootstrap); err != nil {
				return nil, err
			}
			if refusals := r.refuseSource(ctx); len(refusals) > 0 { // it was fetched since the plan was made
				return nil, refusals[0]
			}
			host := r.hostNix(Bootstrap)
			if err := r.guardSchema(ctx, host, "the host nix"); err != nil {
				return nil, err
			}
			if err := r.addSeed(ctx, host, lock.NixSource, lock.HelloSource); err != nil {
				return nil, err
			}
			made, err := r.build(ctx, Bootstrap, host, "nix-bootstrap")
			if err != nil {
				return nil, err
			}
			out := outputs{"nix": made["nix-bootstrap"]}
			if out["nar"], err = narHash(ctx, r.builtNix(Bootstrap, nixcmd.Program(out["nix"])), out["nix"]); err != nil {
				return nil, err
			}
			// Until the native nix is there; then nothing needs it any more.
			return out, r.root(Bootstrap, made, "nix-bootstrap")
		},
		again: (*installation).bootstrapAgain,
	}
}

// narHash returns the hash that Nix's database has of a store path's contents.
func narHash(ctx context.Context, n nixcmd.Nix, storePath string) (string, error) {
	infos, err := n.PathInfo(ctx, storePath)
	if err == nil && infos[storePath].NarHash == "" {
		err = fmt.Errorf("store path %q: Nix's database does not know it", storePath)
	}
	return infos[storePath].NarHash, err
}

// bootstrapAgain has the native nix build the bootstrap nix, compares it with what is recorded of that, and
// deletes it as the installation did. If it is there, somebody keeps it, or a run was killed.
func (r *installation) bootstrapAgain(s receipt.Stage) (remake, error) {
	if s.Outputs["nar"] == "" {
		return nil, r.tooOld(Bootstrap, "the hash of the bootstrap nix")
	}
	return func(ctx context.Context, tell func(name, path string, identical bool)) error {
		n, path, same := r.installed(Bootstrap), s.Outputs["nix"], true
		paths, err := r.evaluate(ctx, n, "nix-bootstrap")
		if err != nil {
			return err
		}
		if paths["nix-bootstrap"] != path {
			return r.otherInputs(Bootstrap)
		}
		r.emit(event.Note, Bootstrap, "building "+path+" once more")
		if n.Valid(ctx, path) {
			same, err = n.Rebuild(ctx, r.packages(), "nix-bootstrap", path)
		} else {
			_, err = r.build(ctx, Bootstrap, n, "nix-bootstrap")
		}
		if err != nil {
			return err
		}
		nar, err := narHash(ctx, n, path)
		if err != nil {
			return err
		}
		tell("nix-bootstrap", path, same && nar == s.Outputs["nar"])
		return r.deleteBootstrap(ctx, n, Bootstrap)
	}, nil
}

// nixInputs is what both builds of Nix depend on.
func nixInputs(r *installation) (any, error) {
	sums, err := r.packageDigests("lock.json", "hello.nix", "builders/hello.sh", "README")
	l := r.layout
	if r.set != nil { // its Nix has the source that the set says, and what is only told of it makes nothing
		delete(sums, setPin)
		delete(sums, setRegistry)
		return []any{sums, l.Store, l.State, l.Log, l.Conf}, err
	}
	return []any{sums, r.digests(r.lock.For(r.arch, lock.NixSource)), l.Store, l.State, l.Log, l.Conf}, err
}

// haveNix reports whether a store path is a Nix of the right version that runs by itself. Whether it is
// registered, and has the contents that are, is for [unaltered] to say.
func (r *installation) haveNix(ctx context.Context, stage, storePath string) bool {
	return storePath != "" && r.checkNix(ctx, stage, storePath) == nil
}

// checkNix runs a Nix with nothing in its environment that names the prefix.
func (r *installation) checkNix(ctx context.Context, stage, storePath string) error {
	n := r.builtNix(stage, nixcmd.Program(storePath))
	got, err := r.versionOf(ctx, stage, n.Path)
	if err != nil {
		return err
	}
	// Of nixpkgs, the number of patches is behind it: 2.31.2+25.
	if leadingVersion(got) != r.version.String() {
		return fault.New(fault.General, fmt.Errorf("nix %q: version %s, not %s", n.Path, got, r.version), "")
	}
	return nil
}
