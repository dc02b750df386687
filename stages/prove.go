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
	"bootstrap/internal/receipt"
	"bootstrap/internal/run"
	"bootstrap/internal/shellenv"
	"bootstrap/internal/shellrc"

	"golang.org/x/sync/errgroup"
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
		again: func(r *installation, s receipt.Stage) (remake, error) {
			if s.Outputs["hello"] == "" {
				return nil, fault.New(fault.Unfit, fmt.Errorf("--rebuild prove: in prefix %q the proof has built nothing to keep", r.layout.Store),
					"`bootstrap --prefix` with --build-hello has it build GNU hello")
			}
			return r.builtAgain(s)
		},
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
	shells, err := r.proveEverywhere(ctx, home)
	if err != nil {
		return nil, err
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

// proofText is the word that the proof of one shell writes: new in every run and shell, so that it is built,
// not found.
func (r *installation) proofText(shell string) string { return r.Run + "-" + shell }

// proofExpression evaluates to a file with the text, and the store directory as evaluation has it.
// Local says that no other machine is to be asked to build it.
func (r *installation) proofExpression(text string, local bool) string {
	return fmt.Sprintf(`derivation { name = %q; system = builtins.currentSystem; preferLocalBuild = %t; builder = %q; args = [ "-c" "echo \"$1\" \"$2\" > $out" "proof" %q builtins.storeDir ]; }`,
		proofName, local, r.proofShell(), text)
}

// proved makes sure that what a Nix says it has built is the proof with that text: in this store, and
// with what evaluation was to put there.
func (r *installation) proved(said []byte, text string) error {
	path := strings.TrimSpace(string(said))
	if filepath.Dir(path) != r.storeDir() {
		return fmt.Errorf("what it builds is %q, not in the store directory %q", path, r.storeDir())
	}
	got, err := readFile(filepath.Join(r.layout.Store, filepath.Base(path)))
	if err != nil {
		return err
	}
	if want := text + " " + r.storeDir() + "\n"; string(got) != want {
		return fmt.Errorf("what it has built has the text %q, not %q", got, want)
	}
	return nil
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

// proveEverywhere has nix build by its path and in every shell, as many at a time as there are
// processors, and returns the names of the shells.
func (r *installation) proveEverywhere(ctx context.Context, home string) ([]string, error) {
	alone, err := r.aloneProof(home)
	if err != nil {
		return nil, err
	}
	proofs := []proof{alone}
	var names []string
	for _, program := range r.shells() {
		p, err := r.shellProof(program, home)
		if err != nil {
			return nil, err
		}
		proofs, names = append(proofs, p), append(names, filepath.Base(program))
	}
	errs := make([]error, len(proofs))
	var group errgroup.Group
	group.SetLimit(max(1, r.facts.CPUs))
	for i, p := range proofs {
		group.Go(func() error {
			errs[i] = r.tryProof(ctx, p)
			return nil
		})
	}
	_ = group.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err // of the first in order, whichever came first
		}
	}
	return names, nil
}

// proof is one way to have nix build: the command that does, and prints where that is.
type proof struct {
	where string
	text  string // that it builds
	cmd   *run.Cmd
}

// tryProof has nix build, and looks at what that came to.
func (r *installation) tryProof(ctx context.Context, p proof) error {
	said, err := p.cmd.Output(ctx)
	if err == nil {
		err = r.proved(said, p.text)
	}
	return proofError(p.where, err)
}

// proveAlone has nix build by its absolute path.
func (r *installation) proveAlone(ctx context.Context, home string) error {
	p, err := r.aloneProof(home)
	if err != nil {
		return err
	}
	return r.tryProof(ctx, p)
}

// aloneProof has nix build by its absolute path, with nothing sourced.
func (r *installation) aloneProof(home string) (proof, error) {
	n := r.installed(Prove)
	env, err := r.proofEnv(run.Env{"HOME": home}, home)
	if err != nil {
		return proof{}, err
	}
	n.Env = env
	text := r.proofText("alone")
	return proof{"by its path", text, n.Command("nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", r.proofExpression(text, false))}, nil
}

// The scripts of shellProof, by their shell: each sources its first argument, and builds the second. The
// third is the directory of nix.conf, empty for the one that the Nix has compiled in.
const (
	provePOSIX = `expression=$2 conf=$3
. "$1"
[ -z "$conf" ] || export NIX_CONF_DIR="$conf"
nix build --no-link --print-out-paths --file "$expression"`
	proveFish = `set expression $argv[2]
set conf $argv[3]
source $argv[1]
test -z "$conf"; or set -gx NIX_CONF_DIR $conf
nix build --no-link --print-out-paths --file $expression`
	proveCsh = `set expression = "$argv[2]"
set conf = "$argv[3]"
source "$argv[1]"
if ("$conf" != "") setenv NIX_CONF_DIR "$conf"
nix build --no-link --print-out-paths --file "$expression"`
)

// shellProof has nix build in a shell that has sourced the env file, and nothing else
// in its environment.
func (r *installation) shellProof(program, home string) (proof, error) {
	name := filepath.Base(program)
	shell, ok := shellrc.ShellOf(program)
	if !ok {
		return proof{}, fmt.Errorf("shell %q: not one that an env file is there for", program)
	}
	text := r.proofText(name)
	expression := filepath.Join(home, name+".nix")
	if err := os.WriteFile(expression, []byte(r.proofExpression(text, true)), 0o600); err != nil {
		return proof{}, err
	}
	// What differs comes as arguments: no word of a script is made of anybody's input.
	place, err := r.proofPlace(home)
	if err != nil {
		return proof{}, err
	}
	conf, err := r.proofConf(home)
	if err != nil {
		return proof{}, err
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
	cmd := &run.Cmd{
		Path: program, Argv0: name, Args: append([]string{"-c", script}, args...), Dir: home,
		Env:     run.Env{"HOME": home, "PATH": "/usr/local/bin:/usr/bin:/bin"},
		LogFile: r.layout.StageLog(Prove),
	}
	if name == "bash" {
		cmd.Args = slices.Insert(cmd.Args, 0, "--norc", "--noprofile")
	}
	return proof{"in " + program, text, cmd}, nil
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
