package main

import (
	"context"
	"fmt"
	"slices"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/prefix"
	"bootstrap/internal/registry"
)

// registry returns the file that lists the prefixes of this account.
func (m machine) registry() (registry.File, error) {
	return registry.Place(m.getenv("HOME"), m.getenv("XDG_STATE_HOME"))
}

// known returns the prefixes of this account, each as it is now, and the one in the environment.
func (m machine) known() ([]registry.Entry, error) {
	file, err := m.registry()
	list := registry.List{}
	if err == nil { // else there is nobody to have a list
		if list, err = file.Load(); err != nil {
			return registry.Survey(list, m.getenv(prefixVariable)), err
		}
	}
	return registry.Survey(list, m.getenv(prefixVariable)), nil
}

// listPrefix puts a prefix into the list. That it cannot is no reason for an installation to fail:
// it is told to the sink.
func listPrefix(ctx context.Context, m machine, l prefix.Layout, sink event.Sink) {
	if m.within != nil {
		return // at that place there is another one, or none
	}
	file, err := m.registry()
	if err == nil {
		// An installation that was interrupted is to be found, too.
		err = file.Add(context.WithoutCancel(ctx), l.Store)
	}
	if err != nil {
		sink.Emit(event.Event{Time: m.now(), Kind: event.Warn, Text: unlisted(err)})
	}
}

// unlistUnwritten takes a prefix out of the list again if nothing was recorded of it.
func unlistUnwritten(ctx context.Context, m machine, l prefix.Layout) {
	if registry.Look(l.Store).State == registry.Gone {
		_ = unlistPrefix(context.WithoutCancel(ctx), m, l) // what is wrong with the list was told before
	}
}

// unlistPrefix takes a prefix out of the list, and returns what to say if it could not.
func unlistPrefix(ctx context.Context, m machine, l prefix.Layout) (warning string) {
	if m.within != nil {
		return ""
	}
	file, err := m.registry()
	if err != nil {
		return "" // it is in no list
	}
	if err := file.Remove(ctx, l.Store); err != nil {
		return unlisted(err)
	}
	return ""
}

// isLast reports whether the account has no prefix besides one; not if that cannot be known.
func (m machine) isLast(l prefix.Layout) bool {
	if m.within != nil {
		return false // nobody lists those whose files lie elsewhere
	}
	entries, err := m.known()
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(entries, func(e registry.Entry) bool {
		return e.State != registry.Gone && e.Store != l.Store
	})
}

func unlisted(err error) string {
	text := fmt.Sprintf("`bootstrap list` is not up to date: %v", err)
	if hint := fault.HintOf(err); hint != "" {
		text += "; " + hint
	}
	return text
}
