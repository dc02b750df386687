package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"bootstrap/internal/fault"
	"bootstrap/internal/probe"
	"bootstrap/internal/progress"
	"bootstrap/internal/receipt"
	"bootstrap/stages"

	"github.com/spf13/cobra"
)

// status is what `status --json` prints.
type status struct {
	Complete bool             `json:"complete"`
	Stages   []stages.State   `json:"stages"`
	Receipt  *receipt.Receipt `json:"receipt,omitempty"`
	Usage    []stages.Usage   `json:"usage"`
}

func statusCommand(m machine) *cobra.Command {
	f := &installFlags{}
	cmd := &cobra.Command{
		Use:   "status --prefix DIR",
		Short: "Show what is installed, and where the minutes and the megabytes went",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := f.options(m)
			if err != nil {
				return err
			}
			s := status{}
			s.Receipt, err = receipt.Load(o.Layout.Receipt())
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			p, err := stages.Make(cmd.Context(), o)
			if err != nil {
				return err
			}
			if !p.Begun() {
				return fault.New(fault.General, fmt.Errorf("prefix %q: nothing of ours is there", o.Layout.Store),
					"`bootstrap --prefix` installs")
			}
			s.Stages, s.Complete = p.Stages, p.Complete()
			if s.Usage, err = stages.Measure(cmd.Context(), o.Layout); err != nil {
				return err
			}
			if f.json {
				return printJSON(m.stdout, s)
			}
			printStatus(m.stdout, p, s)
			return nil
		},
	}
	f.register(cmd.Flags())
	return cmd
}

func printStatus(w io.Writer, p *stages.Plan, s status) {
	fmt.Fprintf(w, "\n%-14s %s\n", "store", p.Layout.Store)
	if s.Receipt != nil {
		fmt.Fprintf(w, "%-14s %s, installed %s by bootstrap %s\n", "nix", s.Receipt.NixVersion,
			s.Receipt.Created.Format(time.DateOnly), s.Receipt.Installer)
	}
	state := "complete"
	if !s.Complete {
		state = "not complete; the same command as before goes on"
	}
	fmt.Fprintf(w, "%-14s %s\n\n", "state", state)
	for _, st := range s.Stages {
		mark, took := "not done", ""
		if st.Done {
			mark = "done"
		}
		if s.Receipt != nil {
			if r, ok := s.Receipt.Stage(st.Name); ok {
				took = progress.FormatDuration(time.Duration(r.Seconds * float64(time.Second)))
			}
		}
		fmt.Fprintf(w, "  %-12s %-10s %8s  %s\n", st.Name, mark, took, st.Outputs["nix"])
	}
	fmt.Fprintln(w)
	for _, u := range s.Usage {
		fmt.Fprintf(w, "  %-12s %10s  %7d files  %s\n", u.What, probe.Size(u.Bytes), u.Files, u.Path)
	}
	fmt.Fprintln(w)
}
