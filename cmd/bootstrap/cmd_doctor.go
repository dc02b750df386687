package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"bootstrap/internal/doctor"
	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/prefix"
	"bootstrap/stages"

	"github.com/spf13/cobra"
)

// report is what `doctor --json` prints.
type report struct {
	Layout   prefix.Layout  `json:"layout"`
	Checks   []doctor.Check `json:"checks"`
	OK       int            `json:"ok"`
	Warnings int            `json:"warnings"`
	Refused  int            `json:"refused"`
}

func doctorCommand(m machine) *cobra.Command {
	f := &planFlags{}
	cmd := &cobra.Command{
		Use:   "doctor [--prefix DIR]",
		Short: "Examine this host, and whether a prefix can work there",
		Long: `doctor examines this host, and the place for a prefix, and says of each thing what was found,
whether an installation can work with it, and if not without a drawback, why and what to do.
It ends with exit code 3 if something refuses.

It writes: in the nearest directory that exists on the way to the prefix, and in that for temporary
files, it makes a hidden directory, and removes it again. It starts your shell as a login does, and
asks the mirror for an index. ` + "`bootstrap plan`" + ` makes those of the checks that do nothing of this.

Without --prefix it takes $HOME/opt/store.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return showDoctor(cmd.Context(), m, f)
		},
	}
	f.register(cmd.Flags(), "print the checks as JSON")
	return cmd
}

func showDoctor(ctx context.Context, m machine, f *planFlags) error {
	if home := m.getenv("HOME"); f.prefix == "" && filepath.IsAbs(home) {
		f.prefix = filepath.Join(home, "opt", "store")
	}
	var checks []doctor.Check
	if _, err := m.cacheDir(f.cacheDir); err != nil {
		checks = append(checks, doctor.Check{
			Name: "downloads", Found: err.Error(), Verdict: doctor.Refused,
			Why: "what is downloaded is kept, for the next run", Remedy: fault.HintOf(err),
		})
		f.cacheDir = f.prefix // it is only looked at
	}
	o, err := f.options(ctx, m)
	if err != nil {
		return err
	}
	state := generationsChecks(o)
	more, err := examine(ctx, m, f, o)
	switch {
	case err == nil:
		checks = append(checks, more...)
	case doctor.Count(state, doctor.Refused) == 0: // else no plan can be made, and it says why
		return err
	}
	r := report{Layout: o.Layout, Checks: append(checks, state...)}
	r.OK = doctor.Count(r.Checks, doctor.OK)
	r.Warnings, r.Refused = doctor.Count(r.Checks, doctor.Warning), doctor.Count(r.Checks, doctor.Refused)
	if f.json {
		if err := printJSON(m.stdout, r); err != nil {
			return err
		}
	} else {
		printExamination(m.stdout, r)
	}
	if r.Refused > 0 {
		return fault.New(fault.Unfit, fmt.Errorf("prefix %q: %d of %d checks refuse it", o.Layout.Store, r.Refused, len(r.Checks)),
			"each of them says what to do")
	}
	return nil
}

// unasked stands for a mirror while the plan is made: what the user names is not asked anything.
const unasked = "http://localhost"

// examine makes all checks.
func examine(ctx context.Context, m machine, f *planFlags, o stages.Options) ([]doctor.Check, error) {
	plan := o
	if plan.Mirror == "" {
		plan.Mirror = unasked
	}
	// Of what is complete the plain command makes nothing else, and says so instead of a plan.
	plan.Upgrade = plan.Upgrade || complete(o)
	p, err := stages.Make(ctx, plan)
	if err != nil {
		return nil, err
	}
	d := examination(m, f, p)
	checks := doctor.Look(ctx, d)
	checks = append(checks, doctor.Login(ctx, d))
	checks = append(checks, doctor.Try(ctx, d)...)
	asked := p.MirrorOptions()
	asked.Flag = o.Mirror
	checks = append(checks, doctor.Ask(ctx, doctor.Request{
		Mirror: asked, Needed: p.FetchFiles > 0, Now: m.now, Getenv: m.getenv,
	})...)
	return checks, ctx.Err()
}

// examination returns what the doctor is told of a plan.
func examination(m machine, f *planFlags, p *stages.Plan) doctor.Options {
	d := doctor.Options{
		Layout: p.Layout, Below: p.Below(), Facts: p.Facts, Need: p.Need(), Asked: f.jobs > 0, Groups: f.trusted,
		Getenv: m.getenv, Now: m.now, Root: m.root,
	}
	if !p.Complete() {
		d.Jobs = p.Jobs()
	}
	if m.program != "" {
		d.Self = []string{m.program, tryVerb}
	}
	return d
}

// consent has an installation confirmed, after the checks that write nothing and before those that
// do: they are the first to write anything.
func consent(ctx context.Context, m machine, f *installFlags, p *stages.Plan, sink event.Sink) error {
	d := examination(m, &f.planFlags, p)
	looked := doctor.Look(ctx, d)
	if err := doctor.Err(looked); err != nil {
		return err
	}
	if err := confirm(ctx, m, f, p, looked); err != nil {
		return err
	}
	tried := doctor.Try(ctx, d)
	if err := ctx.Err(); err != nil {
		return fault.New(fault.Interrupted, errors.New("interrupted before anything was written"), "run the same command again")
	}
	if err := doctor.Err(tried); err != nil {
		return err
	}
	if f.json { // else they stood below the plan
		tried = append(looked, tried...)
	}
	for _, c := range tried {
		if c.Verdict == doctor.Warning {
			sink.Emit(event.Event{Time: m.now(), Kind: event.Warn, Text: c.Name + ": " + c.Found})
		}
	}
	return nil
}

// printWarnings names the warnings, below a plan.
func printWarnings(w io.Writer, checks []doctor.Check) {
	n := 0
	for _, c := range checks {
		if c.Verdict == doctor.Warning {
			fmt.Fprintf(w, "  %-14s %s: %s\n", "warning", c.Name, c.Found)
			n++
		}
	}
	if n > 0 {
		fmt.Fprint(w, "  (`bootstrap doctor` with the same flags says why, and what to do)\n\n")
	}
}

// printExamination prints a line for each check, and more where there is something to say.
func printExamination(w io.Writer, r report) {
	width := 0
	for _, c := range r.Checks {
		width = max(width, len(c.Name))
	}
	fmt.Fprintf(w, "\n%-8s %-*s %s\n\n", "prefix", width, "", r.Layout.Store)
	for _, c := range r.Checks {
		fmt.Fprintf(w, "%-8s %-*s %s\n", c.Verdict, width, c.Name, c.Found)
		if c.Verdict != doctor.OK {
			fmt.Fprintf(w, "%-*s why: %s\n", width+9, "", c.Why)
			fmt.Fprintf(w, "%-*s do:  %s\n", width+9, "", c.Remedy)
		}
	}
	warnings := "warnings"
	if r.Warnings == 1 {
		warnings = "warning"
	}
	fmt.Fprintf(w, "\n%d ok, %d %s, %d refused\n", r.OK, r.Warnings, warnings, r.Refused)
}

// tryVerb is what the doctor runs this program with, to try what takes another process.
const tryVerb = "internal-try"

func tryCommand(m machine) *cobra.Command {
	return &cobra.Command{
		Use: tryVerb, Hidden: true, Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error { return doctor.Serve(args, m.stdin, m.stdout) },
	}
}
