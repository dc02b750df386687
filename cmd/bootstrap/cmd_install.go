package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"bootstrap/internal/doctor"
	"bootstrap/internal/fault"
	"bootstrap/internal/probe"
	"bootstrap/internal/prompt"
	"bootstrap/internal/receipt"
	"bootstrap/stages"
)

// install is what the program does when it is given no verb.
func install(ctx context.Context, m machine, f *installFlags) error {
	f.choose = choosePlace(m, f)
	return f.withChosen(ctx, m, func(o stages.Options) error { return makeInstalled(ctx, m, f, o) })
}

// makeInstalled makes a plan, asks, and does it: an installation, or an upgrade.
func makeInstalled(ctx context.Context, m machine, f *installFlags, o stages.Options) error {
	if f.dryRun {
		return dryRun(ctx, m, &f.planFlags, o)
	}
	if o.Below != "" {
		return beginApart(ctx, m, f, o)
	}
	view := newView(m, viewOptions{json: f.json, verbose: f.verbose})
	defer view.Close()
	o.Sink = view
	begun := false
	o.Confirm = func(ctx context.Context, p *stages.Plan) error {
		if m.within == nil || !m.within.confirmed {
			if err := consent(ctx, m, f, p, view); err != nil {
				return err
			}
		}
		begun = true
		// Before anything is there: uninstall sees by the list who still needs the cache.
		listPrefix(ctx, m, o.Layout, view)
		return nil
	}
	res, err := stages.Execute(ctx, o)
	switch {
	case begun:
		unlistUnwritten(ctx, m, o.Layout)
	case err == nil:
		listPrefix(ctx, m, o.Layout, view)
	}
	if err != nil {
		return err
	}
	if err := view.Close(); err != nil {
		return err
	}
	return finished(m, f, res)
}

// confirm shows the plan, and what the checks warn of, and asks whether to go on.
func confirm(ctx context.Context, m machine, f *installFlags, p *stages.Plan, looked []doctor.Check) error {
	if !f.json {
		printPlan(m.stderr, p, m.files(&f.prefixFlags, p.Layout))
		printWarnings(m.stderr, looked)
	}
	if f.yes {
		return nil
	}
	if f.json {
		return fault.New(fault.Usage, errors.New("a program cannot be asked whether to go on"),
			"add --yes to --json, or use `bootstrap plan --json`")
	}
	terminal, close, err := m.questioner()
	if err != nil {
		return err
	}
	defer close()
	q := prompt.Options{In: terminal, Out: terminal, ASCII: !m.utf8(), Dumb: m.getenv("TERM") == "dumb"}
	if err := ask(ctx, q, m.stderr, p); err != nil || p.Hooked() || f.destdir != "" {
		return err
	}
	return offerHook(ctx, q, p)
}

// ask asks whether to go on, and explains at length if that is wished.
func ask(ctx context.Context, q prompt.Options, stderr io.Writer, p *stages.Plan) error {
	q.Label, q.Items = "Go on?", []string{"yes", "no", "explain"}
	for {
		answer, err := prompt.Select(ctx, q)
		switch {
		case err != nil:
			return unanswered(err)
		case answer == "yes":
			return nil
		case answer == "no":
			return fault.New(fault.Interrupted, errors.New("nothing was written, as you wished"), "")
		}
		explain(stderr, p)
		q.Default = "no" // a key that was meant for the word must not begin anything
	}
}

// offerHook asks for what --shell-hook asks for.
func offerHook(ctx context.Context, q prompt.Options, p *stages.Plan) error {
	q.Label = "Have nix in new shells, by a marked block in their start-up files?"
	yes, err := prompt.Confirm(ctx, q)
	if yes {
		p.HookShells()
	}
	return unanswered(err)
}

// unanswered is the error of a question that was left without an answer.
func unanswered(err error) error {
	if fault.KindOf(err) != fault.Interrupted {
		return err
	}
	return fault.New(fault.Interrupted, fmt.Errorf("nothing was written: %w", err), "")
}

// finished says what to type next.
func finished(m machine, f *installFlags, res *stages.Result) error {
	if f.json {
		return printJSON(m.stdout, res.Receipt)
	}
	l := res.Receipt.Layout
	if f.destdir != "" {
		return finishedApart(m, f, res)
	}
	if res.Nothing {
		fmt.Fprintf(m.stderr, "Nix %s is complete in %s%s; nothing to do.\n", res.Receipt.NixVersion, l.Store, byOptions(res.Receipt.Mode))
	} else {
		fmt.Fprintf(m.stderr, "\nNix %s lives in %s%s.\n", res.Receipt.NixVersion, l.Store, byOptions(res.Receipt.Mode))
	}
	if n := res.Plan.Generation; n > 1 && !res.Nothing {
		fmt.Fprintf(m.stderr, "It is generation %d; `bootstrap rollback --prefix %s` goes back.\n", n, quoted(l.Store))
	}
	fmt.Fprint(m.stderr, "\nTo use it in this shell:\n\n")
	fmt.Fprintf(m.stdout, "    . %s\n", quoted(l.EnvFile("sh")))
	if res.Receipt.Mode == receipt.Runtime {
		next := afterRuntime
		if res.Receipt.Diverted != "" {
			next = afterDiverted
		}
		fmt.Fprintf(m.stderr, next, storeOf(l, res.Receipt.Diverted), quoted(l.Store))
		return nil
	}
	if _, built := res.Receipt.Stage(stages.Toolchain); !built {
		fmt.Fprintf(m.stderr, afterFrom, quoted(l.Store), inNewShells(res.Receipt), quoted(l.Store))
		return nil
	}
	fmt.Fprintf(m.stderr, `
Then, for example:

    nix build -f %s hello && ./result/bin/hello

fish and csh have files of their own beside it. %s
To take all of it away: bootstrap uninstall --prefix %s
`, quoted(l.Packages), inNewShells(res.Receipt), quoted(l.Store))
	return nil
}

func inNewShells(rec *receipt.Receipt) string {
	if len(rec.Hooks) > 0 {
		return "New shells find it by themselves."
	}
	return "To have it in every new shell, run bootstrap again\nwith --shell-hook."
}

// afterRuntime is what a person is told of a prefix in runtime mode, afterDiverted that of one
// whose files lie elsewhere.
const afterRuntime = `
Then, for example:

    nix eval --expr builtins.storeDir

which says %s. There is no compiler and no package set; the same command without --runtime
compiles both, and a Nix that needs no options, around what is in the store by then.
To take all of it away: bootstrap uninstall --prefix %s
`

const afterDiverted = `
Then, for example:

    nix eval --expr builtins.storeDir

which says %s. Links that nix makes point there; to run here what was built, use "nix shell" or
"nix run", which show the files at that place. To take all of it away: bootstrap uninstall --prefix %s
`

// afterFrom is what a person is told of a prefix that was made from a bundle.
const afterFrom = `
There is no compiler in a bundle. To have the one of the package set too, which takes about a minute
and compiles no Nix again:

    bootstrap --prefix %s

fish and csh have files of their own beside it. %s
To take all of it away: bootstrap uninstall --prefix %s
`

// explainFrom says what is about to happen to a bundle.
const explainFrom = `
The store directory is compiled into Nix, and every store path depends on it. The Nix in the bundle was
compiled for %s; the names that its store paths have in
%s are computed from the derivations that it was made by, and every place
where a directory or a name is written is rewritten. What cannot be rewritten safely is refused, and
nothing is registered before the new Nix itself has evaluated the package set to the same names.

`

// explainPackages says what is about to happen to nixpkgs.
const explainPackages = `
The store directory is compiled into Nix, and every store path depends on it. So all that nixpkgs needs for
its Nix in %s is built here, from its own compiler on: hours or days. What is built stays
built. Sources come from caches, by their hash, or from where nixpkgs says.

`

// explain says at length what the plan is about.
func explain(w io.Writer, p *stages.Plan) {
	switch {
	case p.From != nil:
		fmt.Fprintf(w, explainFrom, p.From.Store, p.Layout.Store)
	case p.Mode == receipt.Runtime:
		fmt.Fprintf(w, `
A Nix of Debian is unpacked, made to find its own libraries, and started with options that say
where the store is, by small programs in its place. Nothing is compiled, and nothing that is
built later on depends on how: the plain command makes a native Nix of the prefix whenever you like.

`)
	case p.State(stages.Native).Cache != "":
		fmt.Fprintf(w, `
The store directory is compiled into Nix, and every store path depends on it. The cache was filled
from a prefix in %s: what it has under the key of a stage is what would be compiled here. Only what
its key signed is taken, and only if the package set makes those very store paths:

`, p.Layout.Store)
	case p.Packages != nil:
		fmt.Fprintf(w, explainPackages, p.Layout.Store)
	default:
		fmt.Fprintf(w, `
The store directory is compiled into Nix, and every store path depends on it. A Nix for %s can
therefore not be downloaded; it is compiled, here:

`, p.Layout.Store)
	}
	for _, s := range p.Stages {
		if !s.Done {
			fmt.Fprintf(w, "  %-10s %s\n", s.Name, s.Does)
		}
	}
	if p.From == nil {
		fmt.Fprint(w, `
Everything is downloaded from a Debian mirror and checked against digests that are built into this
program.`)
	}
	fmt.Fprintf(w, `
Nothing is written but below the directories of the plan, the cache of downloads, and a line
in the list of your prefixes, which `+"`bootstrap list`"+` reads; no file of the system is changed, and no
start-up file of your shell without --shell-hook or your yes.
It can be interrupted at any time; the same command goes on from there.
`)
	if p.Mode != receipt.Runtime && p.From == nil {
		fmt.Fprintf(w, "The disk space is for the compiler, which stays for later builds (%s), and for the build itself.\n", probe.Size(p.KeepBytes))
	}
	fmt.Fprintln(w)
}
