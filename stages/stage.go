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
	"bootstrap/internal/receipt"
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
	// usedBy names the stages that are built with this one's outputs, where nothing else is:
	// a scaffold, which may be gone once they are done. Nil means that the outputs are kept.
	usedBy []string
	// bringsTo names the stages that a scaffold brings outputs to, where a cache has them.
	bringsTo []string
	// attributes are what the package set calls the outputs, where a cache may have them; see [Cache].
	attributes []string
	// instead returns the stage in whose place this one stands, where what comes after is the same
	// whichever of the two was done: its key stands for that one's in theirs. Nil for most.
	instead func() stage
	// inputs is what the key is made of, besides the keys of the stages before.
	inputs func(*installation) (any, error)
	// intact reports whether the outputs are still there and fit for use.
	intact func(context.Context, *installation, outputs) bool
	// build makes the outputs. It may find parts of them from a run that was cut short.
	build func(*installation, context.Context) (outputs, error)
	// settle does what is left once the outputs are in the store, wherever they come from. May be nil.
	settle func(*installation, context.Context, outputs) error
	// again returns what makes the outputs once more and compares, by what the receipt says of the
	// stage; an error says why that cannot be. Nil where nothing is made that could be; see [Again].
	again func(*installation, receipt.Stage) (remake, error)
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
	case r.set != nil:
		host := hostStage()
		host.usedBy = append(host.usedBy, Native) // there is no bootstrap nix
		native := nativeStage()
		native.does, native.attributes = "build the Nix of the package set, and all that it needs", nil
		all = []stage{fetchStage(), host, setStage(), native, configureStage(), installStage(), proveStage()}
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
		absent := func(user string) bool { return !there[user] }
		all[i].usedBy, all[i].bringsTo = slices.DeleteFunc(all[i].usedBy, absent), slices.DeleteFunc(all[i].bringsTo, absent)
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

// findKeys computes the keys of all stages, as far as it is known what is to be built.
func (r *installation) findKeys(all []stage) error {
	r.keys = map[string]string{}
	previous := ""
	for _, s := range all {
		key, err := s.key(r, previous)
		if err != nil {
			return err
		}
		switch {
		case s.instead != nil:
			if previous, err = s.instead().key(r, previous); err != nil {
				return err
			}
		case len(s.usedBy) == 0:
			previous = key
		}
		r.keys[s.name] = key
	}
	return nil
}

// lastOf returns the last record of a stage. What a stage has made stays when it makes something
// else for another generation, so its last record with that key counts; a scaffold has one place.
func (r *installation) lastOf(s stage, key string) (journal.Record, bool) {
	if len(s.usedBy) > 0 {
		return r.history.Last(s.name)
	}
	return r.history.LastWith(s.name, key)
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
	Cache   string            `json:"cache,omitempty"`   // URL of the one that its outputs will come from
}

// survey finds out which stages are done, without writing anything.
//
// The keys follow from the inputs alone. A stage that lasts and is not done may be offered by a
// cache. From the last scaffold back to the first, one counts as done where everything that would
// use it is done, or comes from a cache and does not need it; only then is it known what of the
// seed there is to fetch.
func (r *installation) survey(ctx context.Context) ([]State, error) {
	all := r.pipeline()
	if err := r.findKeys(all); err != nil {
		return nil, err
	}
	if err := r.choose(); err != nil {
		return nil, err
	}
	states := make([]State, len(all))
	for i, s := range all {
		states[i] = State{Name: s.name, Does: s.does}
		if len(s.usedBy) > 0 {
			continue
		}
		states[i].Key = r.keys[s.name]
		r.standing(ctx, s, &states[i])
	}
	if err := r.askCaches(ctx, all, states); err != nil {
		return nil, err
	}
	// The keys of scaffolds are in no other; that of the seed depends on what is to be built.
	if err := r.findKeys(all); err != nil {
		return nil, err
	}
	idle := map[string]bool{}
	for i := len(all) - 1; i >= 0; i-- {
		s, st := all[i], &states[i]
		st.Key = r.keys[s.name]
		if len(s.usedBy) > 0 {
			r.standing(ctx, s, st)
			if !st.Done {
				needs := func(user string) bool { return !idle[user] }
				built := func(user string) bool { return needs(user) && r.offers[user] == nil }
				brought := func(user string) bool { return needs(user) && r.offers[user] != nil }
				st.Done = !slices.ContainsFunc(s.usedBy, built) && !slices.ContainsFunc(s.bringsTo, brought)
			}
		}
		idle[s.name] = st.Done
		st.Seconds = r.expected(s.name)
	}
	return states, nil
}

// standing finds out what became of a stage in earlier runs.
func (r *installation) standing(ctx context.Context, s stage, st *State) {
	last, known := r.lastOf(s, st.Key)
	if !known || last.Key != st.Key {
		return
	}
	if last.Event != journal.End {
		st.Resume = true
		return
	}
	st.Outputs = maps.Clone(last.Output)
	st.Done = s.intact(ctx, r, last.Output)
}
