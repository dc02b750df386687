package stages

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/lock"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/pkgset"
	"bootstrap/internal/receipt"
	"bootstrap/templates"

	version "github.com/hashicorp/go-version"
)

// Set is a package set in the shape of nixpkgs, in place of the embedded one. Its zero value is the
// embedded one, where a person has asked for that.
//
// Both are a directory of expressions in the prefix that has the same attributes: busybox, a shell for
// sandboxes; what the Nix is built from; nix; and hello. So all that is done with one is done with the
// other. Of nixpkgs the directory has a few expressions of ours, which import the set and make of its Nix
// one of the prefix.
type Set struct {
	pkgset.Pin
	Dir        string    `json:"-"`             // where its files are; "" for its place in the store
	Nix        []string  `json:"nix,omitempty"` // the attributes that lead to the Nix which is taken
	NixVersion string    `json:"nix_version"`   // of that one
	Forecast   *Forecast `json:"forecast,omitempty"`
}

// SetAttribute is what the package set calls the files of a set themselves.
const SetAttribute = "packages"

// Attributes that the toolchain's stage has in its record of a set, besides the store paths.
const (
	setFrom    = "from"
	setSHA256  = "sha256"
	setLocked  = "locked"
	setRev     = "rev"
	setHash    = "narHash"
	setVersion = "set_version"
	setNix     = "attribute"
	setNixVer  = "nix_version"
)

// embedded reports whether the set is the embedded one.
func (s *Set) embedded() bool { return s == nil || s.NARHash == "" }

// record returns what the record of the stage has of the set.
func (s *Set) record() outputs {
	out := outputs{}
	for name, value := range map[string]string{
		setFrom: s.From, setSHA256: s.SHA256, setLocked: s.Locked, setRev: s.Rev, setHash: s.NARHash,
		setVersion: s.Version, setNix: strings.Join(s.Nix, "."), setNixVer: s.NixVersion,
	} {
		if value != "" {
			out[name] = value
		}
	}
	return out
}

// setOf returns the set that a record of the toolchain's stage is of; nil for the embedded one.
func setOf(out map[string]string) *Set {
	if out[SetAttribute] == "" {
		return nil
	}
	return &Set{
		Pin: pkgset.Pin{
			From: out[setFrom], SHA256: out[setSHA256], Locked: out[setLocked], Rev: out[setRev],
			NARHash: out[setHash], Version: out[setVersion],
		},
		Nix: strings.Split(out[setNix], "."), NixVersion: out[setNixVer],
	}
}

// InstalledSet returns the package set that a receipt is of; nil for the embedded one.
func InstalledSet(rec *receipt.Receipt) *Set {
	s, _ := rec.Stage(Toolchain)
	return setOf(s.Outputs)
}

// recordedSet returns the set of what is installed, or was begun; nil for the embedded one. Without a word
// about it, a prefix keeps the set it has.
func recordedSet(o Options) *Set {
	if o.Runtime || o.From != nil || o.Below != "" {
		return nil
	}
	if rec, err := receipt.Load(o.Layout.Receipt()); err == nil {
		return InstalledSet(rec)
	}
	history, err := journal.Load(o.Layout.Journal())
	if err != nil {
		return nil
	}
	last, _ := history.Last(Toolchain)
	return setOf(last.Output)
}

// nixVersion returns the version of the set's Nix, if it satisfies the constraint.
func (s *Set) nixVersion(constraint string) (*version.Version, error) {
	have, err := version.NewVersion(s.NixVersion)
	if err != nil {
		return nil, fmt.Errorf("package set %q: its Nix is of version %q", s.From, s.NixVersion)
	}
	return have, satisfied(have, constraint, fmt.Sprintf("the package set has %s; leave --nix-version out to take that", have))
}

// setStage: toolchain = host.add(package set)
//
// It is the toolchain's stage where the package set is not the embedded one: the compiler is among what
// is built for the Nix, as the set has it.
//
// Key: the digest of the set's files, our expressions but for what only Nix depends on, and the store directory.
// Output: packages, the files in the store; busybox; and what is known of the set.
func setStage() stage {
	return stage{
		name: Toolchain, does: "put the package set into the store",
		inputs: func(r *installation) (any, error) {
			return []any{r.set.NARHash, r.layout.Store, r.digests(r.lock.For(r.arch, lock.Shell))}, nil
		},
		intact: func(ctx context.Context, r *installation, out outputs) bool {
			if !r.haveValid(ctx, Toolchain, out, setAttributes()...) {
				return false
			}
			n, ok := r.anyNix(ctx, Toolchain)
			return !ok && !r.thorough || ok && unaltered(ctx, n, out[ShellAttribute], out[SetAttribute])
		},
		build: (*installation).addSet,
		settle: func(r *installation, _ context.Context, out outputs) error {
			maps.Copy(out, r.set.record())
			return r.root(Toolchain, out, setAttributes()...)
		},
		again: (*installation).builtAgain,
	}
}

// setAttributes are the attributes of what the stage makes: store paths that no derivation makes.
func setAttributes() []string { return []string{ShellAttribute, SetAttribute} }

// Derived reports whether a derivation makes what the package set calls by that attribute.
func Derived(attribute string) bool { return !slices.Contains(setAttributes(), attribute) }

// toolsStage is the stage that makes what the native nix is built from.
func (r *installation) toolsStage() stage {
	if r.set != nil {
		return setStage()
	}
	return toolchainStage()
}

// setPath returns where the files of the set are in the store.
func (r *installation) setPath() (string, error) { return r.set.Store(r.layout.Store) }

func (r *installation) addSet(ctx context.Context) (outputs, error) {
	if err := r.writePackages(ctx, Toolchain); err != nil {
		return nil, err
	}
	path, err := r.setPath()
	if err != nil {
		return nil, err
	}
	host := r.hostNix(Toolchain)
	if err := r.guardSchema(ctx, host, "the host nix"); err != nil {
		return nil, err
	}
	if err := r.addSetAs(ctx, host, path); err != nil {
		return nil, err
	}
	out, err := r.evaluate(ctx, host, ShellAttribute)
	if err != nil {
		return nil, err
	}
	out[SetAttribute] = path
	out["summary"] = r.set.Version
	return out, nil
}

// addSetAs puts the files of the set into the store, unless they are there as they were. Nix takes the word of its
// database for what is there: what has other contents by now is deleted before.
func (r *installation) addSetAs(ctx context.Context, n nixcmd.Nix, path string) error {
	valid := n.Registered(ctx, path)
	if valid && unaltered(ctx, n, path) {
		return nil
	}
	if r.set.Dir == "" {
		return fault.New(fault.Usage, fmt.Errorf("package set %q: it is not in the store any more, or not as it was", r.set.From),
			"`bootstrap upgrade --packages` with the same name puts it there")
	}
	if valid {
		r.emit(event.Warn, Toolchain, "the package set in the store is not what it was; it is added again")
		args := append(append(collector(), "--delete", "--ignore-liveness"), path)
		if _, err := n.Command("nix-store", args...).Output(ctx); err != nil {
			return err
		}
	}
	// The digest is that of the plan: Nix compares.
	expression := fmt.Sprintf(`builtins.path { name = %s; path = %s; sha256 = %s; filter = path: _: path != %s; }`,
		nixString(pkgset.StoreName), nixString(r.set.Dir), nixString(r.set.NARHash), nixString(filepath.Join(r.set.Dir, pkgset.Git)))
	got, err := n.Command("nix", "eval", "--impure", "--raw", "--expr", expression).Output(ctx)
	if err == nil && string(got) != path {
		err = fmt.Errorf("package set %q: Nix has made %q of it, and not %q", r.set.From, got, path)
	}
	return err
}

// nixString writes a string as an expression.
func nixString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", `\${`, "\n", `\n`).Replace(s) + `"`
}

// What the directory of the package set has of a set: where it is, for the expressions; what is known of it, for
// people; and where flakes are looked up, for Nix.
const (
	setSource   = "source.json"
	setPin      = "pin.json"
	setRegistry = "registry.json"
)

// sharedFiles are those of the embedded package set that the other one takes as well.
func sharedFiles() []string { return []string{"busybox.nix", "directories.nix"} }

// setFiles returns the files of the directory of the package set, without the patches.
func (s *Set) files(storePath string) (map[string][]byte, error) {
	files := map[string][]byte{}
	names, err := fs.Glob(templates.Nixpkgs(), "*")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if files[name], err = fs.ReadFile(templates.Nixpkgs(), name); err != nil {
			return nil, err
		}
	}
	for _, name := range sharedFiles() {
		if files[name], err = fs.ReadFile(templates.Packages(), name); err != nil {
			return nil, err
		}
	}
	for name, v := range map[string]any{
		setSource:   map[string]any{"path": storePath, "nix": s.Nix},
		setPin:      s.Pin,
		setRegistry: registryOf(storePath, s.Pin),
	} {
		text, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return nil, err
		}
		files[name] = append(text, '\n')
	}
	return files, nil
}

// registryOf returns a registry of flakes in which nixpkgs is a set in the store.
// https://nix.dev/manual/nix/2.26/command-ref/new-cli/nix3-registry#registry-format
func registryOf(storePath string, p pkgset.Pin) map[string]any {
	to := map[string]any{"type": "path", "path": storePath, "narHash": p.NARHash}
	if p.Rev != "" {
		to["rev"] = p.Rev
	}
	return map[string]any{"version": 2, "flakes": []any{
		map[string]any{"from": map[string]any{"type": "indirect", "id": "nixpkgs"}, "to": to},
	}}
}
