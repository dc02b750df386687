// Package nixcmd runs the programs of one Nix: by its path, in an environment that is wholly
// given, and so never against another store than was meant.
package nixcmd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"bootstrap/internal/nixlog"
	"bootstrap/internal/prefix"
	"bootstrap/internal/run"
)

// Nix is one Nix that can be run.
type Nix struct {
	Path    string   // absolute path of the nix program
	Env     run.Env  // its whole environment
	Options []string // settings for every command
	Log     string   // file that gets all it says; none if empty
	// Beside says that nix-build, nix-env and so on are files beside the nix program.
	// Otherwise there is one program, which goes by the name it is started with.
	Beside bool
}

// Of returns the Nix of a prefix that is installed, by the path of its nix program. It knows its
// directories by itself and reads its own nix.conf: it is told nothing besides.
func Of(l prefix.Layout, user, program string) Nix {
	return Nix{Path: program, Beside: true, Env: run.BaseEnv(l.HomeDir(), l.TmpDir(), "/nonexistent").WithUser(user)}
}

// Program returns the program in a store path of Nix.
func Program(storePath string) string { return filepath.Join(storePath, "bin", "nix") }

// Command returns a command of the new command line, or of an old one by its name: nix-store.
func (n Nix) Command(program string, args ...string) *run.Cmd {
	named := filepath.Join(filepath.Dir(n.Path), program)
	path := n.Path
	if n.Beside {
		path = named
	}
	cmd := &run.Cmd{
		Path: path, Argv0: named, Env: n.Env,
		LogFile: n.Log, Text: nixlog.Text,
		// Its builders are in sessions of their own; it ends them if it is given the time.
		DeathSignal: syscall.SIGTERM,
	}
	if program == "nix" {
		cmd.Args = append(cmd.Args, args[0])
		args = args[1:]
	}
	cmd.Args = append(append(cmd.Args, n.Options...), args...)
	return cmd
}

// Valid reports whether store paths are registered, and there.
func (n Nix) Valid(ctx context.Context, paths ...string) bool {
	for _, p := range paths {
		if !exists(p) {
			return false
		}
	}
	return n.Registered(ctx, paths...)
}

// Registered reports whether the database has all of the store paths.
func (n Nix) Registered(ctx context.Context, paths ...string) bool {
	invalid, err := n.Command("nix-store", append([]string{"--check-validity", "--print-invalid"}, paths...)...).Output(ctx)
	return err == nil && len(strings.TrimSpace(string(invalid))) == 0
}

// Spoilt reports whether a store path that is registered, or anything it refers to, has other
// contents than the database says.
func (n Nix) Spoilt(ctx context.Context, paths ...string) bool {
	paths = slices.DeleteFunc(paths, func(p string) bool { return !n.Registered(ctx, p) })
	if len(paths) == 0 {
		return false
	}
	_, err := n.Command("nix", append([]string{"store", "verify", "--recursive", "--no-trust"}, paths...)...).Output(ctx)
	return err != nil && ctx.Err() == nil
}

// modified matches what Nix says of a path whose contents are not those that are registered, and
// gone what it says of one that is not there (Nix 2.26: src/nix/verify.cc, src/libstore/local-store.cc).
const (
	modified = `^(?:error: )?path '([^']+)' was modified!`
	gone     = `^(?:error: )?path '([^']+)' disappeared, `
)

// Altered returns those of the valid store paths that are gone, or have other contents than the
// database says. What they refer to is not looked at.
func (n Nix) Altered(ctx context.Context, paths ...string) ([]string, error) {
	var altered, there []string
	for _, p := range paths {
		if exists(p) {
			there = append(there, p)
		} else {
			altered = append(altered, p)
		}
	}
	if len(there) == 0 {
		return altered, nil
	}
	found, err := n.complaints(ctx, "nix", append([]string{"store", "verify", "--no-trust"}, there...)...)
	return append(altered, found...), err
}

// VerifyAll returns the paths of the whole store that are gone, or have other contents than the
// database says. Nix forgets those that are gone, where nothing refers to them.
func (n Nix) VerifyAll(ctx context.Context) ([]string, error) {
	return n.complaints(ctx, "nix-store", "--verify", "--check-contents")
}

// complaints runs a command and returns the paths that it calls modified or gone. That it fails
// is an error only if it names none.
func (n Nix) complaints(ctx context.Context, program string, args ...string) ([]string, error) {
	patterns := []*regexp.Regexp{regexp.MustCompile(modified), regexp.MustCompile(gone)}
	var paths []string
	cmd := n.Command(program, args...)
	cmd.OnLine = func(line string) {
		for _, p := range patterns {
			if m := p.FindStringSubmatch(line); m != nil && !slices.Contains(paths, m[1]) {
				paths = append(paths, m[1])
			}
		}
	}
	err := cmd.Run(ctx)
	if err != nil && ctx.Err() == nil && len(paths) > 0 {
		err = nil
	}
	return paths, err
}

// Info is a store path with its size and references, as `nix path-info --json` has them.
type Info struct {
	NarSize    int64    `json:"narSize"`
	NarHash    string   `json:"narHash"` // "sha256-" and base64
	References []string `json:"references"`
	CA         string   `json:"ca"` // empty where its name does not follow from its contents
}

// ClosureOf returns everything a store path refers to, itself included.
func (n Nix) ClosureOf(ctx context.Context, path string) (map[string]Info, error) {
	return n.PathInfo(ctx, "--recursive", path)
}

// PathInfo returns what the database has of store paths: nothing, the zero Info, of one that is not
// valid.
func (n Nix) PathInfo(ctx context.Context, paths ...string) (map[string]Info, error) {
	out, err := n.Command("nix", append([]string{"path-info", "--json"}, paths...)...).Output(ctx)
	if err != nil {
		return nil, err
	}
	infos := map[string]Info{}
	if err := json.Unmarshal(out, &infos); err != nil {
		return nil, fmt.Errorf("nix path-info: %w", err)
	}
	return infos, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// StoreURI is the address of a store with the directories given: the store directory as Nix knows
// it, where its files lie, the state directory and the one of logs.
// https://nix.dev/manual/nix/2.26/store/types/local-store
func StoreURI(store, files, state, log string) string {
	escape := func(path string) string {
		return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(path), "+", "%20"), "%2F", "/")
	}
	uri := "local?store=" + escape(store) + "&state=" + escape(state) + "&log=" + escape(log)
	if root, diverted := strings.CutSuffix(files, store); diverted && root != "" {
		uri += "&root=" + escape(root) + "&real=" + escape(files)
	}
	return uri
}
