package stages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"bootstrap/internal/closure"
	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/nixbundle"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/receipt"
	"bootstrap/internal/relocate"
	"bootstrap/internal/storelock"
	"bootstrap/internal/transplant"
)

// relocateStage: relocated = relocate(bundle, prefix).
//
// It stands in the place of everything that compiles.
//
// Key: the bundle, by the digest in its head, and the four directories.
// Output: nix, and a store path for each of the tools that it refers to; from, sha256, key, bundle:
// where the bundle is, and what it is known by; source, the store directory it was made at; shell,
// sandbox and reason, as the host's stage has them; filled, if the prefix is shorter than the bundle's.
func relocateStage() stage {
	return stage{
		name: Relocate, does: "make a Nix of another prefix one of this", instead: toolchainStage,
		inputs: func(r *installation) (any, error) {
			l := r.layout
			return []any{r.From.id(), l.Store, l.State, l.Log, l.Conf}, nil
		},
		intact: func(ctx context.Context, r *installation, out outputs) bool {
			paths := relocatedPaths(out)
			return len(paths) > 1 && unaltered(ctx, r.relocatedNix(out), paths...)
		},
		build: (*installation).relocate,
		again: (*installation).relocatedAgain,
	}
}

// relocatedPaths returns the store paths among the outputs of the stage.
func relocatedPaths(out outputs) []string {
	var paths []string
	for _, name := range append(toolAttributes(), "nix") {
		if out[name] != "" {
			paths = append(paths, out[name])
		}
	}
	return paths
}

func (r *installation) relocatedNix(out outputs) nixcmd.Nix {
	return r.builtNix(Relocate, nixcmd.Program(out["nix"]))
}

func (r *installation) relocate(ctx context.Context) (out outputs, err error) {
	err = r.transplanted(ctx, r.From, r.refuseBundle, func(h *nixbundle.Head, staged *transplant.Staged) error {
		_ = r.record("relocate staged", nil)
		out = outputs{
			"nix": staged.Nix, "from": r.From.Shown, "bundle": h.SHA256, "source": h.Store,
			"sha256": r.From.SHA256, "key": r.From.keyText(),
		}
		maps.Copy(out, staged.Tools)
		if len(h.Store) > len(r.layout.Store) {
			out["filled"] = "true"
		}
		if err := r.settle(ctx, staged, out); err != nil {
			return err
		}
		if err := r.root(Relocate, out, toolNames(out)...); err != nil {
			return err
		}
		out["shell"] = filepath.Join(out[ShellAttribute], "bin", "busybox")
		if err := r.trySandboxWith(ctx, out, Relocate, r.strayNix); err != nil {
			return err
		}
		out["summary"] = fmt.Sprintf("%d places rewritten in %d store paths", staged.Counts[relocate.Rewritten]+staged.Counts[relocate.Repaired], len(staged.Paths))
		return nil
	})
	return out, err
}

// transplanted makes store paths of this prefix of what is in a bundle, if that fits, and has something done
// with them while no collector is at work, which would delete what is not registered.
func (r *installation) transplanted(ctx context.Context, from *From, refuse func(*nixbundle.Head) error, do func(*nixbundle.Head, *transplant.Staged) error) error {
	b, err := from.source(r, Relocate).Open(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := refuse(&b.Head); err != nil {
		return err
	}
	release, err := storelock.Shared(ctx, r.layout.State, func() { r.emit(event.Note, Relocate, "waiting for a garbage collection of this store") })
	if err != nil {
		return err
	}
	defer release()
	staged, err := transplant.Stage(ctx, transplant.Options{
		Head: b.Head, Body: b.Body(), Layout: r.layout, Tmp: r.layout.TmpDir(), Done: r.meter(Relocate, b.Head.Bytes),
	})
	if err != nil {
		return nixbundle.Fault(from.Shown, err)
	}
	defer staged.Close()
	return do(&b.Head, staged)
}

// relocatedAgain relocates the bundle once more, and compares what comes out with Nix's database. What was
// written of it goes: it has names that no store path has. A path that was collected since is nobody's any more.
func (r *installation) relocatedAgain(s receipt.Stage) (remake, error) {
	from := fromOutputs(s.Outputs)
	if !nixbundle.IsURL(from.Location) && !exists(from.Location) {
		return nil, fault.New(fault.Unfit, fmt.Errorf("--rebuild relocate: bundle %q: it is not there any more", from.Shown),
			"put it back there for as long as it is compared")
	}
	same := func(h *nixbundle.Head) error {
		if h.SHA256 == from.body {
			return nil
		}
		return fault.New(fault.Unfit, fmt.Errorf("--rebuild relocate: bundle %q: it is another one by now", from.Shown),
			"put the one there that the prefix came from for as long as it is compared")
	}
	return func(ctx context.Context, tell func(name, path string, identical bool)) error {
		return r.transplanted(ctx, from, same, func(_ *nixbundle.Head, staged *transplant.Staged) (err error) {
			defer func() { err = errors.Join(err, staged.Discard()) }()
			paths := make([]string, len(staged.Paths))
			for i, p := range staged.Paths {
				paths[i] = p.Path
			}
			infos, err := r.installed(Relocate).PathInfo(ctx, paths...)
			if err != nil {
				return err
			}
			for _, p := range staged.Paths {
				if registered := infos[p.Path].NarHash; registered != "" {
					tell(p.Name(), p.Path, registered == p.NarHash.String())
				}
			}
			return nil
		})
	}, nil
}

// settle gives what is staged its names, and has the Nix among it evaluate the package set: it has to
// come to the same names. Then it is registered, all or none.
func (r *installation) settle(ctx context.Context, staged *transplant.Staged, out outputs) error {
	n := r.relocatedNix(out)
	// One that is there and as its database says is left alone, whatever its bytes.
	valid := map[string]bool{}
	if r.runs(ctx, Relocate, n.Path) {
		for _, p := range staged.Paths {
			valid[p.Path] = n.Valid(ctx, p.Path) && unaltered(ctx, n, p.Path)
		}
	}
	err := staged.Commit(ctx, func(p closure.Path) bool { return valid[p.Path] }, func() { r.emit(event.Note, Relocate, "waiting for a build of one of the paths") })
	if err != nil {
		return err
	}
	_ = r.record("relocate named", nil)
	if err := r.guardSchema(ctx, n, "Nix "+r.version.String()); err != nil {
		return err
	}
	r.shell = staged.Shell
	if err := r.writePackages(ctx, Relocate); err != nil {
		return err
	}
	if err := r.sameNames(ctx, n, out); err != nil {
		return err
	}
	_ = r.record("relocate evaluated", nil)
	fresh := slices.DeleteFunc(slices.Clone(staged.Paths), func(p closure.Path) bool { return valid[p.Path] })
	if len(fresh) == 0 {
		return nil
	}
	register := n.Command("nix-store", "--register-validity", "--hash-given")
	register.Stdin = bytes.NewReader(closure.Registration(fresh))
	if _, err := register.Output(ctx); err != nil {
		return err
	}
	return r.record("relocate registered", nil)
}

// sameNames makes sure that evaluation gives the names that were computed. Evaluation adds the sources
// and .drv files to the store, busybox among them.
func (r *installation) sameNames(ctx context.Context, n nixcmd.Nix, out outputs) error {
	names := append(toolNames(out), "nix")
	before := exists(out[ShellAttribute])
	paths, err := r.evaluate(ctx, n, names...)
	if err != nil {
		return err
	}
	for _, name := range names {
		if paths[name] != out[name] {
			return fault.New(fault.General, fmt.Errorf("bundle %q: %s is %s in it, and evaluation gives %s", r.From.Shown, name, out[name], paths[name]),
				"nothing was registered; please report it with the log")
		}
	}
	// What was there before may be another one by now.
	if before && !unaltered(ctx, n, out[ShellAttribute]) {
		_, err = n.Command("nix", "build", "--dry-run", "--repair", "--file", r.packages(), "nix").Output(ctx)
	}
	return err
}

// toolNames returns the attributes of the tools that are among the outputs of a stage: all of the embedded
// package set's, those that came with a relocated Nix, or those that another set has.
func toolNames(out outputs) []string {
	return slices.DeleteFunc(append(toolAttributes(), SetAttribute), func(name string) bool { return out[name] == "" })
}

// strayNix returns the relocated Nix for a store in another directory.
func (r *installation) strayNix(dir string) nixcmd.Nix {
	n := r.relocatedNix(r.done[Relocate])
	uri := nixcmd.StoreURI(filepath.Join(dir, "store"), "", filepath.Join(dir, "state"), filepath.Join(dir, "log"))
	n.Options = append(n.Options, "--store", uri)
	return n
}

// meter returns what counts bytes of a stage, and tells of them now and then.
func (r *installation) meter(stage string, total int64) func(int64) {
	const often = 4 << 20
	var done, told int64
	return func(n int64) {
		if done += n; done-told >= often || done >= total && told < done {
			told = done
			r.Sink.Emit(event.Event{Time: r.Now(), Kind: event.Progress, Stage: stage, Unit: event.Bytes, Done: min(done, total), Total: total})
		}
	}
}

// adoptedStage: native = the Nix that was relocated.
//
// Key and output are those of the native nix that is built: it is the same store path. Its bytes are
// compared by the stage before, and that one has asked whether it can read the database.
func adoptedStage() stage {
	s := nativeStage()
	s.does, s.attributes = "take that as the Nix to keep", nil
	s.intact = func(ctx context.Context, r *installation, out outputs) bool {
		return out["nix"] == r.known(Relocate)["nix"] && r.haveNix(ctx, Native, out["nix"])
	}
	s.build = func(r *installation, _ context.Context) (outputs, error) {
		return outputs{"nix": r.known(Relocate)["nix"]}, nil
	}
	s.settle = (*installation).keepNative
	return s
}

// tools returns the outputs of whatever has made the tools, and their attributes: a toolchain, or the
// relocation, which brings those that the native nix refers to.
func (r *installation) tools() (outputs, []string) {
	if out := r.done[Toolchain]; out != nil {
		return out, toolNames(out)
	}
	if !r.rolling { // a generation has all that it consists of among what is done
		if last, ok := r.builtToolchain(); ok {
			return last.Output, toolNames(last.Output)
		}
	}
	if out := r.known(Relocate); out["nix"] != "" && out["nix"] == r.known(Native)["nix"] {
		return out, toolNames(out)
	}
	out := r.known(Toolchain)
	return out, toolNames(out)
}

// builtToolchain returns the record of the toolchain that the stage of that name makes of these options,
// whether or not it is in the pipeline.
func (r *installation) builtToolchain() (journal.Record, bool) {
	key, err := r.toolsStage().key(r, "")
	last, ok := r.history.LastWith(Toolchain, key)
	return last, err == nil && ok && last.Event == journal.End
}

// trial returns what trying out the sandbox came to.
func (r *installation) trial() outputs {
	if out := r.known(Host); out != nil {
		return out
	}
	return r.known(Relocate)
}

// theirLock says how to have the lock that a bundle was made with.
const theirLock = "use the release of bootstrap that the bundle was made with, or give its lock with --lock: " +
	"share/bootstrap/packages/lock.json, beside the store that it was made at"

// refuseBundle refuses a bundle that was not made from the same inputs: the names that evaluation
// gives here would be other ones.
func (r *installation) refuseBundle(h *nixbundle.Head) error {
	wrong := func(what, is, want, hint string) error {
		return fault.New(fault.Unfit, fmt.Errorf("bundle %q: its %s is %s, and here it is %s", r.From.Shown, what, is, want), hint)
	}
	if h.Architecture != r.arch {
		return wrong("architecture", h.Architecture, r.arch, "ask for a bundle for this machine")
	}
	if h.NixVersion != r.version.String() {
		return wrong("version of Nix", h.NixVersion, r.version.String(), theirLock) // a lock has the source of one
	}
	if h.Lock != r.lock.Digest() {
		return wrong("lock", h.Lock, r.lock.Digest(), theirLock)
	}
	sums, err := r.packageDigests(notInBundle()...)
	if err != nil {
		return err
	}
	if got := PackageSet(sums); h.Packages != got {
		return wrong("package set", h.Packages, got, "use the release of bootstrap that the bundle was made with")
	}
	_, err = transplant.Fit(h, r.layout)
	return err
}
