package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/lineage"
	"bootstrap/internal/lock"
	"bootstrap/internal/prefix"
	"bootstrap/internal/probe"
	"bootstrap/stages"

	"github.com/spf13/cobra"
)

// generationShown is a generation, as `history --json` prints it.
type generationShown struct {
	Number     int       `json:"number"`
	Current    bool      `json:"current"`
	Complete   bool      `json:"complete"`
	Since      time.Time `json:"since"`   // when it last became current; the zero time if it never did
	Command    string    `json:"command"` // by which: install, upgrade, rollback
	NixVersion string    `json:"nix_version,omitempty"`
	Nix        string    `json:"nix,omitempty"`     // the store path
	Closure    int64     `json:"closure,omitempty"` // bytes of it, and of all that it refers to
	LockDigest string    `json:"lock_digest,omitempty"`
	LockDate   string    `json:"lock_timestamp,omitempty"`
	Packages   string    `json:"packages,omitempty"` // the version of nixpkgs; none for the embedded package set
	Installer  string    `json:"installer,omitempty"`
}

func historyCommand(m machine) *cobra.Command {
	f := &prefixFlags{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "history --prefix DIR",
		Short: "List the generations of a prefix: when, which Nix, from which lock",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			at, err := f.locate(m)
			if err != nil {
				return err
			}
			if err := at.layout.MayWrite(); err != nil {
				return err // the journal is for its owner
			}
			all, err := generationsOf(at.layout)
			switch {
			case err != nil:
				return err
			case len(all) == 0:
				return fault.New(fault.Usage, fmt.Errorf("prefix %q: it has no generations", at.layout.Store),
					"give the --prefix of one that is installed, and not in runtime mode")
			case asJSON:
				return printJSON(m.stdout, all)
			}
			printGenerations(m.stdout, all)
			return nil
		},
	}
	f.register(cmd.Flags())
	registerJSON(cmd.Flags(), &asJSON, "print them as JSON")
	return cmd
}

// generationsOf returns the generations of a prefix, and what is known of each.
func generationsOf(l prefix.Layout) ([]generationShown, error) {
	all, err := stages.Generations(l)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	history, err := journal.Load(l.Journal())
	if err != nil {
		return nil, err
	}
	shown := make([]generationShown, 0, len(all))
	for _, g := range all {
		s, err := showGeneration(l, history, g)
		if err != nil {
			return nil, err
		}
		shown = append(shown, s)
	}
	return shown, nil
}

func showGeneration(l prefix.Layout, history *journal.History, g lineage.Generation) (generationShown, error) {
	s := generationShown{Number: g.Number, Current: g.Current, Complete: g.Receipt != nil}
	for _, r := range history.Records {
		if r.Event == journal.Note && r.Text == stages.GenerationNote && r.Output["number"] == strconv.Itoa(g.Number) {
			s.Since, s.Command = r.Time, r.Output["command"]
		}
	}
	if g.Receipt == nil {
		return s, nil
	}
	if s.Command == "" && g.Number == 1 { // an earlier release installed it
		s.Since, s.Command = g.Receipt.Created, "install"
	}
	native, _ := g.Receipt.Stage(stages.Native)
	s.NixVersion, s.Nix, s.Installer = g.Receipt.NixVersion, native.Outputs["nix"], g.Receipt.Installer
	s.LockDigest = g.Receipt.LockDigest
	if set := stages.InstalledSet(g.Receipt); set != nil {
		s.Packages = set.Version
	}
	s.Closure, _ = strconv.ParseInt(native.Outputs["closure"], 10, 64)
	file := filepath.Join(g.Dir, "packages", "lock.json")
	if g.Dir == l.Root { // it is at its places
		file = filepath.Join(l.Packages, "lock.json")
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if made, err := lock.Parse(data); err == nil && made.Digest() == s.LockDigest {
		s.LockDate = made.Timestamp
	}
	return s, nil
}

// printGenerations prints a line for each.
func printGenerations(w io.Writer, all []generationShown) {
	for _, g := range all {
		mark := " "
		if g.Current {
			mark = "*"
		}
		if !g.Complete {
			row(w, "%s %3d  never complete", mark, g.Number)
			continue
		}
		since := "never current   "
		if !g.Since.IsZero() {
			since = g.Since.Format("2006-01-02 15:04")
		}
		from := "lock " + lockDay(g.LockDate)
		if g.Packages != "" {
			from = "nixpkgs " + g.Packages
		}
		row(w, "%s %3d  %s  %-8s  nix %-7s  %-15s  %9s  %s", mark, g.Number, since, g.Command, g.NixVersion,
			from, probe.Size(g.Closure), g.Nix)
	}
}

// lockDay returns the day of a lock.
func lockDay(timestamp string) string {
	t, err := time.Parse(lock.TimeLayout, timestamp)
	if err != nil {
		return "?"
	}
	return t.Format(time.DateOnly)
}

func (f *rollbackFlags) checkTo() error {
	if f.to >= 0 {
		return nil
	}
	return fault.New(fault.Usage, fmt.Errorf("--to %d: is no generation", f.to), "`bootstrap history` lists those that are there")
}
