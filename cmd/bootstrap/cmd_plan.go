package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"syscall"
	"time"

	"bootstrap/internal/doctor"
	"bootstrap/internal/mirror"
	"bootstrap/internal/prefix"
	"bootstrap/internal/probe"
	"bootstrap/internal/progress"
	"bootstrap/internal/receipt"
	"bootstrap/stages"

	"github.com/spf13/cobra"
)

func planCommand(m machine) *cobra.Command {
	f := &planFlags{}
	cmd := &cobra.Command{
		Use:   "plan --prefix DIR",
		Short: "Print what an installation would do, and write nothing",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.withChosen(cmd.Context(), m, func(o stages.Options) error { return dryRun(cmd.Context(), m, f, o) })
		},
	}
	f.register(cmd.Flags(), "print it as JSON")
	return cmd
}

// dryRun prints the plan, and ends as the installation would where that is refused.
func dryRun(ctx context.Context, m machine, f *planFlags, o stages.Options) error {
	p, err := stages.Make(ctx, o)
	if err != nil {
		return err
	}
	looked := doctor.Look(ctx, examination(m, f, p))
	if f.json {
		if err := printJSON(m.stdout, planned{p, looked, m.files(&f.prefixFlags, p.Layout)}); err != nil {
			return err
		}
	} else {
		printPlan(m.stdout, p, m.files(&f.prefixFlags, p.Layout))
		printWarnings(m.stdout, looked)
	}
	if err := p.Err(); err != nil {
		return err
	}
	return doctor.Err(looked)
}

// planned is what `plan --json` prints.
type planned struct {
	*stages.Plan
	Checks []doctor.Check `json:"checks"`          // those that write nothing
	Files  string         `json:"files,omitempty"` // where the files of the root lie, if not there
}

// printPlan prints a plan for people. files is where those of the root lie, if they are not there.
func printPlan(w io.Writer, p *stages.Plan, files string) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-14s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(w, "\nNix %s for %s%s\n\n", p.NixVersion, storeOf(p.Layout, p.Diverted), byOptions(p.Mode))
	for _, d := range p.Layout.Main() {
		line(d.Noun, "%s", d.Path)
	}
	if p.Layout.ResolvedFrom != "" {
		line("", "(%s is a symbolic link; this is the real path)", p.Layout.ResolvedFrom)
	}
	if from := p.Switches(); from > 0 {
		line("generation", "%d; %d is current until that one is proved, and is kept", p.Generation, from)
	}
	if p.Readers != nil {
		line("readers", "members of group %s, and nobody else", groupName(*p.Readers))
	}
	if files != "" {
		line("files", "%s, which stands for %s", files, p.Layout.Root)
	}
	if p.From != nil {
		printFrom(line, p)
	}
	if p.Packages != nil {
		printSet(line, p)
	}
	if p.Mirror != nil {
		line("mirror", "%s (%s)", mirror.Redact(p.Mirror.URL), p.Mirror.Origin)
	}
	printCaches(w, p)
	if p.SeedFiles > 0 {
		there := ""
		if p.FetchBytes < p.SeedBytes {
			there = fmt.Sprintf("; %s of the seed are there", probe.Size(p.SeedBytes-p.FetchBytes))
		}
		line("download", "%s in %d files%s", probe.Size(p.FetchBytes), p.FetchFiles, there)
		line("cache", "%s: %s of downloads, shared by all prefixes", p.CacheDir, probe.Size(p.SeedBytes))
	}
	unknown := p.Packages != nil && !p.State(stages.Native).Done
	if place, ok := p.Facts.Place("store"); ok && unknown {
		line("disk", "what builds take is not known; %s free on %s", probe.Size(place.FreeBytes), place.FileSystem)
	} else if ok && p.PeakBytes > 0 && p.Packages == nil {
		most := ""
		if p.PeakBytes != p.KeepBytes {
			most = probe.Size(p.PeakBytes) + " while it builds, "
		}
		line("disk", "%s%s in the end; %s free on %s", most, probe.Size(p.KeepBytes), probe.Size(place.FreeBytes), place.FileSystem)
	}
	sandbox := "yes"
	if !p.Facts.Namespaces.Sandbox() {
		sandbox = "no: " + p.Facts.Namespaces.Reason
	}
	line("sandbox", "%s", sandbox)
	if unknown {
		line("time", "not known")
	} else {
		line("time", "about %s on %d processors", estimate(p.Seconds), p.Facts.CPUs)
	}
	fmt.Fprintln(w)
	for _, s := range p.Stages {
		fmt.Fprintf(w, "  %-14s %s%s\n", s.Name, s.Does, standing(s))
	}
	fmt.Fprintln(w)
}

// groupName returns the name of a group, or its number if it has none.
func groupName(gid uint32) string {
	number := fmt.Sprint(gid)
	if g, err := user.LookupGroupId(number); err == nil {
		return g.Name
	}
	return number
}

// printFrom prints which bundle is installed, and what it is known by.
func printFrom(line func(name, format string, args ...any), p *stages.Plan) {
	line("from", "%s", p.From.Location)
	switch {
	case p.From.Key != "":
		line("", "signed by %s", p.From.Key)
	case p.From.SHA256 != "":
		line("", "sha256 %s", p.From.SHA256)
	}
	if p.From.Store != "" {
		line("", "%s, made at %s", probe.Size(p.From.Bytes), p.From.Store)
	}
	if p.Filled() {
		line("", "a longer directory than this: it is filled up with slashes where it is compiled in")
	}
}

// printSet prints which package set is installed, and what building its Nix comes to.
func printSet(line func(name, format string, args ...any), p *stages.Plan) {
	s := p.Packages
	line("packages", "%s", mirror.Redact(s.From))
	line("", "version %s, %s", s.Version, s.NARHash)
	if s.Locked != "" && !strings.Contains(s.From, "narHash=") {
		line("", "nobody has signed it: it is what that server says")
	}
	if s.Forecast != nil {
		line("to build", "%s", s.Forecast.Sentence())
	}
}

// storeOf returns the store directory that Nix knows.
func storeOf(l prefix.Layout, diverted string) string {
	if diverted != "" {
		return diverted
	}
	return l.Store
}

func byOptions(mode string) string {
	if mode == receipt.Runtime {
		return ", by runtime options"
	}
	return ""
}

func standing(s stages.State) string {
	switch {
	case s.Done && s.Outputs == nil:
		return " (not needed)"
	case s.Done:
		return " (done)"
	case s.Resume:
		return " (begun before; goes on)"
	}
	return ""
}

// estimate rounds seconds up to something that promises no more than is known.
func estimate(seconds float64) string {
	d := time.Duration(seconds) * time.Second
	if d > time.Minute {
		return fmt.Sprintf("%d minutes", int((d + 30*time.Second).Round(time.Minute).Minutes()))
	}
	return progress.FormatDuration(d)
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// procVerb is what the probe runs this program with, in namespaces of its own.
const procVerb = "internal-mount-proc"

func procCommand() *cobra.Command {
	return &cobra.Command{
		Use: procVerb, Hidden: true, Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return probe.MountProc() },
	}
}

// crash ends the process right after the journal's record that BOOTSTRAP_CRASH names, as SIGKILL
// would: tests show by it that an installation survives that anywhere. With "stop " before the
// name it stops there once, as by SIGSTOP, until a test has done its worst.
func crash(m machine) func(string) {
	point, stop := strings.CutPrefix(m.getenv("BOOTSTRAP_CRASH"), "stop ")
	if point == "" {
		return nil
	}
	return func(now string) {
		switch {
		case now != point:
		case stop:
			point = ""
			_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		default:
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
}
