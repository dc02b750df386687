package stages

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/receipt"

	"github.com/google/go-cmp/cmp"
)

// recorder keeps events as "kind stage".
type recorder struct {
	mu   sync.Mutex
	said []string
}

func (r *recorder) Emit(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Kind {
	case event.Start, event.Done, event.Skip, event.Fail:
		r.said = append(r.said, string(e.Kind)+" "+e.Stage)
	}
}

// took returns what was said, and forgets it.
func (r *recorder) took() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	said := r.said
	r.said = nil
	return said
}

// undone surveys a prefix and returns the stages that are not done.
func undone(t *testing.T, o Options) []string {
	t.Helper()
	p, err := Survey(deadline(t), o)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, s := range p.Stages {
		if !s.Done {
			all = append(all, s.Name)
		}
	}
	return all
}

// TestSurvey damages a whole installation, one thing at a time, and says what has to be done again.
func TestSurvey(t *testing.T) {
	t.Parallel()
	o := options(t, scratch(t))
	all := &recorder{}
	o.Sink = all
	res, err := Execute(deadline(t), o)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, s := range newRun(t, o).pipeline() {
		want = append(want, "start "+s.name, "done "+s.name)
	}
	if diff := cmp.Diff(want, all.took()); diff != "" {
		t.Fatalf("events (-want +got):\n%s", diff)
	}
	l := o.Layout
	native := res.Plan.run.done[Native]["nix"]
	for _, scaffold := range []string{res.Plan.run.done[Bootstrap]["nix"], filepath.Join(l.RootsOf(1), "nix-bootstrap"), l.HostDir()} {
		if exists(scaffold) {
			t.Errorf("the scaffold %q is still there", scaffold)
		}
	}
	for _, tt := range []struct {
		name string
		path string // is gone
		want []string
	}{
		{"nothing", "", nil},
		{"the cache of downloads", o.CacheDir, nil},
		{"the installer's logs", l.RunLog, nil},
		// The scaffolds that made it are needed again; the seed is still in the cache.
		{"the native nix", native, []string{Host, Bootstrap, Native, Install}},
		{"the native nix's GC root", filepath.Join(l.RootsOf(1), "nix"), []string{Configure}},
		{"the toolchain", res.Plan.run.done[Toolchain]["toolchain"], []string{Host, Toolchain}},
		{"the toolchain's GC root", filepath.Join(l.RootsOf(1), "toolchain"), []string{Configure}},
		{"nix.conf", l.NixConf(), []string{Configure}},
		{"the certificates", l.Certificates(), []string{Configure}},
		{"a file for shells", l.EnvFile("fish"), []string{Configure}},
		{"the package set", l.Packages, []string{Configure}},
		{"the profile", l.DefaultProfile(), []string{Install}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.path != "" {
				aside := tt.path + ".aside"
				if err := os.Rename(tt.path, aside); err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := os.Rename(aside, tt.path); err != nil {
						t.Fatal(err)
					}
				}()
			}
			if diff := cmp.Diff(tt.want, undone(t, o)); diff != "" {
				t.Errorf("to be done (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("what else is asked for", func(t *testing.T) {
		more := o
		more.BuildHello = true
		if diff := cmp.Diff([]string{Prove}, undone(t, more)); diff != "" {
			t.Errorf("hello (-want +got):\n%s", diff)
		}
		more.BuildHello, more.ShellHook = false, true
		more.Shell.Home = scratch(t)
		if diff := cmp.Diff([]string{Install}, undone(t, more)); diff != "" {
			t.Errorf("a hook (-want +got):\n%s", diff)
		}
	})
	t.Run("a stage that was begun again", func(t *testing.T) {
		r := newRun(t, o)
		if err := r.look(deadline(t)); err != nil {
			t.Fatal(err)
		}
		states, err := r.survey(deadline(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range []journal.Event{journal.Begin, journal.Fail} {
			last := states[len(states)-1] // the proof
			r.history.Records = append(r.history.Records, journal.Record{Stage: Prove, Event: event, Key: last.Key})
			again, err := r.survey(deadline(t))
			if err != nil {
				t.Fatal(err)
			}
			if last = again[len(again)-1]; last.Done || !last.Resume {
				t.Errorf("after %q: done %v, resume %v", event, last.Done, last.Resume)
			}
		}
	})
	t.Run("again", func(t *testing.T) {
		asked := o
		asked.Confirm = func(context.Context, *Plan) error { return errors.New("there is nothing to ask") }
		res, err := Execute(deadline(t), asked)
		if err != nil || !res.Nothing {
			t.Errorf("nothing was left to do, but: %v", err)
		}
		if diff := cmp.Diff([]string(nil), all.took()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
	t.Run("without its receipt", func(t *testing.T) {
		if err := os.Remove(l.Receipt()); err != nil {
			t.Fatal(err)
		}
		if _, err := Execute(deadline(t), o); err != nil {
			t.Fatal(err)
		}
		rec, err := receipt.Load(l.Receipt())
		if err != nil {
			t.Fatal(err)
		}
		if len(rec.Stages) != len(newRun(t, o).pipeline()) || rec.NixVersion != "2.26.3" || len(rec.Made) == 0 {
			t.Errorf("it is not whole again: %+v", rec)
		}
		for _, s := range all.took() {
			if !strings.HasPrefix(s, "skip ") {
				t.Errorf("%s: only the receipt was missing", s)
			}
		}
	})
}

// Whoever says no has nothing written.
func TestConfirm(t *testing.T) {
	dir := scratch(t)
	o := options(t, dir)
	no := errors.New("no")
	o.Confirm = func(_ context.Context, p *Plan) error {
		if len(p.Stages) != len(newRun(t, o).pipeline()) || p.PeakBytes == 0 {
			t.Errorf("there is not much in the plan: %+v", p)
		}
		return no
	}
	if _, err := Execute(deadline(t), o); !errors.Is(err, no) {
		t.Errorf("error %v, want %v", err, no)
	}
	if diff := cmp.Diff([]string{"cache"}, names(t, dir)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Ended in any stage it says so, and that stage is one to go on with.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, at := range []string{Host, Toolchain} {
		t.Run(at, func(t *testing.T) {
			o := options(t, scratch(t))
			ctx, stop := context.WithCancel(deadline(t))
			o.Crash = func(point string) {
				if point == at+" begin" {
					stop()
				}
			}
			_, err := Execute(ctx, o)
			if got := fault.KindOf(err); got != fault.Interrupted || !strings.Contains(err.Error(), "interrupted in stage "+at) {
				t.Errorf("kind %d: %v", got, err)
			}
			if fault.HintOf(err) == "" {
				t.Error("no hint says how to go on")
			}
			p, err := Survey(deadline(t), o)
			if err != nil {
				t.Fatal(err)
			}
			if s := p.State(at); s.Done || !s.Resume {
				t.Errorf("done %v, resume %v", s.Done, s.Resume)
			}
			if exists(o.Layout.LockFile()) {
				t.Error("the lock is still there")
			}
		})
	}
}

// A run that died left its lock; the next one takes it over, and ends what was begun.
func TestAfterADeath(t *testing.T) {
	t.Parallel()
	o := options(t, scratch(t))
	o.Crash = func(point string) {
		if point == Toolchain+" begin" {
			runtime.Goexit()
		}
	}
	died := make(chan struct{})
	go func() {
		defer close(died)
		_, _ = Execute(context.Background(), o)
	}()
	<-died
	if diff := cmp.Diff([]string{Toolchain, Bootstrap, Native, Configure, Install, Prove}, undone(t, o)); diff != "" {
		t.Errorf("to be done (-want +got):\n%s", diff)
	}
	all := &recorder{}
	o.Crash, o.Sink, o.Run = nil, all, "run-2"
	if _, err := Execute(deadline(t), o); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"skip " + Fetch, "skip " + Host, "start " + Toolchain}, all.took()[:3]); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if got := undone(t, o); got != nil {
		t.Errorf("not done: %q", got)
	}
}
