package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"bootstrap/internal/closure"
	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/nixlog"
	"bootstrap/internal/probe"
	"bootstrap/internal/substitute"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// buildFlags are those of a build.
type buildFlags struct {
	prefixFlags
	relocateFlags
	file, link              string
	noLink                  bool
	dryRun, verbose, inJSON bool
}

func buildCommand(m machine) *cobra.Command {
	f := &buildFlags{}
	cmd := &cobra.Command{
		Use:   "build --prefix DIR -f FILE [ATTRIBUTE…] --from URL --key KEY",
		Short: "Build with a cache of another store directory, relocated",
		Long: `build evaluates attributes of a file with the Nix of the prefix, asks a binary cache of another store
directory, /nix/store say, for what is needed, rewrites for the prefix what it has, and lets Nix build
the rest. It says beforehand how much is which. Nothing of it stays in the configuration of the prefix.

` + "`bootstrap cache relocate --help`" + ` says how paths are checked.`,
		RunE: func(cmd *cobra.Command, args []string) error { return build(cmd.Context(), m, f, args) },
	}
	s := cmd.Flags()
	f.prefixFlags.register(s)
	f.relocateFlags.register(s)
	s.StringVarP(&f.file, "file", "f", "", "`file` of Nix expressions; the arguments are attributes of it")
	s.StringVarP(&f.link, "out-link", "o", "result", "`link` to make to what was built, which keeps it")
	s.BoolVar(&f.noLink, "no-link", false, "make none")
	s.BoolVar(&f.dryRun, "dry-run", false, "print what would be done, and fetch and build nothing")
	s.BoolVarP(&f.verbose, "verbose", "v", false, "show the output of builds")
	registerJSON(s, &f.inJSON, "print what was built and from what, and events, as JSON")
	return cmd
}

// built is what `build --json` prints.
type built struct {
	Paths     []string     `json:"paths"`     // the outputs that were asked for; none with --dry-run
	Relocated []pathRow    `json:"relocated"` // taken from the other cache
	Sources   []string     `json:"sources"`   // fixed by their hash: Nix itself fetched them
	Built     []string     `json:"built"`     // derivations
	Refused   []refusedRow `json:"refused"`   // what the other cache has and was not taken
	Key       string       `json:"key"`       // that signed what was relocated
}

type refusedRow struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

func build(ctx context.Context, m machine, f *buildFlags, attributes []string) (err error) {
	if f.file == "" {
		return fault.New(fault.Usage, errors.New("no file given"), "say what to build: -f FILE ATTRIBUTE")
	}
	if f.file, err = m.absolute("--file", f.file); err != nil {
		return err
	}
	if _, err := os.Stat(f.file); err != nil {
		return fault.New(fault.Usage, fmt.Errorf("--file: %w", err), "give the path of a file of Nix expressions, or a directory with a default.nix")
	}
	if f.link, err = m.absolute("--out-link", f.link); err != nil {
		return err
	}
	o, err := f.own(m)
	if err != nil {
		return err
	}
	v := newView(m, viewOptions{json: f.inJSON, verbose: f.verbose})
	defer v.Close()
	r, err := f.open(ctx, m, o, v)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	l, address, err := m.listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	server := substitute.Serve(l, r.Handler(ctx), m.now)
	defer func() { err = errors.Join(err, server.Close()) }()
	o.nix.Options = append(o.nix.Options, r.options(address)...)
	b := &building{own: o, m: m, flags: f, r: r, view: v, without: map[string]bool{}}
	return b.run(ctx, attributes)
}

// building is one build.
type building struct {
	own
	m       machine
	flags   *buildFlags
	r       *relocating
	view    *view
	without map[string]bool // paths that are not taken from the other cache
}

func (b *building) run(ctx context.Context, attributes []string) error {
	wants, err := b.instantiate(ctx, attributes)
	if err != nil {
		return err
	}
	plan, err := b.plan(ctx, wants)
	if err != nil {
		return err
	}
	if b.flags.dryRun {
		return b.print(plan, nil)
	}
	b.say(event.Note, sentence(plan))
	if plan, err = b.relocate(ctx, wants, plan); err != nil {
		return err
	}
	c := b.closures()
	b.view.Emit(event.Event{Time: b.m.now(), Kind: event.Start, Stage: "build"})
	c.OnLine = nixlog.NewTracker(nixlog.Options{Sink: b.view, Stage: "build", Now: b.m.now}).Line
	paths, err := c.Build(ctx, b.flags.file, attributes)
	ended(b.m, b.view, "build", err)
	if err != nil {
		return err
	}
	if !b.flags.noLink {
		if _, err := b.nix.Command("nix-store", append([]string{"--add-root", b.flags.link, "--realise"}, paths...)...).Output(ctx); err != nil {
			return err
		}
	}
	return b.print(plan, paths)
}

func (b *building) say(kind event.Kind, text string) {
	b.view.Emit(event.Event{Time: b.m.now(), Kind: kind, Stage: relocateStage, Text: text})
}

// instantiate evaluates the file, and returns the derivations.
func (b *building) instantiate(ctx context.Context, attributes []string) (wants []substitute.Want, err error) {
	args := []string{b.flags.file}
	for _, a := range attributes {
		args = append(args, "--attr", a)
	}
	out, err := b.nix.Command("nix-instantiate", args...).Output(ctx)
	if err != nil {
		return nil, err
	}
	for _, line := range strings.Fields(string(out)) {
		path, output, has := strings.Cut(line, "!")
		if name, ok := strings.CutPrefix(path, b.store+"/"); !ok || closure.CheckBase(name) != nil || !strings.HasSuffix(name, ".drv") {
			return nil, fmt.Errorf("nix-instantiate: %q is no derivation of this store", line)
		}
		w := substitute.Want{Derivation: path}
		if has {
			w.Outputs = []string{output}
		}
		wants = append(wants, w)
	}
	if len(wants) == 0 {
		return nil, fault.New(fault.Usage, fmt.Errorf("%q: nothing in it is a derivation", b.flags.file), "name an attribute of the file that is one")
	}
	return wants, nil
}

func (b *building) plan(ctx context.Context, wants []substitute.Want) (*substitute.Plan, error) {
	return b.r.Plan(ctx, substitute.PlanOptions{Wants: wants, Invalid: b.nix.Invalid, Without: b.without})
}

// sentence says what a plan comes to.
func sentence(p *substitute.Plan) string {
	return fmt.Sprintf("%d from upstream relocated, %s; %d sources; %d to build", len(p.Relocated), probe.Size(p.Bytes()), len(p.Sources), len(p.Build))
}

// relocate makes ready what the plan has, before Nix asks for it. What turns out not to be had changes the plan, and that
// is said. More than is kept is left to be made when Nix asks for it.
func (b *building) relocate(ctx context.Context, wants []substitute.Want, plan *substitute.Plan) (*substitute.Plan, error) {
	ready := map[string]bool{}
	done := b.meter(plan)
	for {
		if plan.Bytes() > b.r.limit {
			b.say(event.Note, fmt.Sprintf("%s are more than --cache-size keeps: each path is relocated when Nix asks for it", probe.Size(plan.Bytes())))
			return plan, nil
		}
		failed, err := b.ready(ctx, plan, ready, done)
		if err != nil || !failed {
			ended(b.m, b.view, relocateStage, err)
			return plan, err
		}
		if plan, err = b.plan(ctx, wants); err != nil {
			return nil, err
		}
		b.say(event.Note, "without what is not offered: "+sentence(plan))
	}
}

func (b *building) meter(plan *substitute.Plan) func(int64) {
	return meter(b.m, b.view, relocateStage, plan.Bytes())
}

// ready has all paths of a plan relocated, and reports whether any of them is not to be had.
func (b *building) ready(ctx context.Context, plan *substitute.Plan, ready map[string]bool, done func(int64)) (failed bool, err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readyAtOnce)
	for _, item := range plan.Relocated {
		b.r.mu.Lock()
		known := ready[item.Path] // which those at work write to
		b.r.mu.Unlock()
		if known {
			continue
		}
		group.Go(func() error {
			err := b.r.Offer(ctx, item.Path)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			b.r.mu.Lock()
			defer b.r.mu.Unlock()
			if err != nil {
				failed = true
				b.without[item.Path] = true
				return nil
			}
			ready[item.Path] = true
			done(item.Size)
			return nil
		})
	}
	err = group.Wait()
	return failed, err
}

// readyAtOnce is how many paths are asked for at a time. Fewer are relocated at a time; the others are being fetched.
const readyAtOnce = 4

// print says what was done, or with --dry-run would be.
func (b *building) print(plan *substitute.Plan, paths []string) error {
	if err := b.view.Close(); err != nil {
		return err
	}
	if b.flags.inJSON {
		return printJSON(b.m.stdout, b.report(plan, paths))
	}
	if !b.flags.dryRun {
		for _, p := range paths {
			fmt.Fprintln(b.m.stdout, p)
		}
		return nil
	}
	for _, i := range plan.Relocated {
		fmt.Fprintf(b.m.stdout, "relocate  %s  %s\n", i.Path, probe.Size(i.Size))
	}
	for _, p := range plan.Sources {
		fmt.Fprintf(b.m.stdout, "source    %s\n", p)
	}
	for _, p := range plan.Build {
		fmt.Fprintf(b.m.stdout, "build     %s\n", p)
	}
	_, err := fmt.Fprintln(b.m.stdout, sentence(plan))
	return err
}

func (b *building) report(plan *substitute.Plan, paths []string) built {
	out := built{
		Paths: append([]string{}, paths...), Relocated: []pathRow{}, Sources: append([]string{}, plan.Sources...),
		Built: append([]string{}, plan.Build...), Refused: []refusedRow{}, Key: b.r.key.PublicKey().String(),
	}
	for _, i := range plan.Relocated {
		out.Relocated = append(out.Relocated, pathRow{i.Path, i.Size})
	}
	b.r.mu.Lock()
	defer b.r.mu.Unlock()
	for _, p := range b.r.order {
		out.Refused = append(out.Refused, refusedRow{p, b.r.refused[p]})
	}
	return out
}
