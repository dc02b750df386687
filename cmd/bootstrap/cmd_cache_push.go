package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/bincache"
	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/run"
	"bootstrap/stages"

	"github.com/spf13/cobra"
)

// pushFlags are those of a push.
type pushFlags struct {
	exportFlags
	seedFlags
	secret string
}

func cachePushCommand(m machine) *cobra.Command {
	f := &pushFlags{}
	cmd := &cobra.Command{
		Use:   "push URL --secret-key FILE --prefix DIR [STOREPATH…] [-f FILE [ATTRIBUTE…]] [--nix]",
		Short: "Copy what was built, signed, to a cache or to another machine",
		Long: `push copies store paths and all that they refer to, signed with the key and compressed with zstd:

    file:///directory       to a directory, which a web server or a bucket can serve as it is
    https://host/path       to a web server that takes PUT
    ssh://host              to the store of a prefix in the same directory on another machine

With --nix it pushes the Nix of the prefix and the toolchain it was built with, and the records by
which "bootstrap --prefix DIR --cache URL --key KEY" finds them.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(cmd, errors.New("no cache given"))
			}
			return cachePush(cmd.Context(), m, f, args[0], args[1:])
		},
	}
	s := cmd.Flags()
	f.registerWhat(s)
	s.StringVar(&f.secret, "secret-key", "", "`file` with the secret key, as `cache key new` makes it")
	s.StringVar(&f.caCert, "ca-cert", "", "`file` of certificates to trust besides the system's")
	registerJSON(s, &f.json, "print what was pushed, and events, as JSON")
	return cmd
}

// pushed is what `cache push --json` prints.
type pushed struct {
	Cache     string    `json:"cache"`
	PublicKey string    `json:"public_key"`
	Store     string    `json:"store"`
	Unpacked  int64     `json:"unpacked"` // bytes of the closure
	Paths     []pathRow `json:"paths"`
	Records   []string  `json:"records"` // stages that an installation can take from there
}

func cachePush(ctx context.Context, m machine, f *pushFlags, address string, args []string) error {
	to, err := f.target(ctx, m, address)
	if err != nil {
		return err
	}
	e, err := f.open(ctx, m, args, func(o own) ([]string, error) { return f.tools(o) })
	if err != nil {
		return err
	}
	defer e.Close()
	out := pushed{
		Cache: address, PublicKey: to.key.String(), Store: e.store, Unpacked: e.closure.Bytes(), Paths: []pathRow{}, Records: []string{},
	}
	for _, p := range e.closure.Paths {
		out.Paths = append(out.Paths, pathRow{p.Path, p.NarSize})
	}
	e.view.Emit(event.Event{Time: m.now(), Kind: event.Start, Stage: "push"})
	err = to.push(ctx, e)
	if err == nil && f.nix && to.cache != nil {
		out.Records, err = e.putRecords(ctx, to.cache)
	}
	e.ended("push", err)
	if err != nil {
		return err
	}
	e.Close()
	if f.json {
		return printJSON(m.stdout, out)
	}
	for _, p := range out.Paths {
		fmt.Fprintf(m.stdout, "%10s  %s\n", size(p.Bytes), p.Path)
	}
	fmt.Fprintf(m.stdout, "%d store paths, %s unpacked, are in %s, signed by %s.\n", len(out.Paths), size(out.Unpacked), out.Cache, to.key.Name())
	if len(out.Records) > 0 {
		fmt.Fprintf(m.stdout, "\nTo install from it in %s on another machine:\n\n    bootstrap --prefix %s --cache %s --key %s\n", e.store, quoted(e.store), quoted(out.Cache), quoted(to.key.String()))
	}
	return nil
}

// tools returns what an installation needs of a cache besides the native nix.
func (f *pushFlags) tools(o own) ([]string, error) {
	if !f.nix {
		return nil, nil
	}
	s, built := o.receipt.Stage(stages.Toolchain)
	if !built {
		return nil, fault.New(fault.Unfit, fmt.Errorf("prefix %q: it comes from a bundle, and has no toolchain that could be pushed", o.layout.Store),
			"`bootstrap --prefix` brings the one of the package set")
	}
	if stages.InstalledSet(o.receipt) != nil {
		return nil, fault.New(fault.Unfit, fmt.Errorf("prefix %q: its Nix is one of nixpkgs, and a cache has records of the embedded package set alone", o.layout.Store),
			"push its store path: what is in the cache is taken from it when nixpkgs is built")
	}
	return slices.Sorted(maps.Values(stages.CachedOutputs(stages.Toolchain, s.Outputs))), nil
}

// putRecords says in the cache which store paths the stages of this prefix ended with.
func (e *exporting) putRecords(ctx context.Context, c *bincache.Cache) ([]string, error) {
	var names []string
	for _, name := range []string{stages.Toolchain, stages.Native} {
		s, ok := e.receipt.Stage(name)
		if !ok {
			return nil, fmt.Errorf("receipt: it has no stage %s", name)
		}
		if err := c.PutRecord(ctx, name, s.Key, stages.CachedOutputs(name, s.Outputs)); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// target is where store paths are pushed to.
type target struct {
	address string          // as Nix has it
	secret  string          // file
	key     *bincache.Key   // its public half
	cache   *bincache.Cache // nil for the store of another machine
	env     run.Env         // that ssh needs
	caCert  string          // file of authorities to trust; "" for those of the prefix
}

// target checks where to, and with which key, before anything is built.
func (f *pushFlags) target(ctx context.Context, m machine, address string) (*target, error) {
	if f.secret == "" {
		return nil, fault.New(fault.Usage, errors.New("no key to sign with"), "give --secret-key FILE; `bootstrap cache key new` makes one")
	}
	secret, err := m.absolute("--secret-key", f.secret)
	if err != nil {
		return nil, err
	}
	t := &target{address: address, secret: secret}
	if t.key, err = bincache.ReadSecret(secret); err != nil {
		return nil, err
	}
	o, err := f.own(m)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(address, "ssh://") || strings.HasPrefix(address, "ssh-ng://") {
		return t, t.overSSH(m, o)
	}
	if t.cache, err = o.openCache(ctx, m, &f.seedFlags, address, nil); err != nil {
		return nil, err
	}
	if t.caCert, err = f.certificates(m, o.layout); err != nil {
		return nil, err
	}
	t.address = t.cache.URL + "?" + url.Values{
		"compression": {"zstd"}, "secret-key": {secret}, "want-mass-query": {"true"},
	}.Encode()
	return t, nil
}

// overSSH fills in how Nix reaches the prefix in the same place of another machine: its programs
// are on nobody's PATH there.
func (t *target) overSSH(m machine, o own) error {
	u, err := url.Parse(t.address)
	if err != nil || u.Host == "" {
		return fault.New(fault.Usage, fmt.Errorf("%q: has no host", t.address), "write it as ssh://user@host")
	}
	q := u.Query()
	if q.Get("remote-program") == "" {
		program := map[string]string{"ssh": "nix-store", "ssh-ng": "nix-daemon"}[u.Scheme]
		q.Set("remote-program", filepath.Join(filepath.Dir(nixcmd.Program(o.layout.DefaultProfile())), program))
	}
	u.RawQuery = q.Encode()
	t.address = u.String()
	t.env = run.Env{"PATH": m.getenv("PATH")}
	for _, name := range []string{"SSH_AUTH_SOCK", "NIX_SSHOPTS"} {
		if v := m.getenv(name); v != "" {
			t.env[name] = v
		}
	}
	return nil
}

// push has the prefix's own Nix copy the closure, signed.
func (t *target) push(ctx context.Context, e *exporting) (err error) {
	n := e.nix
	// Nix remembers for weeks what a cache had. One that was emptied since is to be filled again.
	forgetful, err := os.MkdirTemp(e.layout.TmpDir(), "push-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(forgetful)) }()
	n.Env = n.Env.With(t.env).With(run.Env{"NIX_CACHE_HOME": forgetful})
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
		if v := e.m.getenv(name); v != "" {
			n.Env = n.Env.With(run.Env{name: v})
		}
	}
	if t.caCert != "" {
		n.Options = append(n.Options, "--option", "ssl-cert-file", t.caCert)
	}
	paths := []string{}
	for _, p := range e.closure.Paths {
		paths = append(paths, p.Path)
	}
	if t.cache != nil {
		// Of a server that does not take it, Nix would say that it is no cache.
		if err := t.cache.Create(ctx); err != nil {
			return err
		}
	} else {
		// The store at the other end takes signatures as they are.
		if err := n.Command("nix", append([]string{"store", "sign", "--key-file", t.secret}, paths...)...).Run(ctx); err != nil {
			return err
		}
	}
	if err := n.Command("nix", append([]string{"copy", "--to", t.address}, paths...)...).Run(ctx); err != nil {
		return t.failed(ctx, err)
	}
	if t.cache == nil {
		return nil
	}
	return t.sign(ctx, n, e, paths)
}

// sign makes sure that the cache has the signature on all of it: what was there before is left by
// Nix as it was.
func (t *target) sign(ctx context.Context, n nixcmd.Nix, e *exporting, paths []string) error {
	again, err := bincache.Open(ctx, t.cache.Options(t.key))
	if err != nil {
		return err
	}
	var unsigned []string
	for _, p := range paths {
		if _, err := again.Object(ctx, p); fault.KindOf(err) == fault.Verify {
			unsigned = append(unsigned, p)
		} else if err != nil {
			return fault.New(fault.KindOf(err), err, "Nix says that it copied all of it: does the server keep what it is given by PUT?")
		}
	}
	if len(unsigned) == 0 {
		return nil
	}
	e.say(event.Note, fmt.Sprintf("%d store paths were in the cache already, signed by others; they are signed by %s as well", len(unsigned), t.key.Name()))
	if err := n.Command("nix", append([]string{"store", "sign", "--store", t.address, "--key-file", t.secret}, unsigned...)...).Run(ctx); err != nil {
		return t.failed(ctx, err)
	}
	for _, p := range unsigned {
		if _, err := again.Object(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// failed says what to look at where Nix could not copy.
func (t *target) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	text := err.Error()
	var failed *run.Error
	if errors.As(err, &failed) && len(failed.Tail) > 0 {
		text = strings.TrimPrefix(strings.TrimSpace(failed.Tail[len(failed.Tail)-1]), "error: ")
	}
	hint := "the same command goes on: what is there already is not copied again; a web server has to take PUT, docs/CACHE.md has a configuration of nginx that does"
	if t.cache == nil {
		hint = "there has to be a prefix in the same directory on the other machine, and ssh has to reach it without asking"
	} else if t.cache.Directory() != "" {
		hint = "give a directory that you may write to"
	}
	return fault.New(fault.General, fmt.Errorf("push to %q: %s", shownAddress(t.address), text), hint)
}

// shownAddress leaves out the parameters, which name files of this machine.
func shownAddress(address string) string {
	shown, _, _ := strings.Cut(address, "?")
	return shown
}
