package main

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"bootstrap/internal/closure"
	"bootstrap/internal/fault"
	"bootstrap/internal/image"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/nixconf"
	"bootstrap/internal/packed"
	"bootstrap/internal/tree"
	"bootstrap/stages"
)

// binNames returns the names of the programs in bin of a store path, given by its name.
func binNames(root *os.Root, base string) ([]string, error) {
	dir := path.Join(base, "bin")
	if n, err := tree.Look(root, dir); err != nil || n.Kind != tree.Directory {
		return nil, nil
	}
	return tree.Names(root, dir)
}

// entry returns what is run, by an absolute path.
func (f *containerFlags) entry(e *exporting) ([]string, error) {
	if len(f.entrypoint) == 0 {
		names, err := e.programs()
		if err != nil || len(names) != 1 {
			return nil, err
		}
		return []string{"/bin/" + names[0]}, nil
	}
	at, err := e.program("--entrypoint", f.entrypoint[0])
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(f.entrypoint[0], e.store+"/") {
		at = "/bin/" + path.Base(at)
	}
	return append([]string{at}, f.entrypoint[1:]...), nil
}

// machines are what ELF files say of the architectures there are.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// architecture returns what the image is for. Programs of another architecture are refused: the
// image would be started there, and nothing would run.
func (f *containerFlags) architecture(e *exporting) (string, error) {
	arch := f.arch
	if arch == "" {
		arch = e.receipt.Host.Architecture
	}
	for _, p := range e.wanted {
		names, err := binNames(e.root, path.Base(p))
		if err != nil {
			return "", err
		}
		for _, name := range names {
			at := path.Join(path.Base(p), "bin", name)
			n, err := e.closure.Resolve(e.root, at)
			if err != nil || n.Kind != tree.File {
				continue
			}
			if is, known := elfMachine(e.root, n.Name); known && is != machines[arch] {
				return "", fault.New(fault.Usage, fmt.Errorf("--arch %s: %s is a program for %s", arch, path.Join(e.store, at), is),
					"leave --arch out, or export what was built for it")
			}
		}
	}
	return arch, nil
}

// elfMachine returns what an ELF file is for; known is false if it is no such file.
func elfMachine(root *os.Root, name string) (m elf.Machine, known bool) {
	file, err := root.Open(name)
	if err != nil {
		return 0, false
	}
	defer file.Close()
	parsed, err := elf.NewFile(file)
	if err != nil {
		return 0, false
	}
	return parsed.Machine, true
}

// forNix returns the store paths that the Nix in an image needs besides what was named.
func (o own) forNix() ([]string, error) {
	native, err := o.native()
	if err != nil {
		return nil, err
	}
	paths := []string{native}
	toolchain, _ := o.receipt.Stage(stages.Toolchain)
	for _, name := range []string{"busybox", "cacert"} {
		if toolchain.Outputs[name] == "" {
			return nil, fmt.Errorf("receipt of %q: the toolchain has no output %q", o.layout.Store, name)
		}
		paths = append(paths, toolchain.Outputs[name])
	}
	return paths, nil
}

// withNix adds to an image what makes its Nix work.
func (e *exporting) withNix(ctx context.Context, o *image.Options, owner packed.Owner, scratch string) error {
	paths, err := e.forNix()
	if err != nil {
		return err
	}
	native, busybox, cacert := paths[0], paths[1], paths[2]
	system := image.System{
		Layout: e.layout, Store: e.store, Owner: owner, Keep: unique(append(append([]string(nil), e.wanted...), paths...)),
		Bundle: path.Join(cacert, "etc/ssl/certs/ca-bundle.crt"),
	}
	if system.Database, system.Schema, err = e.database(ctx, scratch); err != nil {
		return err
	}
	// What this host can do says nothing of where the image is run.
	if system.Conf, err = nixconf.Render(nixconf.Options{
		Layout:             e.layout,
		SandboxReason:      "a container has no namespaces to make one of, as a rule",
		FilterReason:       "the container may have a filter of its own",
		SubstitutersReason: "the image was made to build by itself",
		LocalReason:        "there is no other in the image",
	}); err != nil {
		return err
	}
	links, err := image.Links(e.closure, e.root, unique(append(append([]string(nil), e.wanted...), native)), busybox)
	if err != nil {
		return err
	}
	o.Owner = owner
	o.Files = image.Merge(links, system.Files())
	home, name := system.Home()
	env := []string{"HOME=" + home, "LOGNAME=" + name, "PATH=/bin", "USER=" + name}
	for _, v := range o.Env {
		env = setVariable(env, v)
	}
	o.Env = env
	if o.WorkingDir == "" {
		o.WorkingDir = home
	}
	return nil
}

// setVariable sets a variable in a list of them.
func setVariable(env []string, pair string) []string {
	name, _, _ := strings.Cut(pair, "=")
	for i, v := range env {
		if strings.HasPrefix(v, name+"=") {
			env[i] = pair
			return env
		}
	}
	return append(env, pair)
}

func unique(list []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

// database has Nix make a database in which the closure is registered, and nothing else.
func (e *exporting) database(ctx context.Context, scratch string) (database, schema []byte, err error) {
	dir, err := os.MkdirTemp(scratch, "state-")
	if err != nil {
		return nil, nil, err
	}
	load := e.nix.Command("nix-store", "--store", nixcmd.StoreURI(e.store, e.layout.Store, dir, filepath.Join(dir, "log")),
		// One file then, complete when Nix has ended.
		"--option", "use-sqlite-wal", "false", "--load-db")
	load.Stdin = bytes.NewReader(closure.Registration(e.closure.Paths))
	from := e.m.now()
	if _, err := load.Output(ctx); err != nil {
		return nil, nil, err
	}
	to := e.m.now()
	if database, err = os.ReadFile(filepath.Join(dir, "db", "db.sqlite")); err != nil {
		return nil, nil, err
	}
	if schema, err = os.ReadFile(filepath.Join(dir, "db", "schema")); err != nil {
		return nil, nil, err
	}
	return database, schema, image.Timeless(database, len(e.closure.Paths), from, to)
}
