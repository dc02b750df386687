package stages

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/lock"
	"bootstrap/internal/nixcmd"
)

// nativeStage: native = bootstrap.build(packages.nix, full).
//
// Key: as the bootstrap nix has it; the builds differ by an attribute's name.
// Output: nix, the store path; closure, the bytes of it and everything it refers to.
func nativeStage() stage {
	return stage{
		name: Native, does: "compile the Nix to keep, with that one", attributes: []string{"nix"},
		inputs: nixInputs,
		intact: func(ctx context.Context, r *installation, out outputs) bool {
			return r.haveNix(ctx, Native, out["nix"]) &&
				unaltered(ctx, r.builtNix(Native, nixcmd.Program(out["nix"])), out["nix"])
		},
		build:  (*installation).makeNative,
		settle: (*installation).settleNative,
		again:  (*installation).builtAgain,
	}
}

// unaltered reports whether store paths are registered, and have the contents that are: so the Nix runs.
// What they refer to is for the stage to say that made it.
func unaltered(ctx context.Context, n nixcmd.Nix, paths ...string) bool {
	altered, err := n.Altered(ctx, paths...)
	return err == nil && len(altered) == 0
}

func (r *installation) makeNative(ctx context.Context) (outputs, error) {
	if err := r.writePackages(ctx, Native); err != nil {
		return nil, err
	}
	if r.set != nil {
		return r.buildSet(ctx)
	}
	builder := r.builtNix(Native, nixcmd.Program(r.done[Bootstrap]["nix"]))
	if err := r.guardSchema(ctx, builder, "Nix "+r.version.String()); err != nil {
		return nil, err
	}
	// The bootstrap nix may be of an earlier run, and a collector may have been here since.
	if err := r.addSeed(ctx, builder, lock.NixSource, lock.HelloSource); err != nil {
		return nil, err
	}
	return r.build(ctx, Native, builder, "nix")
}

func (r *installation) settleNative(ctx context.Context, out outputs) error {
	native := r.builtNix(Native, nixcmd.Program(out["nix"]))
	if err := r.guardSchema(ctx, native, "Nix "+r.version.String()); err != nil {
		return err
	}
	return r.keepNative(ctx, out)
}

// keepNative gives the native nix its GC root, and looks at what it refers to.
func (r *installation) keepNative(ctx context.Context, out outputs) error {
	if err := r.root(Native, out, "nix"); err != nil {
		return err
	}
	size, err := r.checkClosure(ctx, r.builtNix(Native, nixcmd.Program(out["nix"])), out["nix"])
	if err != nil {
		return err
	}
	out["closure"] = fmt.Sprint(size)
	out["summary"] = fmt.Sprintf("closure %.1f MiB", float64(size)/(1<<20))
	return nil
}

// checkClosure makes sure that the native nix refers to nothing that built it, and returns how
// many bytes it and all it refers to take.
func (r *installation) checkClosure(ctx context.Context, n nixcmd.Nix, storePath string) (int64, error) {
	paths, err := n.ClosureOf(ctx, storePath)
	if err != nil {
		return 0, err
	}
	var size int64
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		size += paths[path].NarSize
		if r.builtWith(path) || !strings.HasPrefix(path, r.layout.Store+"/") {
			return 0, fault.New(fault.General, fmt.Errorf("native nix: it refers to %q", path),
				"please report this with the log")
		}
	}
	return size, nil
}

// builtWith reports whether a store path is one that only builds need.
func (r *installation) builtWith(path string) bool {
	tools := r.known(Toolchain)
	return path == tools["toolchain"] || path == tools["compiler"] || path == r.known(Bootstrap)["nix"]
}

// collector makes the deletion of a path go by that path alone: what it was built from, and what
// was built from it, are settled elsewhere.
func collector() []string {
	return []string{"--option", "keep-outputs", "false", "--option", "keep-derivations", "false"}
}

// leftScaffold removes a scaffold that is there although the profile was made before it: that of a
// repair, or of a run that was killed.
func (r *installation) leftScaffold(ctx context.Context) error {
	if r.Runtime || !exists(r.layout.HostDir()) && !exists(filepath.Join(r.rootsDir(), "nix-bootstrap")) {
		return nil
	}
	return r.dropScaffold(ctx, r.installed(Install))
}

// dropScaffold removes what only the builds needed, the bootstrap nix and the host nix, and the
// programs of runtime mode, which ran that one.
// A root that somebody else has made on the bootstrap nix keeps it.
func (r *installation) dropScaffold(ctx context.Context, n nixcmd.Nix) error {
	if err := os.Remove(filepath.Join(r.rootsDir(), "nix-bootstrap")); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := r.deleteBootstrap(ctx, n, Install); err != nil {
		return err
	}
	return errors.Join(removeTree(r.layout.HostDir()), removeTree(r.layout.RuntimeDir()))
}

// deleteBootstrap has Nix delete the bootstrap nix, and warns if it does not.
func (r *installation) deleteBootstrap(ctx context.Context, n nixcmd.Nix, stage string) error {
	storePath := r.recorded(Bootstrap)["nix"]
	if storePath == "" || !exists(storePath) {
		return nil
	}
	args := append(collector(), "--delete", storePath)
	_, err := n.Command("nix-store", args...).Output(ctx)
	if err != nil && ctx.Err() == nil {
		r.emit(event.Warn, stage, "the bootstrap nix is still there: "+lastLine(err))
	}
	return ctx.Err()
}
