package stages

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"bootstrap/internal/event"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/run"
)

// trySandbox finds out by a build whether Nix's sandbox works here, in a store of its own that is
// gone afterwards. Sysctls, LSMs, seccomp filters and nesting all have a say: only trying tells.
func (r *installation) trySandbox(ctx context.Context, out outputs) error {
	return r.trySandboxWith(ctx, out, Host, r.strayHost)
}

// trySandboxWith is trySandbox in any stage, by the Nix that next returns for a store in a directory.
func (r *installation) trySandboxWith(ctx context.Context, out outputs, stage string, next func(dir string) nixcmd.Nix) error {
	out["sandbox"] = "false"
	if !r.facts.Namespaces.Work {
		out["reason"] = r.facts.Namespaces.Reason
		return nil
	}
	out["sandbox"] = "true"
	r.done[stage] = out
	err := r.tryBuild(ctx, next)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		out["sandbox"], out["reason"] = "false", lastLine(err)
		r.emit(event.Warn, stage, "builds will not be sandboxed: "+out["reason"])
	}
	return nil
}

// strayHost returns the host nix for a store in another directory.
func (r *installation) strayHost(dir string) nixcmd.Nix {
	n := r.hostNix(Host)
	n.Env = n.Env.With(run.Env{
		"NIX_STORE_DIR": filepath.Join(dir, "store"), "NIX_STATE_DIR": filepath.Join(dir, "state"),
		"NIX_LOG_DIR": filepath.Join(dir, "log"),
	})
	return n
}

// tryBuild builds the smallest derivation there is, in a store that nothing else uses.
func (r *installation) tryBuild(ctx context.Context, next func(dir string) nixcmd.Nix) (err error) {
	dir := filepath.Join(r.layout.TmpDir(), "sandbox")
	if err := freshTree(dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeTree(dir)) }()
	_, err = next(dir).Command("nix", "build", "--impure", "--no-link", "--expr", `derivation {
		name = "sandbox"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo > $out" ];
	}`).Output(ctx)
	return err
}

// removeTree removes a directory whose own directories may be read-only, as in a store.
func removeTree(dir string) error {
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return nil // what cannot be read cannot be removed, and RemoveAll says so
	})
	if err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// lastLine returns the last line of an error that carries a child's output.
func lastLine(err error) string {
	var failed *run.Error
	if errors.As(err, &failed) && len(failed.Tail) > 0 {
		return strings.TrimSpace(failed.Tail[len(failed.Tail)-1])
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}
