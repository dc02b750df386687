package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"bootstrap/internal/builders"
	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/prompt"
	"bootstrap/internal/receipt"
	"bootstrap/internal/sshcmd"

	"github.com/spf13/cobra"
)

// builderFlags are those of a machine that is added.
type builderFlags struct {
	prefixFlags
	hostKey, identity, program   string
	systems, features, mandatory []string
	jobs                         int
	speed                        float64
	yes, json                    bool
}

func buildersAddCommand(m machine) *cobra.Command {
	f := &builderFlags{}
	cmd := &cobra.Command{
		Use:   "add ssh-ng://[USER@]HOST --prefix DIR",
		Short: "Let another machine build for the prefix",
		Long: `add writes a machine into the prefix's list of builders, once it was seen that it can build: that ssh
gets there without a password, that its host key is the one you say, and that its Nix has the same
store directory. Run again for the same machine, it replaces the entry; the host key stays the same.

The host key is asked about, or given with --host-key. Where neither is possible, --yes takes the one
that the host shows.`,
		Args: oneBuilder,
		RunE: func(cmd *cobra.Command, args []string) error { return addBuilder(cmd.Context(), m, f, args[0]) },
	}
	s := cmd.Flags()
	f.register(s)
	s.StringVar(&f.hostKey, "host-key", "", "the `key` that the host must have: SHA256:…, or the text of a file ssh_host_*_key.pub there")
	s.StringVar(&f.identity, "identity", "", "`file` of the private key that ssh is to use (default: what it finds)")
	s.StringVar(&f.program, "remote-program", "", "`path` of the nix-daemon there (default: that of the same prefix)")
	s.StringSliceVar(&f.systems, "systems", nil, "`list` of systems that it builds for (default: its own)")
	s.StringSliceVar(&f.features, "features", nil, "`list` of features that derivations may ask for and it has, such as big-parallel")
	s.StringSliceVar(&f.mandatory, "mandatory-features", nil, "`list` of features that it has, and without which it builds nothing")
	s.IntVar(&f.jobs, "max-jobs", 1, "`number` of builds at a time")
	s.Float64Var(&f.speed, "speed", 1, "`factor` by which it is preferred to other builders")
	s.BoolVarP(&f.yes, "yes", "y", false, "do not ask: take the host key that the host shows")
	registerJSON(s, &f.json, "print the builder as JSON")
	return cmd
}

// added is what `builders add --json` prints.
type added struct {
	builder
	Changed bool           `json:"changed"` // false if it was like that already
	Found   builders.Found `json:"found"`
}

func addBuilder(ctx context.Context, m machine, f *builderFlags, url string) (err error) {
	mc, err := f.machine(m, url)
	if err != nil {
		return err
	}
	ssh, err := m.ssh()
	if err != nil {
		return err
	}
	o, err := f.own(m)
	if err != nil {
		return err
	}
	held, err := o.lock(ctx, m, "builders add")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Release()) }()
	if err := builders.Named(o.layout); err != nil {
		return err
	}
	all, err := builders.Load(o.layout)
	if err != nil {
		return err
	}
	if mc.Program == "" {
		mc.Program = filepath.Join(o.layout.DefaultProfile(), "bin", "nix-daemon")
	}
	if err := f.introduce(ctx, m, ssh, o, &mc, all); err != nil {
		return err
	}
	a := added{}
	if a.Found, err = mc.Ask(ctx, ssh, o.layout, o.store); err != nil {
		return err
	}
	if len(mc.Systems) == 0 {
		mc.Systems = []string{a.Found.System}
	}
	if err := mc.Connect(ctx, m.overSSH(o.nix, ssh)); err != nil {
		return err
	}
	i := builders.Find(all, mc.URL())
	a.Changed = i < 0 || !reflect.DeepEqual(all[i], mc)
	if i >= 0 {
		all[i] = mc
	} else {
		all = append(all, mc)
	}
	if err := o.saveBuilders(m, all); err != nil {
		return err
	}
	a.builder = builderOf(mc)
	if f.json {
		return printJSON(m.stdout, a)
	}
	what := "builds in"
	if !a.Changed {
		what = "already builds in"
	}
	fmt.Fprintf(m.stdout, "%s, with Nix %s, %s %s.\n", mc.URL(), a.Found.Nix, what, a.Found.Store)
	printBuilder(m.stdout, mc)
	return nil
}

// machine makes a machine of the flags, without what has to be asked of it.
func (f *builderFlags) machine(m machine, url string) (mc builders.Machine, err error) {
	if mc.Host, err = builders.ParseURL(url); err != nil {
		return mc, fault.New(fault.Usage, fmt.Errorf("builder %q: %w", url, err),
			"give ssh-ng://HOST; for a port, give HOST a section of its own in ~/.ssh/config, with HostName and Port")
	}
	if f.identity != "" {
		if mc.Identity, err = m.absolute("--identity", f.identity); err != nil {
			return mc, err
		}
		if err := builders.IdentityUsable(mc.Identity); err != nil {
			return mc, fault.New(fault.Usage, fmt.Errorf("--identity %q: %w", f.identity, err), "give the file of a private key that is yours alone")
		}
	}
	mc.Program, mc.Jobs, mc.Speed = f.program, f.jobs, f.speed
	mc.Systems, mc.Features, mc.Mandatory = slices.Clone(f.systems), orEmpty(f.features), orEmpty(f.mandatory)
	if err := mc.Check(); err != nil {
		return mc, fault.New(fault.Usage, fmt.Errorf("builder %q: %w", url, err), "`bootstrap builders add --help` lists what there is")
	}
	return mc, nil
}

func orEmpty(words []string) []string {
	if words == nil {
		return []string{}
	}
	return words
}

// introduce finds out the host key, and whether it is to be believed.
func (f *builderFlags) introduce(ctx context.Context, m machine, ssh sshcmd.Client, o own, mc *builders.Machine, all []builders.Machine) error {
	known, key, err := mc.Introduce(ctx, ssh, o.layout)
	if err != nil {
		return err
	}
	mc.KnownAs, mc.Key = known, key
	shown := key.Type + " " + key.Fingerprint()
	differs := func(from, want, hint string) error {
		return fault.New(fault.Verify, fmt.Errorf("builder %q: its host key is %s, and not %s, %s", mc.URL(), shown, want, from), hint)
	}
	if i := builders.Find(all, mc.URL()); i >= 0 {
		if !all[i].Key.Equal(key) {
			return differs("as it was added", all[i].Key.Type+" "+all[i].Key.Fingerprint(),
				"if the host was set up anew, and you know its new key: bootstrap builders remove "+mc.URL()+", then add it again; else somebody may be in between")
		}
		if f.hostKey == "" {
			return nil
		}
	}
	if f.hostKey != "" {
		if want, err := sshcmd.ParseKey(f.hostKey); err == nil && want.Equal(key) || f.hostKey == key.Fingerprint() {
			return nil
		}
		return differs("as --host-key says", f.hostKey, "run there: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub; if that differs from what is seen from here, somebody may be in between")
	}
	if f.yes {
		return nil
	}
	return f.confirm(ctx, m, *mc, shown)
}

func (f *builderFlags) confirm(ctx context.Context, m machine, mc builders.Machine, shown string) error {
	hint := "--host-key " + mc.Key.Fingerprint() + " says that it is this one, if you know that it is; --yes takes whichever the host shows"
	if f.json {
		return fault.New(fault.Usage, fmt.Errorf("builder %q: nobody has said that its host key is %s", mc.URL(), shown), hint)
	}
	terminal, close, err := m.questioner()
	if err != nil {
		return fault.New(fault.Usage, fmt.Errorf("builder %q: nobody has said that its host key is %s", mc.URL(), shown), hint)
	}
	defer close()
	fmt.Fprintf(m.stderr, "%s shows the host key\n\n  %s\n\nOn that host, ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub prints it, or another file of the kind.\n\n", mc.URL(), shown)
	yes, err := prompt.Confirm(ctx, prompt.Options{
		Label: "Is that its key?", Default: "no", In: terminal, Out: terminal,
		ASCII: !m.utf8(), Dumb: m.getenv("TERM") == "dumb",
	})
	if err == nil && !yes {
		err = fault.New(fault.Interrupted, errors.New("no builder was added, as you wished"), "")
	}
	return err
}

// saveBuilders writes the list. Files that are new are recorded before they are made, in the journal
// and in the receipt, so that uninstalling knows of them; what others have put there is left.
func (o own) saveBuilders(m machine, all []builders.Machine) error {
	known := map[string]bool{}
	for _, made := range o.receipt.Made {
		known[made.Path] = true
	}
	var fresh []receipt.Made
	for _, file := range builders.Files(o.layout) {
		if known[file] {
			continue
		}
		if _, err := os.Lstat(file); err == nil {
			ours, err := os.ReadFile(file)
			if err != nil || !strings.Contains(string(ours), builders.Mark) {
				return fault.New(fault.Unfit, fmt.Errorf("file %q: it was there before, and is not ours", file), "move it away")
			}
		}
		if err := o.record(m, journal.Record{Event: journal.Create, Kind: journal.File, Path: file}); err != nil {
			return err
		}
		fresh = append(fresh, receipt.Made{Kind: string(journal.File), Path: file})
	}
	if len(fresh) > 0 {
		o.receipt.Made, o.receipt.Updated = append(o.receipt.Made, fresh...), m.now().UTC().Truncate(1e9)
		if err := receipt.Write(o.layout.Receipt(), *o.receipt); err != nil {
			return err
		}
	}
	return builders.Save(o.layout, all)
}
