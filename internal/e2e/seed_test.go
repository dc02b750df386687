//go:build e2e

package e2e_test

import (
	"context"
	"os"
	"runtime"
	"testing"

	"bootstrap/internal/lock"
	"bootstrap/internal/resolve"
	"bootstrap/templates"
)

// testSeed reads the packages of the built-in lock to the end, as was done when it was made: an
// installation takes it for granted that builders may unpack them.
func testSeed(t *testing.T, w *world) {
	l, err := lock.Parse(templates.Lock())
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	err = resolve.Vet(t.Context(), resolve.VetOptions{
		Lock: present(l, w), Arch: runtime.GOARCH,
		Fetch: func(_ context.Context, entries []lock.Entry) (map[string]string, error) {
			paths := map[string]string{}
			for _, e := range entries {
				paths[e.SHA256] = w.cached(e.SHA256)
				read++
			}
			return paths, nil
		},
	})
	if err != nil || read == 0 {
		t.Errorf("%d packages: %v", read, err)
	}
}

// present is what the cache has of a lock: where a file is gone from the mirrors there is another,
// which the installation has read.
func present(l *lock.Lock, w *world) *lock.Lock {
	some := *l
	some.Entries = nil
	for _, e := range l.Entries {
		if _, err := os.Stat(w.cached(e.SHA256)); err == nil {
			some.Entries = append(some.Entries, e)
		}
	}
	return &some
}
