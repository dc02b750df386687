package stages

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/prefix"
	"bootstrap/internal/run"
	"bootstrap/internal/shellenv"
	"bootstrap/internal/shellrc"
)

// proofName is the name of the derivation that proves that nix can build.
const proofName = "bootstrap-proof"

// proveStage: proof = native.build(a small derivation), in every shell that is there.
// In runtime mode it is the host nix that builds.
//
// Key: nothing besides what comes before.
// Output: shells, those it was tried in; hello, its store path, if it was asked for.
func proveStage() stage {
	return stage{
		name: Prove, does: "build something with it in every shell",
		inputs: func(*installation) (any, error) { return nil, nil },
		intact: func(ctx context.Context, r *installation, out outputs) bool {
			if !r.gen.settled() && r.done[Install] == nil && !exists(r.at(r.layout.Receipt())) {
				return false // it was proved once, and has been deleted since
			}
			return !r.BuildHello || r.haveValid(ctx, Prove, out, "hello") && r.rooted(out, "hello")
		},
		build: (*installation).prove,
	}
}

func (r *installation) prove(ctx context.Context) (out outputs, err error) {
	home := filepath.Join(r.layout.TmpDir(), "proof")
	if err := freshTree(home); err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, removeTree(home))
		if ctx.Err() == nil { // else the next run does it
			err = errors.Join(err, r.forgetProofs(ctx))
		}
	}()
	if err := r.forgetProofs(ctx); err != nil {
		return nil, err
	}
	if err := r.activateFirst(); err != nil {
		return nil, err
	}
	if err := r.proveAlone(ctx, home); err != nil {
		return nil, err
	}
	var shells []string
	for _, program := range r.shells() {
		if err := r.proveIn(ctx, program, home); err != nil {
			return nil, err
		}
		shells = append(shells, filepath.Base(program))
	}
	out = outputs{"shells": strings.Join(shells, " ")}
	out["summary"] = "in " + strings.Join(shells, ", ")
	if r.BuildHello {
		n := r.installed(Prove)
		if n.Env, err = r.proofEnv(n.Env, home); err != nil {
			return nil, err
		}
		made, err := r.build(ctx, Prove, n, "hello")
		if err != nil {
			return nil, err
		}
		out["hello"] = made["hello"]
		return out, r.root(Prove, made, "hello")
	}
	return out, nil
}

// shells returns the shells this machine has, that an env file is there for.
func (r *installation) shells() []string {
	var found []string
	for _, name := range []string{"sh", "bash", "zsh", "fish", "tcsh"} {
		for _, dir := range []string{"/bin", "/usr/bin", "/usr/local/bin"} {
			if path := filepath.Join(dir, name); canRun(path) {
				found = append(found, path)
				break
			}
		}
	}
	return found
}

// canRun reports whether path is a program.
func canRun(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// proof is an expression that is new in every run and shell, so that it is built, not found.
func (r *installation) proof(shell string) string {
	return fmt.Sprintf(`derivation { name = %q; system = builtins.currentSystem; builder = %q; args = [ "-c" "echo %s > $out" ]; }`,
		proofName, r.proofShell(), r.Run+"-"+shell)
}

// proofShell returns a shell that a build has. In runtime mode there is none in the store.
func (r *installation) proofShell() string {
	host := r.known(Host)
	switch {
	case !r.Runtime:
		tools, _ := r.tools()
		return filepath.Join(tools["busybox"], "bin/sh")
	case host["sandbox"] == "true":
		return "/bin/sh"
	}
	return host["shell"]
}

// proveAlone has nix build by its absolute path, with nothing sourced.
func (r *installation) proveAlone(ctx context.Context, home string) error {
	n := r.installed(Prove)
	env, err := r.proofEnv(run.Env{"HOME": home}, home)
	if err != nil {
		return err
	}
	n.Env = env
	got, err := n.Command("nix", "eval", "--raw", "--expr", "builtins.storeDir").Output(ctx)
	if err == nil {
		err = r.isStore(string(got))
	}
	if err == nil {
		_, err = n.Command("nix", "build", "--impure", "--no-link", "--expr", r.proof("alone")).Output(ctx)
	}
	return proofError("by its path", err)
}

func (r *installation) isStore(got string) error {
	if got != r.storeDir() {
		return fmt.Errorf("its store directory is %q, not %q", got, r.storeDir())
	}
	return nil
}

// The scripts of proveIn, by their shell: each sources its first argument, and builds the second. The
// third is the directory of nix.conf, empty for the one that the Nix has compiled in.
const (
	provePOSIX = `expression=$2 conf=$3
. "$1"
[ -z "$conf" ] || export NIX_CONF_DIR="$conf"
nix eval --raw --expr builtins.storeDir
nix build --no-link --file "$expression"`
	proveFish = `set expression $argv[2]
set conf $argv[3]
source $argv[1]
test -z "$conf"; or set -gx NIX_CONF_DIR $conf
nix eval --raw --expr builtins.storeDir
nix build --no-link --file $expression`
	proveCsh = `set expression = "$argv[2]"
set conf = "$argv[3]"
source "$argv[1]"
if ("$conf" != "") setenv NIX_CONF_DIR "$conf"
nix eval --raw --expr builtins.storeDir
nix build --no-link --file "$expression"`
)

// proveIn has nix build in a shell that has sourced the env file, and nothing else
// in its environment.
func (r *installation) proveIn(ctx context.Context, program, home string) error {
	name := filepath.Base(program)
	shell, ok := shellrc.ShellOf(program)
	if !ok {
		return fmt.Errorf("shell %q: not one that an env file is there for", program)
	}
	expression := filepath.Join(home, name+".nix")
	if err := os.WriteFile(expression, []byte(r.proof(name)), 0o600); err != nil {
		return err
	}
	// What differs comes as arguments: no word of a script is made of anybody's input.
	place, err := r.proofPlace(home)
	if err != nil {
		return err
	}
	conf, err := r.proofConf(home)
	if err != nil {
		return err
	}
	args := []string{place.EnvFile(name), expression, conf}
	script := provePOSIX
	switch shell {
	case shellrc.Fish:
		script = proveFish
	case shellrc.Csh:
		script = proveCsh
	default:
		args = slices.Insert(args, 0, name) // $0
	}
	cmd := run.Cmd{
		Path: program, Argv0: name, Args: append([]string{"-c", script}, args...), Dir: home,
		Env:     run.Env{"HOME": home, "PATH": "/usr/local/bin:/usr/bin:/bin"},
		LogFile: r.layout.StageLog(Prove),
	}
	if name == "bash" {
		cmd.Args = slices.Insert(cmd.Args, 0, "--norc", "--noprofile")
	}
	got, err := cmd.Output(ctx)
	if err == nil {
		err = r.isStore(strings.TrimSpace(string(got)))
	}
	return proofError("in "+program, err)
}

// proofPlace returns where the files for shells are that the proof sources: at their places, once
// the generation is current. Before that they lead to what was installed before; so the same files
// are written for a state directory of the proof's own, whose profile is the generation's.
func (r *installation) proofPlace(home string) (prefix.Layout, error) {
	l := r.layout
	if r.gen.settled() {
		return l, nil
	}
	profile := r.at(l.DefaultProfile())
	l.State, l.Share, l.ProfileD = filepath.Join(home, "state"), home, home
	files, err := shellenv.Files(l)
	if err != nil {
		return l, err
	}
	for _, f := range files {
		if err := r.put(Prove, f.Path, f.Content, f.Mode); err != nil {
			return l, err
		}
	}
	return l, r.link(Prove, profile, l.DefaultProfile())
}

func proofError(where string, err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.KindOf(err), fmt.Errorf("nix does not work %s: %w", where, err),
		"the log has what it said; please report it")
}

// forgetProofs removes what the proof has built, so that a store is the same whether it was
// proved once or three times.
func (r *installation) forgetProofs(ctx context.Context) error {
	entries, err := os.ReadDir(r.layout.Store)
	if err != nil {
		return err
	}
	var proofs []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "-"+proofName) || strings.HasSuffix(e.Name(), "-"+proofName+".drv") {
			proofs = append(proofs, filepath.Join(r.storeDir(), e.Name()))
		}
	}
	if len(proofs) == 0 {
		return nil
	}
	n := r.installed(Prove)
	args := append(append(collector(), "--delete"), proofs...)
	if _, err := n.Command("nix-store", args...).Output(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// A root of the user's may not be followed for now, which says nothing about the Nix.
		r.emit(event.Warn, Prove, "what was built as a proof is still there: "+lastLine(err))
		return nil
	}
	// The collector uses up the space that the database reserves for it. The next Nix reserves it
	// again, and that is not to be the one of somebody who only looks.
	_, err = n.Command("nix-store", "--check-validity", "--print-invalid", proofs[0]).Output(ctx)
	return err
}
