package stages

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/event"
	"bootstrap/internal/journal"
	"bootstrap/internal/lock"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/resolve"
	"bootstrap/templates"
)

// ShellAttribute is the attribute of the package set that no derivation makes.
const ShellAttribute = "busybox"

// toolAttributes are the attributes of the package set that the toolchain consists of.
// The first is a store path that evaluation makes, not a derivation.
func toolAttributes() []string {
	return []string{ShellAttribute, "toolchain", "runtime", "compiler", "cacert"}
}

// ToolAttributes returns the attributes of the package set that the toolchain's stage makes.
func ToolAttributes() []string { return toolAttributes() }

// toolPaths returns the store paths of toolAttributes.
func toolPaths(out outputs) []string {
	var paths []string
	for _, name := range toolAttributes() {
		paths = append(paths, out[name])
	}
	return paths
}

// shaped reports whether the toolchain has the shape it was recorded with. Older installers did
// not record it.
func shaped(ctx context.Context, out outputs) bool {
	if out["shape"] == "" {
		return true
	}
	got, err := shape(ctx, toolPaths(out)...)
	return err == nil && got == out["shape"]
}

// sound reports whether the toolchain has the contents that are registered: all of it where that is
// asked for, and else what the native nix needs while it runs, some 40 MB.
func (r *installation) sound(ctx context.Context, out outputs) bool {
	paths := []string{out[ShellAttribute], out["runtime"], out["cacert"]}
	if r.thorough {
		paths = toolPaths(out)
	}
	n, ok := r.anyNix(ctx, Toolchain)
	if !ok {
		return !r.thorough // when there is a Nix again, it looks before it builds
	}
	return unaltered(ctx, n, paths...)
}

// toolchainStage: toolchain = host.build(packages.toolchain).
//
// Key: the packages it is unpacked from, the package set without what only Nix is built from,
// and the store directory.
// Output: a store path for each of toolAttributes, and the shape of all of them.
func toolchainStage() stage {
	return stage{
		name: Toolchain, does: "unpack a compiler into the store", attributes: toolAttributes(),
		inputs: func(r *installation) (any, error) {
			sums, err := r.packageDigests("lock.json", "patches/", "nix.nix", "meson.nix", "builders/nix.sh", "hello.nix", "builders/hello.sh", "directories", "README")
			return []any{
				sums, r.layout.Store,
				r.digests(r.lock.For(r.arch, lock.Shell, lock.Patchelf, lock.Toolchain, lock.CACert)),
			}, err
		},
		intact: func(ctx context.Context, r *installation, out outputs) bool {
			return r.haveValid(ctx, Toolchain, out, toolAttributes()...) && shaped(ctx, out) && r.sound(ctx, out)
		},
		build: func(r *installation, ctx context.Context) (outputs, error) {
			if err := r.writePackages(ctx, Toolchain); err != nil {
				return nil, err
			}
			host := r.hostNix(Toolchain)
			if err := r.guardSchema(ctx, host, "the host nix"); err != nil {
				return nil, err
			}
			roles := []lock.Role{lock.Shell, lock.Patchelf, lock.Toolchain, lock.CACert}
			if r.known(Relocate)["nix"] != "" {
				// What a Nix is built from is added by the stages that build one, and none of them has to
				// where it came in a bundle. Without it hello, and that Nix itself, would be downloaded for.
				roles = append(roles, r.buildRoles()...)
			}
			if err := r.addSeed(ctx, host, roles...); err != nil {
				return nil, err
			}
			// The shell is in the store once it was evaluated.
			shell, err := r.evaluate(ctx, host, toolAttributes()[0])
			if err != nil {
				return nil, err
			}
			out, err := r.buildWith(ctx, Toolchain, host, shell, toolAttributes()[1:]...)
			if err != nil {
				return nil, err
			}
			maps.Copy(out, shell)
			return out, nil
		},
		settle: func(r *installation, ctx context.Context, out outputs) (err error) {
			if out["shape"], err = shape(ctx, toolPaths(out)...); err != nil {
				return err
			}
			return r.root(Toolchain, out, toolAttributes()...)
		},
		again: (*installation).builtAgain,
	}
}

// addSeed puts files of the seed into the store, under the paths that the fixed-output
// derivations of lock.nix have: so these count as built and nothing is downloaded.
func (r *installation) addSeed(ctx context.Context, n nixcmd.Nix, roles ...lock.Role) error {
	entries := r.lock.For(r.arch, roles...)
	cached, err := r.cached(ctx, entries)
	if err != nil {
		return err
	}
	if slices.Contains(roles, lock.NixSource) {
		if err := r.vetSources(ctx, cached); err != nil {
			return err
		}
	}
	if slices.Contains(roles, lock.Toolchain) { // builders unpack nothing else
		if err := r.vetSeed(ctx, cached); err != nil {
			return err
		}
	}
	dir := filepath.Join(r.layout.TmpDir(), "seed")
	if err := freshTree(dir); err != nil {
		return err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		// A name of the store's, on a file of the cache.
		names[i] = filepath.Join(dir, storeName(e.Path))
		if err := linkOrCopy(cached[e.SHA256], names[i]); err != nil {
			return err
		}
	}
	if err := r.addFixed(ctx, n, names); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// addFixed adds files to the store. Nix takes the word of its database for what is there already;
// what has other contents by now is deleted, and added again.
func (r *installation) addFixed(ctx context.Context, n nixcmd.Nix, files []string) error {
	add := n.Command("nix-store", append([]string{"--add-fixed", "sha256"}, files...)...)
	out, err := add.Output(ctx)
	if err != nil {
		return err
	}
	altered, err := n.Altered(ctx, strings.Fields(string(out))...)
	if err != nil || len(altered) == 0 {
		return err
	}
	r.emit(event.Warn, Toolchain, fmt.Sprintf("%d files of the seed in the store are not what they were; they are added again", len(altered)))
	args := append(append(collector(), "--delete", "--ignore-liveness"), altered...)
	if _, err := n.Command("nix-store", args...).Output(ctx); err != nil {
		return err
	}
	_, err = add.Output(ctx)
	return err
}

// vetSeed refuses a seed with a package that a builder must not unpack. The built-in lock was
// vetted when it was made, and is again by the tests; reading it all would take some seconds more.
func (r *installation) vetSeed(ctx context.Context, cached map[string]string) error {
	known, err := lock.Parse(templates.Lock())
	if err != nil {
		return err
	}
	return resolve.Vet(ctx, resolve.VetOptions{
		Lock: r.lock, Arch: r.arch, Known: known,
		Fetch:    func(context.Context, []lock.Entry) (map[string]string, error) { return cached, nil },
		Parallel: r.jobs(), Sink: r.Sink, Stage: Toolchain, Now: r.Now,
	})
}

// storeName returns the name a file of the archive has in the store, as in lock.nix: a store
// path's name may not have all the characters that Debian's may.
func storeName(file string) string {
	return strings.NewReplacer("~", "-", "%3a", "-", ":", "-").Replace(path.Base(file))
}

// linkOrCopy gives a file a second name, or a copy where that cannot be.
func linkOrCopy(from, to string) error {
	if err := os.Link(from, to); err == nil {
		return nil
	}
	return copyFile(from, to, 0o644)
}

// root makes a GC root for each output, named after it.
func (r *installation) root(stage string, out outputs, names ...string) error {
	for _, name := range names {
		if err := r.link(stage, out[name], filepath.Join(r.rootsDir(), name)); err != nil {
			return err
		}
	}
	return nil
}

// rooted reports whether each output has its GC root.
func (r *installation) rooted(out outputs, names ...string) bool {
	for _, name := range names {
		if !linksTo(filepath.Join(r.rootsDir(), name), out[name]) {
			return false
		}
	}
	return true
}

// haveValid reports whether the outputs are valid store paths.
func (r *installation) haveValid(ctx context.Context, stage string, out outputs, names ...string) bool {
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = out[name]
		if out[name] == "" {
			return false
		}
	}
	n, ok := r.anyNix(ctx, stage)
	return ok && n.Valid(ctx, paths...)
}

// anyNix returns a Nix that can be asked about the store: the one that lasts, if it is there.
func (r *installation) anyNix(ctx context.Context, stage string) (nixcmd.Nix, bool) {
	programs := []string{nixcmd.Program(r.known(Native)["nix"]), r.installedProgram(), nixcmd.Program(r.known(Bootstrap)["nix"])}
	if r.OneWay { // what was installed may not read the database any more
		programs = []string{nixcmd.Program(r.recorded(Native)["nix"]), nixcmd.Program(r.recorded(Bootstrap)["nix"])}
	}
	for _, program := range programs {
		if filepath.IsAbs(program) && r.runs(ctx, stage, program) {
			return r.builtNix(stage, program), true
		}
	}
	if host := r.known(Host); host["nix"] != "" && r.runs(ctx, stage, host["nix"]) {
		r.done[Host] = host
		return r.hostNix(stage), true
	}
	return nixcmd.Nix{}, false
}

// installedProgram returns the native nix of the profile; "" if there is none.
func (r *installation) installedProgram() string {
	program, _ := filepath.EvalSymlinks(nixcmd.Program(r.layout.DefaultProfile()))
	if !strings.HasPrefix(program, r.layout.Store+"/") {
		return ""
	}
	return program
}

// recorded returns the outputs of a stage with the key it has in this run.
func (r *installation) recorded(stage string) outputs {
	if out := r.done[stage]; out != nil {
		return out
	}
	if rec, ok := r.history.LastWith(stage, r.keys[stage]); ok && rec.Event == journal.End {
		return rec.Output
	}
	return nil
}

// known returns the outputs of a stage, of this run or of the last one that ended it well: with the
// key it has in this run, if there was one.
func (r *installation) known(stage string) outputs {
	if out := r.recorded(stage); out != nil {
		return out
	}
	for i := len(r.history.Records) - 1; i >= 0; i-- {
		if rec := r.history.Records[i]; rec.Stage == stage && rec.Event == journal.End {
			return rec.Output
		}
	}
	return nil
}
