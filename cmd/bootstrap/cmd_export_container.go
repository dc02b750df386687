package main

import (
	"context"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"

	"bootstrap/internal/closure"
	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/image"
	"bootstrap/internal/packed"

	"github.com/spf13/cobra"
)

// containerFlags are those of a container image.
type containerFlags struct {
	exportFlags
	entrypoint, env, labels []string
	user, arch, name, dir   string
	withNix                 bool
}

func exportContainerCommand(m machine) *cobra.Command {
	f := &containerFlags{}
	cmd := &cobra.Command{
		Use:   "container -o image.tar --prefix DIR [STOREPATH…] [-f FILE [ATTRIBUTE…]] [--nix] [--with-nix]",
		Short: "Write a container image, from nothing but a closure",
		Long: `container writes an image that podman, skopeo, docker and every registry take: an OCI image layout in
a tarball, which is an archive of "docker load" as well. It is made from scratch: the closure, links
in /bin, /lib, /etc and /share, and nothing else.

With --with-nix the Nix of the prefix is in it, with a database, and works as the user of --user.`,
		RunE: func(cmd *cobra.Command, args []string) error { return exportContainer(cmd.Context(), m, f, args) },
	}
	s := cmd.Flags()
	f.register(s, "the `file` to write, a tarball")
	s.StringArrayVar(&f.entrypoint, "entrypoint", nil, "the `program` to run: its name in bin, or a path in the closure; given again, its arguments (default: the only program there is)")
	s.StringArrayVar(&f.env, "env", nil, "a variable, as `NAME=value`; may be given more than once")
	s.StringArrayVar(&f.labels, "label", nil, "a label, as `key=value`; may be given more than once")
	s.StringVar(&f.user, "user", "", "who runs it, by number: `UID[:GID]` (default: root; 1000:1000 with --with-nix)")
	s.StringVar(&f.dir, "workdir", "", "the `directory` it starts in")
	s.StringVar(&f.arch, "arch", "", "amd64 or arm64, for the `architecture` in the image (default: that of the prefix)")
	s.StringVar(&f.name, "name", "", "what the image is called, as `NAME:TAG` (default: by the first store path)")
	s.BoolVar(&f.withNix, "with-nix", false, "make the Nix of the prefix work in it")
	return cmd
}

// containerExported is what `export container --json` prints.
type containerExported struct {
	exported
	image.Result
	Name         string   `json:"name"`
	Architecture string   `json:"architecture"`
	Entrypoint   []string `json:"entrypoint"`
}

func exportContainer(ctx context.Context, m machine, f *containerFlags, args []string) error {
	owner, err := f.owner()
	if err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	var more func(own) ([]string, error)
	if f.withNix {
		more = own.forNix
		f.nix = f.nix || len(args) == 0 && f.file == ""
	}
	e, err := f.start(ctx, m, args, more)
	if err != nil {
		return err
	}
	defer e.Close()
	o := image.Options{
		Closure: e.closure, Root: e.root, User: f.user, WorkingDir: f.dir, Env: f.env,
		Labels: pairs(f.labels), Name: f.imageName(e.wanted[0]),
	}
	if o.Architecture, err = f.architecture(e); err != nil {
		return err
	}
	if o.Entrypoint, err = f.entry(e); err != nil {
		return err
	}
	if o.Files, err = image.Links(e.closure, e.root, e.wanted); err != nil {
		return err
	}
	var made image.Result
	out, err := e.produce(ctx, func(w io.Writer, scratch string, done func(int64)) (err error) {
		o.Done, o.Scratch = done, scratch
		if f.withNix {
			if err := e.withNix(ctx, &o, owner, scratch); err != nil {
				return err
			}
		}
		made, err = image.Write(ctx, w, o)
		return err
	}, nil)
	if err != nil {
		return err
	}
	if len(o.Entrypoint) == 0 {
		text := "the image has no entrypoint: say what to run when you run it, or give --entrypoint"
		out.Warnings = append(out.Warnings, text)
		e.say(event.Warn, text)
	}
	e.Close()
	if f.json {
		return printJSON(m.stdout, containerExported{out, made, o.Name, o.Architecture, append([]string{}, o.Entrypoint...)})
	}
	printExported(m.stdout, out)
	fmt.Fprintf(m.stdout, "image %s\n%s, linux/%s, %d layers\n", o.Name, made.Digest, o.Architecture, made.Layers)
	return nil
}

var userNumbers = regexp.MustCompile(`^([0-9]{1,9})(?::([0-9]{1,9}))?$`)

// owner returns whom the files belong to with --with-nix, and completes --user.
func (f *containerFlags) owner() (packed.Owner, error) {
	if f.user == "" && f.withNix {
		f.user = "1000:1000"
	}
	if f.user == "" {
		return packed.Owner{}, nil
	}
	n := userNumbers.FindStringSubmatch(f.user)
	if n == nil {
		return packed.Owner{}, fault.New(fault.Usage, fmt.Errorf("--user %q: is not a number", f.user),
			"give numbers, as in 1000 or 1000:1000: an image from scratch has no names")
	}
	uid, err := strconv.Atoi(n[1])
	if err != nil {
		return packed.Owner{}, err
	}
	if n[2] == "" {
		n[2] = n[1]
	}
	gid, err := strconv.Atoi(n[2])
	return packed.Owner{UID: uid, GID: gid}, err
}

// imageNames are those that engines take without a registry: https://pkg.go.dev/github.com/distribution/reference
var imageNames = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)

func (f *containerFlags) check() error {
	for flag, list := range map[string][]string{"--env": f.env, "--label": f.labels} {
		for _, pair := range list {
			if name, _, ok := strings.Cut(pair, "="); !ok || name == "" {
				return fault.New(fault.Usage, fmt.Errorf("%s %q: has no name and value", flag, pair), "give NAME=value")
			}
		}
	}
	switch {
	case f.name != "" && !imageNames.MatchString(f.name):
		return fault.New(fault.Usage, fmt.Errorf("--name %q: is not the name of an image", f.name), "give NAME:TAG, in lower case, as in hello:1")
	case f.arch != "" && f.arch != "amd64" && f.arch != "arm64":
		return fault.New(fault.Usage, fmt.Errorf("--arch %q: is not known", f.arch), "give amd64 or arm64, or leave it out")
	case f.dir != "" && !path.IsAbs(f.dir):
		return fault.New(fault.Usage, fmt.Errorf("--workdir %q: is not absolute", f.dir), "give a path in the image that begins with a slash")
	}
	return nil
}

func pairs(list []string) map[string]string {
	out := map[string]string{}
	for _, pair := range list {
		key, value, _ := strings.Cut(pair, "=")
		out[key] = value
	}
	return out
}

// imageName returns the name of the image: of a store path, its name, and its digest for a tag.
func (f *containerFlags) imageName(storePath string) string {
	if f.name != "" {
		return f.name
	}
	name := strings.ToLower(closure.Name(storePath))
	digest, _, _ := strings.Cut(path.Base(storePath), "-")
	if full := name + ":" + digest; imageNames.MatchString(full) {
		return full
	}
	return "closure:" + digest
}
