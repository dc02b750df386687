package stages

import (
	"context"
	"path/filepath"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
)

// Found begins a prefix that nothing was recorded of, for whoever sees its directories only below
// [Options.Below]: it makes the plan, has it confirmed, and makes the work directory with a journal
// in it. [Execute] goes on from there, in a process that sees the directories at their places.
func Found(ctx context.Context, o Options) error {
	p, err := Make(ctx, o)
	if err != nil {
		return err
	}
	if err := p.agreed(ctx); err != nil {
		return err
	}
	return p.run.outOf(p.run.open())
}

// agreed returns why a plan is not to be carried out.
func (p *Plan) agreed(ctx context.Context) error {
	if err := p.Err(); err != nil {
		return err
	}
	if p.run.Confirm == nil {
		return nil
	}
	return p.run.Confirm(ctx, p)
}

// refuseBelow returns what is said against files that lie elsewhere.
func (r *installation) refuseBelow() []*fault.Error {
	if r.Refusal == nil {
		return nil
	}
	return []*fault.Error{r.Refusal}
}

// belowNote is the text of the record that says which directory was made for a prefix whose files lie
// below another one. It is no record of what was made: at its place there is no such directory.
const belowNote = "below"

// onTheWay reports whether a directory is one of those that lead to the root of a prefix whose
// files lie below another directory.
func (r *installation) onTheWay(dir string) bool {
	return r.Below != "" && !strings.HasPrefix(dir, filepath.Join(r.Below, r.layout.Root)+"/")
}

// Way returns the directories that were made to have a place for the root of a prefix whose files
// lie in files, the innermost first. They can go when they are empty.
func Way(h *journal.History, files string) []string {
	var dirs []string
	for _, record := range h.Records {
		made := record.Output["made"]
		if record.Event != journal.Note || record.Text != belowNote || !filepath.IsAbs(made) {
			continue
		}
		dirs = nil
		for dir := files; dir != "/"; dir = filepath.Dir(dir) {
			dirs = append(dirs, dir)
			if dir == made {
				return dirs
			}
		}
		dirs = nil // it was moved since, and what is above it is somebody else's
	}
	return dirs
}
