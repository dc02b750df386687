package resolve

import (
	"context"
	"path"
	"slices"
	"sync/atomic"
	"time"

	"bootstrap/internal/deb"
	"bootstrap/internal/event"
	"bootstrap/internal/lock"
)

// VetOptions says which packages to look into, and how.
type VetOptions struct {
	Lock *lock.Lock // Required.
	Arch string     // the architecture whose seed it is
	// Known is a lock that was vetted before: a role that has no other packages than there,
	// for the same architecture, is not looked into. Nil stands for none.
	Known *lock.Lock
	// Fetch is that of [Options]. Required.
	Fetch    func(ctx context.Context, entries []lock.Entry) (map[string]string, error)
	Parallel int              // packages at a time; default 1
	Sink     event.Sink       // is told of the progress; nil forgets it
	Stage    string           // of events
	Now      func() time.Time // of events; nil leaves their time to the sink
}

// Vet returns an error unless the packages that the builders of the package set unpack can be
// unpacked there: no entry of theirs leads out of the directory. Builders use busybox,
// and where there is no sandbox nothing else holds it. See [deb.Check].
//
// The error is a [fault.Verify] where a package is to blame, or one of Fetch.
func Vet(ctx context.Context, o VetOptions) error {
	for _, role := range lock.Unpacked() {
		entries := o.Lock.For(o.Arch, role)
		if o.Known != nil && within(entries, o.Known.For(o.Arch, role)) {
			continue
		}
		paths, err := o.Fetch(ctx, entries)
		if err != nil {
			return err
		}
		packages := make([]deb.Package, len(entries))
		for i, e := range entries {
			packages[i] = deb.Package{Name: path.Base(e.Path), Path: paths[e.SHA256]}
		}
		var done atomic.Int64
		err = deb.Check(ctx, packages, deb.CheckOptions{Parallel: o.Parallel, Done: func() {
			e := event.Event{
				Kind: event.Progress, Stage: o.Stage, Unit: event.Packages,
				Done: done.Add(1), Total: int64(len(packages)),
			}
			if o.Now != nil {
				e.Time = o.Now()
			}
			if o.Sink != nil {
				o.Sink.Emit(e)
			}
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// within reports whether all files of entries are among those of known.
func within(entries, known []lock.Entry) bool {
	there := make(map[string]bool, len(known))
	for _, e := range known {
		there[e.SHA256] = true
	}
	return !slices.ContainsFunc(entries, func(e lock.Entry) bool { return !there[e.SHA256] })
}
