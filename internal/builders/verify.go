package builders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/prefix"
	"bootstrap/internal/run"
	"bootstrap/internal/sshcmd"

	version "github.com/hashicorp/go-version"
)

// oldest is the version of Nix that a builder has at least; that of a host nix is the same.
const oldest = ">= 2.24"

// Found is what a machine says of itself.
type Found struct {
	Store  string `json:"store"`  // its store directory
	System string `json:"system"` // what it builds
	Nix    string `json:"nix"`    // version
}

// Introduce returns the key that the machine shows, and the name that ssh looks it up by.
func (m Machine) Introduce(ctx context.Context, ssh sshcmd.Client, l prefix.Layout) (known string, key sshcmd.Key, err error) {
	known, key, err = ssh.HostKey(ctx, m.destination(), l.TmpDir())
	if err != nil && ctx.Err() == nil {
		err = fault.New(fault.KindOf(err), fmt.Errorf("builder %q: %w", m.URL(), err), fault.HintOf(err))
	}
	return known, key, err
}

// question is answered by any Nix, and needs nothing to be in its store.
const question = "{ store = builtins.storeDir; system = builtins.currentSystem; nix = builtins.nixVersion; }\n"

// Ask asks the Nix on a machine what it is, and refuses one that cannot build for a store
// directory. The machine is taken for what its key says, and nothing else.
func (m Machine) Ask(ctx context.Context, ssh sshcmd.Client, l prefix.Layout, store string) (Found, error) {
	var f Found
	dir, err := os.MkdirTemp(l.TmpDir(), "builders-")
	if err != nil {
		return f, err
	}
	defer os.RemoveAll(dir)
	known := filepath.Join(dir, "known_hosts")
	if err := os.WriteFile(known, []byte(m.KnownAs+" "+m.Key.String()+"\n"), 0o600); err != nil {
		return f, err
	}
	ssh.Identity = m.Identity
	program := filepath.Join(filepath.Dir(m.Program), "nix-instantiate")
	out, err := ssh.Output(ctx, m.destination(), known, strings.NewReader(question), program, "--eval", "--strict", "--json", "-")
	if err != nil {
		return f, m.wrong(ctx, err, program, l)
	}
	if err := json.Unmarshal(out, &f); err != nil {
		return f, m.refuse(fmt.Errorf("%s is no nix-instantiate: it answers %.80q", program, out), "--remote-program names the nix-daemon there")
	}
	if f.Store != store {
		return f, m.refuse(fmt.Errorf("its store directory is %q, and this prefix has %q", f.Store, store),
			"a builder has the same store directory: "+provision(l))
	}
	return f, m.fit(f)
}

func (m Machine) fit(f Found) error {
	want, err := version.NewConstraint(oldest)
	if err != nil {
		return err
	}
	have, err := version.NewVersion(f.Nix)
	if err != nil || !want.Check(have.Core()) {
		return m.refuse(fmt.Errorf("its Nix is %s, and %s is needed", f.Nix, oldest), "install a newer one there")
	}
	return nil
}

// wrong says why there was no answer.
func (m Machine) wrong(ctx context.Context, err error, program string, l prefix.Layout) error {
	var e *run.Error
	switch {
	case ctx.Err() != nil:
		return err
	case errors.Is(err, sshcmd.ErrHost) || !errors.As(err, &e):
		return fault.New(fault.KindOf(err), fmt.Errorf("builder %q: %w", m.URL(), err), fault.HintOf(err))
	case e.ExitCode == 126 || e.ExitCode == 127: // of any shell: not to be run, not there
		return m.refuse(fmt.Errorf("there is no Nix: %s cannot be run", program), provision(l))
	}
	return m.refuse(fmt.Errorf("the Nix there does not work: %s", last(e.Tail)), "see what it says there: "+program+" --version")
}

// provision is how a host gets its prefix.
func provision(l prefix.Layout) string {
	return fmt.Sprintf("install it there: ssh HOST sh -s -- --prefix %s --yes <scripts/install.sh", l.Store)
}

func (m Machine) refuse(err error, hint string) error {
	return fault.New(fault.Unfit, fmt.Errorf("builder %q: %w", m.URL(), err), hint)
}

// Connect has the Nix of a prefix open the store of a machine, as it will for a build.
func (m Machine) Connect(ctx context.Context, n nixcmd.Nix) error {
	var e *run.Error
	_, err := n.Command("nix", "store", "info", "--json", "--store", m.StoreURL()).Output(ctx)
	if err != nil && ctx.Err() == nil && errors.As(err, &e) {
		return m.refuse(fmt.Errorf("its store is not reached: %s", last(e.Tail)), "see that "+m.Program+" is there, and can be run")
	}
	return err
}

// Try has a machine build something that was never built before, and returns the store path, which
// is valid here then. The Nix of the prefix may build nothing itself.
func (m Machine) Try(ctx context.Context, n nixcmd.Nix, name string) (string, error) {
	var features []string
	for _, f := range m.Mandatory {
		features = append(features, `"`+f+`"`)
	}
	expression := fmt.Sprintf(`derivation { name = "%s"; system = "%s"; builder = "/bin/sh"; args = [ "-c" "echo %s >$out" ]; requiredSystemFeatures = [ %s ]; }`,
		name, m.Systems[0], name, strings.Join(features, " "))
	out, err := n.Command("nix", "build", "--no-link", "--print-out-paths", "--max-jobs", "0", "--builders", m.line(), "--expr", expression).Output(ctx)
	var e *run.Error
	if err != nil && ctx.Err() == nil && errors.As(err, &e) {
		return "", m.refuse(fmt.Errorf("it does not build: %s", reason(e.Tail)), "see the log of the build there, and whether sandboxes work there")
	}
	if err != nil {
		return "", err
	}
	path := strings.TrimSpace(string(out))
	if text, err := os.ReadFile(path); err != nil || string(text) != name+"\n" || !n.Registered(ctx, path) {
		return "", m.refuse(fmt.Errorf("what it built is not here: %s", path), "please report it")
	}
	return path, nil
}

// Forget deletes what [Machine.Try] has built, here.
func Forget(ctx context.Context, n nixcmd.Nix, path string) error {
	paths := []string{path}
	if drv, err := n.Command("nix-store", "--query", "--deriver", path).Output(ctx); err == nil {
		if drv := strings.TrimSpace(string(drv)); strings.HasSuffix(drv, ".drv") {
			paths = append(paths, drv)
		}
	}
	_, err := n.Command("nix-store", append([]string{"--delete"}, paths...)...).Output(ctx)
	return err
}

// reason returns what Nix says of a build that failed on a machine (2.26, build-remote.cc), or else the
// last thing that it says.
func reason(tail []string) string {
	for _, line := range tail {
		for _, before := range []string{" failed: error: ", "cannot build on '"} {
			if _, why, ok := strings.Cut(line, before); ok {
				return strings.TrimSpace(why)
			}
		}
	}
	return last(tail)
}

// last returns the last thing that a program said.
func last(tail []string) string {
	for i := len(tail) - 1; i >= 0; i-- {
		if line := strings.TrimSpace(tail[i]); line != "" {
			return strings.TrimPrefix(line, "error: ")
		}
	}
	return "it says nothing"
}

// IdentityUsable refuses a file of a private key that ssh would not take.
func IdentityUsable(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("is not there")
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("is no file")
	case info.Mode().Perm()&0o077 != 0:
		return errors.New("others may read it, and ssh does not take it then")
	}
	return nil
}
