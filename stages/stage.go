package stages

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"bootstrap/internal/journal"
)

// Names of the stages, in order, as the plan, the journal and the receipt have them.
const (
	Probe     = "probe"
	Fetch     = "fetch"
	Host      = "host"
	Toolchain = "toolchain"
	Bootstrap = "bootstrap"
	Native    = "native"
	Relocate  = "relocate"
	Runtime   = "runtime"
	Configure = "configure"
	Install   = "install"
	Prove     = "prove"
)

// outputs is what a stage made, by names of its own: store paths, directories, facts.
type outputs map[string]string

// stage is one step of the pipeline.
type stage struct {
	name string
	// does says in a few words what the stage is about to do.
	does string
	// usedBy names the stages that need this one's outputs, where nothing else does:
	// a scaffold, which may be gone once they are done. Nil means that the outputs are kept.
	usedBy []string
	// instead returns the stage in whose place this one stands, where what comes after is the same
	// whichever of the two was done: its key stands for that one's in theirs. Nil for most.
	instead func() stage
	// inputs is what the key is made of, besides the keys of the stages before.
	inputs func(*installation) (any, error)
	// intact reports whether the outputs are still there and fit for use.
	intact func(context.Context, *installation, outputs) bool
	// build makes the outputs. It may find parts of them from a run that was cut short.
	build func(*installation, context.Context) (outputs, error)
}

// pipeline returns the stages that have a key, in order. The probe comes before all of them.
// Runtime mode compiles nothing.
func (r *installation) pipeline() []stage {
	all := []stage{
		fetchStage(),
		hostStage(),
		toolchainStage(),
		bootstrapStage(),
		nativeStage(),
		configureStage(),
		installStage(),
		proveStage(),
	}
	switch {
	case r.From != nil:
		all = []stage{relocateStage(), adoptedStage(), configureStage(), installStage(), proveStage()}
	case r.Runtime:
		all = []stage{fetchStage(), hostStage(), runtimeStage(), proveStage()}
	}
	there := map[string]bool{}
	for _, s := range all {
		there[s.name] = true
	}
	for i := range all {
		all[i].usedBy = slices.DeleteFunc(all[i].usedBy, func(user string) bool { return !there[user] })
	}
	return all
}

// key digests what a stage depends on. The previous key stands for everything before it that
// lasts: how something was made is not part of what it is, so a scaffold's key is in no other.
func (s stage) key(r *installation, previous string) (string, error) {
	in, err := s.inputs(r)
	if err != nil {
		return "", fmt.Errorf("stage %s: %w", s.name, err)
	}
	text, err := json.Marshal(struct {
		Stage    string
		Previous string
		Inputs   any
	}{s.name, previous, in})
	if err != nil {
		return "", fmt.Errorf("stage %s: %w", s.name, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// State is what is known of one stage before a run.
type State struct {
	Name    string            `json:"name"`
	Does    string            `json:"does"`
	Key     string            `json:"key"`
	Done    bool              `json:"done"`              // it will be skipped
	Resume  bool              `json:"resume"`            // an earlier run began it and did not end it
	Seconds float64           `json:"seconds"`           // how long it is expected to take
	Outputs map[string]string `json:"outputs,omitempty"` // of the run that did it
}

// survey finds out which stages are done, without writing anything.
//
// The keys follow from the inputs alone. From the last stage back to the first, a scaffold
// counts as done where everything that would use it is.
func (r *installation) survey(ctx context.Context) ([]State, error) {
	all := r.pipeline()
	states := make([]State, len(all))
	previous := ""
	for i, s := range all {
		key, err := s.key(r, previous)
		if err != nil {
			return nil, err
		}
		switch {
		case s.instead != nil:
			if previous, err = s.instead().key(r, previous); err != nil {
				return nil, err
			}
		case len(s.usedBy) == 0:
			previous = key
		}
		states[i] = State{Name: s.name, Does: s.does, Key: key, Seconds: r.expected(s.name)}
	}
	done := map[string]bool{}
	for i := len(all) - 1; i >= 0; i-- {
		s, st := all[i], &states[i]
		last, known := r.history.Last(s.name)
		if known && last.Key == st.Key {
			switch last.Event {
			case journal.End:
				st.Outputs = maps.Clone(last.Output)
				st.Done = s.intact(ctx, r, last.Output)
			default:
				st.Resume = true
			}
		}
		if !st.Done && len(s.usedBy) > 0 {
			st.Done = true
			for _, user := range s.usedBy {
				st.Done = st.Done && done[user]
			}
		}
		done[s.name] = st.Done
	}
	return states, nil
}
