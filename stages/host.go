package stages

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/lock"
	"bootstrap/internal/mirror"
	"bootstrap/internal/nar"
	"bootstrap/internal/receipt"
	"bootstrap/internal/run"

	version "github.com/hashicorp/go-version"
)

// oldestHost is the oldest Nix that knows the commands and settings used here.
const oldestHost = ">= 2.24"

// hostStage: host = relink(unpack(seed: nix-bin and the libraries it needs)).
//
// Key: the packages it is made of, or the Nix that was named instead; where it lies.
// Output: nix, its path; version; shell, a static /bin/sh for sandboxes; tree, the hash of the directory
// as a store path has one; of a Nix that was named, sha256, and from, its URL; and what trying out the
// sandbox with it came to: sandbox, reason.
func hostStage() stage {
	return stage{
		name: Host, does: "make the host nix run here", usedBy: []string{Toolchain, Bootstrap},
		bringsTo: []string{Toolchain, Native},
		inputs: func(r *installation) (any, error) {
			return []any{
				r.digests(r.lock.For(r.arch, r.hostRoles()...)), r.Host, r.HostSHA256, r.layout.HostDir(),
			}, nil
		},
		intact: func(ctx context.Context, r *installation, out outputs) bool {
			// What the sandbox came to was found out on the host of that run.
			sandboxed := out["sandbox"] != "true" || r.facts.Namespaces.Work
			return sandboxed && exists(out["shell"]) && exists(r.hostAshPath()) && r.runs(ctx, Host, out["nix"])
		},
		build: (*installation).makeHost,
		again: (*installation).hostAgain,
	}
}

func (r *installation) hostRoles() []lock.Role {
	if r.Host != "" {
		return []lock.Role{lock.Shell}
	}
	return []lock.Role{lock.Shell, lock.Patchelf, lock.Host}
}

func (r *installation) makeHost(ctx context.Context) (outputs, error) {
	out := outputs{"shell": r.hostShellPath(), "nix": r.hostProgram()}
	var err error
	if out["tree"], err = r.hostTree(ctx, out["nix"]); err != nil {
		return nil, err
	}
	switch {
	case isURL(r.Host):
		out["from"], out["sha256"] = mirror.Redact(r.Host), r.HostSHA256
	case r.Host != "":
		out["sha256"] = fileDigest(r.Host)
	}
	if out["version"], err = r.hostVersion(ctx, out["nix"]); err != nil {
		return nil, err
	}
	r.done[Host] = out
	if err := r.trySandbox(ctx, out); err != nil {
		return nil, err
	}
	out["summary"] = "nix " + out["version"] + ", builds " + sandboxed(out["sandbox"])
	return out, nil
}

// hostTree makes the directory of the host nix, and returns the hash of it. It is that of names, contents
// and links, as a store path's is, so that neither time nor umask is in it; the place is, by relinking.
func (r *installation) hostTree(ctx context.Context, program string) (hash string, err error) {
	dir := r.layout.HostDir()
	if err := freshTree(dir); err != nil {
		return "", err
	}
	if err := r.hostShells(ctx); err != nil {
		return "", err
	}
	switch {
	case r.Host == "":
		err = r.relinkHost(ctx, program)
	case isURL(r.Host):
		err = r.fetchHost(ctx, program)
	}
	if err != nil {
		return "", err
	}
	work, err := os.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, work.Close()) }()
	sum, _, err := nar.Sum(work, filepath.Base(dir))
	return sum.String(), err
}

// hostAgain makes the directory of the host nix once more, compares it with what is recorded of that, and
// removes it. A Nix that lies elsewhere is compared by its digest.
func (r *installation) hostAgain(s receipt.Stage) (remake, error) {
	out := s.Outputs
	named := r.Host != "" && !isURL(r.Host)
	switch {
	case out["tree"] == "":
		return nil, r.tooOld(Host, "the hash of the host nix")
	case s.Key != r.keys[Host]:
		return nil, r.otherInputs(Host)
	case named && out["sha256"] == "":
		return nil, r.tooOld(Host, "the digest of the host nix that was named")
	case named && !exists(r.Host):
		return nil, fault.New(fault.Unfit, fmt.Errorf("--rebuild host: %q, the host nix that was named, is not there any more", r.Host),
			"put it back there for as long as it is compared")
	}
	return func(ctx context.Context, tell func(name, path string, identical bool)) (err error) {
		defer func() { err = errors.Join(err, removeTree(r.layout.HostDir())) }()
		if err := r.bringRoles(ctx, Host, r.hostRoles()...); err != nil {
			return err
		}
		tree, err := r.hostTree(ctx, out["nix"])
		if err != nil {
			return err
		}
		tell("host", r.layout.HostDir(), tree == out["tree"])
		if named {
			tell("nix", r.Host, fileDigest(r.Host) == out["sha256"])
		}
		return nil
	}, nil
}

// namedHost returns the Nix that was named as the host nix, and its digest, by the record of the stage;
// nothing if it was that of the seed.
func (r *installation) namedHost(out outputs) (host, sha256 string) {
	switch program := out["nix"]; {
	case program == filepath.Join(r.layout.HostDir(), seedProgram):
		return "", ""
	case out["from"] != "":
		return out["from"], out["sha256"]
	default:
		return program, ""
	}
}

// seedProgram is the host nix of the seed, in the directory of the stage.
const seedProgram = "nix/usr/bin/nix"

// hostShellPath returns where the static shell of the host nix is.
func (r *installation) hostShellPath() string { return filepath.Join(r.layout.HostDir(), "sh") }

// hostAshPath returns where the static shell is that runs programs of ours; busybox goes by its name.
// Bash would ask who the user is, of the host's directory services even, with libraries of another
// C library than its own: for an account that is not in /etc/passwd that ends in a crash.
func (r *installation) hostAshPath() string { return filepath.Join(r.layout.HostDir(), "ash") }

// hostProgram returns where the host nix is, or is going to be.
func (r *installation) hostProgram() string {
	switch {
	case r.Host == "":
		return filepath.Join(r.layout.HostDir(), seedProgram)
	case isURL(r.Host):
		return filepath.Join(r.layout.HostDir(), "nix")
	}
	return r.Host
}

func isURL(s string) bool { return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") }

func sandboxed(sandbox string) string {
	if sandbox == "true" {
		return "in a sandbox"
	}
	return "without a sandbox"
}

// hostVersion asks a Nix for its version, and refuses one that is too old.
func (r *installation) hostVersion(ctx context.Context, program string) (string, error) {
	text, err := r.versionOf(ctx, Host, program)
	if err != nil {
		return "", fault.New(fault.Unfit, fmt.Errorf("host nix %q: %w", program, err),
			"leave --host out to use the one of the seed")
	}
	// Nix's own pre-releases, 2.30.0pre20250521_76a4d4c, are not in a form that go-version reads.
	v, err := version.NewVersion(leadingVersion(text))
	if err != nil {
		return "", fault.New(fault.Unfit, fmt.Errorf("host nix %q: cannot read its version %q", program, text),
			"leave --host out to use the one of the seed")
	}
	want, err := version.NewConstraint(oldestHost)
	if err != nil {
		return "", err
	}
	if !want.Check(v.Core()) {
		return "", fault.New(fault.Unfit, fmt.Errorf("host nix %q: version %s is not %s", program, v, oldestHost),
			"leave --host out to use the one of the seed")
	}
	return text, nil
}

// refuseHost says why a Nix that was named will not do, before anything is written. One behind a URL
// is known only when it was fetched.
func (r *installation) refuseHost(ctx context.Context) []*fault.Error {
	if r.Host == "" || isURL(r.Host) {
		return nil
	}
	_, err := r.hostVersion(ctx, r.Host)
	var refusal *fault.Error
	if errors.As(err, &refusal) {
		return []*fault.Error{refusal}
	}
	return nil
}

// versionOf returns what a Nix says its version is: the last word of "nix (Nix) 2.26.3".
// It reads its settings before it says so, and those of another Nix may be none of its own.
func (r *installation) versionOf(ctx context.Context, stage, program string) (string, error) {
	n := r.builtNix(stage, program)
	n.Options, n.Env = nil, n.Env.With(run.Env{"NIX_CONF_DIR": r.layout.HomeDir(), "NIX_USER_CONF_FILES": ""})
	out, err := n.Command("nix", "--version").Output(ctx)
	if err != nil {
		return "", err
	}
	words := strings.Fields(string(out))
	if len(words) == 0 {
		return "", fmt.Errorf("%s --version: it says nothing", program)
	}
	return words[len(words)-1], nil
}

// runs reports whether a Nix is there and can be run.
func (r *installation) runs(ctx context.Context, stage, program string) bool {
	if !exists(program) {
		return false
	}
	_, err := r.versionOf(ctx, stage, program)
	return err == nil
}
