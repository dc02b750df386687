package stages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/nixlog"
	"bootstrap/internal/run"
)

// hostNix returns the host nix, pointed at the prefix by its environment: by all of the
// variables, since a Nix that has only some of them works on two stores at once.
func (r *installation) hostNix(stage string) nixcmd.Nix {
	l := r.layout
	n := r.builtNix(stage, r.done[Host]["nix"])
	n.Env = n.Env.With(run.Env{
		"NIX_STORE_DIR": l.Store, "NIX_STATE_DIR": l.State, "NIX_LOG_DIR": l.Log, "NIX_CONF_DIR": l.HomeDir(),
		"NIX_CACHE_HOME": filepath.Join(l.HomeDir(), "cache"), "NIX_CONFIG_HOME": filepath.Join(l.HomeDir(), "config"),
		"NIX_DATA_HOME": filepath.Join(l.HomeDir(), "data"), "NIX_STATE_HOME": filepath.Join(l.HomeDir(), "state"),
		"NIX_USER_CONF_FILES": "",
	})
	return n
}

// builtNix returns a Nix that knows the prefix by itself: nothing in its environment names it.
func (r *installation) builtNix(stage, path string) nixcmd.Nix {
	l := r.layout
	return nixcmd.Nix{
		Path:    path,
		Env:     run.BaseEnv(l.HomeDir(), l.TmpDir(), "/nonexistent").WithUser(r.User),
		Options: r.buildOptions(),
		Log:     r.stageLog(stage),
	}
}

// stageLog returns the log of a stage; none while nothing may be written.
func (r *installation) stageLog(stage string) string {
	if r.journal == nil {
		return ""
	}
	return r.layout.StageLog(stage)
}

// buildOptions are what nix.conf will say once it is written, for the builds before that.
func (r *installation) buildOptions() []string {
	facts := r.done[Host]
	if facts == nil {
		facts = r.done[Relocate]
	}
	settings := [][2]string{
		{"experimental-features", "nix-command flakes"},
		{"build-users-group", ""},
		{"substituters", ""},
		{"builders", ""},
		{"sandbox-fallback", "false"},
		{"keep-failed", "false"},
		{"keep-going", "false"},
		{"cores", strconv.Itoa(r.jobs())},
		{"max-jobs", "1"},
		{"build-dir", r.layout.TmpDir()},
		{"use-sqlite-wal", strconv.FormatBool(r.wal())},
		{"warn-dirty", "false"},
	}
	if facts != nil { // else nothing is to be built
		settings = append(settings,
			[2]string{"sandbox", facts["sandbox"]}, [2]string{"sandbox-paths", "/bin/sh=" + facts["shell"]})
	}
	var options []string
	for _, s := range settings {
		options = append(options, "--option", s[0], s[1])
	}
	return options
}

// jobs returns how many compilers may run at a time: one for each processor, if the memory is
// enough for that many.
func (r *installation) jobs() int {
	if r.Jobs > 0 {
		return r.Jobs
	}
	jobs := r.facts.CPUs
	if m := r.facts.Memory.Available; m > 0 {
		jobs = min(jobs, int(m/compilerBytes))
	}
	return max(1, jobs)
}

// wal reports whether SQLite can keep a write-ahead log where the database is.
func (r *installation) wal() bool {
	place, ok := r.facts.Place("state")
	return !ok || !place.Remote
}

// build builds attributes of the package set and tells of the progress.
// It returns their output paths by attribute.
func (r *installation) build(ctx context.Context, stage string, n nixcmd.Nix, attributes ...string) (outputs, error) {
	return r.buildWith(ctx, stage, n, nil, attributes...)
}

// buildWith is build with further store paths, which evaluation makes, to be made anew if they are
// not what they were.
func (r *installation) buildWith(ctx context.Context, stage string, n nixcmd.Nix, besides outputs, attributes ...string) (outputs, error) {
	paths, err := r.evaluate(ctx, n, attributes...)
	if err != nil {
		return nil, err
	}
	args := []string{"build", "--no-link", "--log-format", "internal-json", "-v", "--file", r.packages()}
	if n.Spoilt(ctx, slices.AppendSeq(slices.Collect(maps.Values(paths)), maps.Values(besides))...) || r.tornDerivations() {
		r.emit(event.Warn, stage, "files in the store are not what they were; they are made anew")
		args = append(args, "--repair")
		if err := r.clear(ctx, stage, n, slices.Sorted(maps.Values(paths))); err != nil {
			return nil, err
		}
	}
	cmd := n.Command("nix", append(args, attributes...)...)
	tracker := nixlog.NewTracker(nixlog.Options{Sink: r.Sink, Stage: stage, Now: r.Now, Derivations: r.set != nil})
	cmd.OnLine = tracker.Line
	if err := cmd.Run(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, buildError(stage, n.Log, tracker.Err(), err)
	}
	return paths, nil
}

// clear makes room for outputs that are to be built once more. The toolchain is unpacked, not compiled,
// and comes out the same wherever it is built; for the others see [buildsInPlace].
func (r *installation) clear(ctx context.Context, stage string, n nixcmd.Nix, paths []string) error {
	if err := n.DropUnfinished(ctx, paths...); err != nil {
		return err
	}
	if stage == Toolchain || buildsInPlace(r.trial()) {
		return nil
	}
	paths = slices.DeleteFunc(paths, func(p string) bool { return !n.Registered(ctx, p) })
	altered, err := n.Altered(ctx, paths...)
	if err != nil || len(altered) == 0 {
		return err
	}
	args := append(append(collector(), "--delete", "--ignore-liveness"), altered...)
	if _, err := n.Command("nix-store", args...).Output(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fault.New(fault.Unfit,
			fmt.Errorf("store path %q: it is damaged, and cannot be built again while others refer to it, since this host has no sandbox: %s", altered[0], lastLine(err)),
			"delete what refers to it (nix-store --query --referrers-closure names it) and run the same command again")
	}
	return nil
}

// buildError says what Nix said was wrong, and how the build's own output ended.
func buildError(stage, log, text string, err error) error {
	var failed *run.Error
	if text == "" || !errors.As(err, &failed) {
		return err
	}
	hint := "the log has the whole output of the build"
	if log == "" {
		hint = ""
	}
	return &fault.Error{
		Kind: fault.General, Log: log, Hint: hint,
		Err: fmt.Errorf("stage %s: %s\n  %s", stage, text, strings.Join(failed.Tail, "\n  ")),
	}
}

// evaluate returns the output paths of attributes of the package set, without building them.
func (r *installation) evaluate(ctx context.Context, n nixcmd.Nix, attributes ...string) (outputs, error) {
	return Evaluate(ctx, n, r.packages(), attributes...)
}

// Evaluate returns the output paths of attributes of the package set in a directory, without building them.
func Evaluate(ctx context.Context, n nixcmd.Nix, packages string, attributes ...string) (map[string]string, error) {
	fields := make([]string, len(attributes))
	for i, a := range attributes {
		fields[i] = fmt.Sprintf("%q = \"${p.%q}\";", a, a)
	}
	out, err := n.Command("nix", "eval", "--json", "--file", packages,
		"--apply", "set: let p = set { }; in { "+strings.Join(fields, " ")+" }").Output(ctx)
	if err != nil {
		return nil, err
	}
	paths := map[string]string{}
	if err := json.Unmarshal(out, &paths); err != nil {
		return nil, fmt.Errorf("nix eval: %w", err)
	}
	return paths, nil
}
