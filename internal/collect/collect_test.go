package collect_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/collect"
	"bootstrap/internal/fault"
	"bootstrap/internal/generations"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/prefix"
)

// stand is a Nix that takes every path of the store for dead which no link below the state
// directory it is given points to.
const stand = `#!/bin/sh
set -eu
PATH=/usr/bin:/bin
top=${0%/bin/*}
state=$top/var/nix
case $* in
*--store*) state=$(printf '%s' "$2" | tr '?&' '\n\n' | sed -n 's/^state=//p') && shift 2 ;;
esac
dead() {
	for path in "$top"/store/*; do
		find "$state/gcroots" "$state/profiles" -type l | while read -r link; do
			readlink "$link"
			readlink "$(readlink "$link")" || :
		done | grep -qxF "$path" || echo "$path"
	done
}
case $* in
eval*) cat "$top/storeDir" ;;
"path-info --all") cat "$top/paths" ;;
*--check-validity*) ! [ -e "$top/lost" ] || cat "$top/lost" ;;
"--gc --print-dead") dead ;;
--gc) dead | while read -r path; do chmod -R u+w "$path" && rm -r "$path"; done ;;
*--delete-generations*) rm "$2-$4-link" ;;
*--query*) exit 1 ;;
*) exit 9 ;;
esac
`

// world is a prefix with such a Nix.
type world struct {
	t *testing.T
	collect.Options
	home string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	top := t.TempDir()
	w := &world{t: t, home: filepath.Join(top, "home")}
	state := filepath.Join(top, "var/nix")
	w.Layout = prefix.Layout{Root: top, Store: filepath.Join(top, "store"), State: state, Log: filepath.Join(top, "var/log"), Work: filepath.Join(top, "var/bootstrap")}
	w.Store, w.Scratch = w.Layout.Store, t.TempDir()
	w.Policy = generations.Policy{Keep: -1, Now: time.Now()}
	for _, name := range []string{"nix", "nix-store", "nix-env"} {
		w.write(filepath.Join(top, "bin", name), stand, 0o755)
	}
	w.Nix = nixcmd.Nix{Path: filepath.Join(top, "bin/nix"), Beside: true}
	for _, dir := range []string{w.Store, w.home, state + "/gcroots/auto", state + "/gcroots/bootstrap", state + "/profiles", state + "/temproots"} {
		w.must(os.MkdirAll(dir, 0o755))
	}
	w.write(state+"/db/db.sqlite", "", 0o644)
	w.write(state+"/store-dir", w.Store+"\n", 0o644)
	w.write(top+"/storeDir", w.Store, 0o644)
	w.link(w.path("nix"), state+"/gcroots/bootstrap/nix")
	w.write(top+"/paths", w.Store+"/nix\n", 0o644)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) write(path, text string, mode os.FileMode) {
	w.t.Helper()
	w.must(os.MkdirAll(filepath.Dir(path), 0o755))
	w.must(os.WriteFile(path, []byte(text), mode))
}

func (w *world) link(target, path string) {
	w.t.Helper()
	w.must(os.MkdirAll(filepath.Dir(path), 0o755))
	w.must(os.Symlink(target, path))
}

// path makes a store path of one block.
func (w *world) path(name string) string {
	w.t.Helper()
	path := filepath.Join(w.Store, name)
	w.write(path, name+"\n", 0o444)
	return path
}

// root roots a store path from home.
func (w *world) root(path string) string {
	w.t.Helper()
	via := filepath.Join(w.home, filepath.Base(path))
	w.link(path, via)
	w.link(via, filepath.Join(w.Layout.State, "gcroots/auto", filepath.Base(path)))
	return via
}

func (w *world) survey() (*collect.Plan, error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	w.t.Cleanup(cancel)
	return collect.Survey(ctx, w.Options)
}

func names(dead []collect.Dead) []string {
	out := []string{}
	for _, d := range dead {
		out = append(out, filepath.Base(d.Path))
	}
	return out
}

// What a collection announces is what it deletes, and no more.
func TestAnnouncedIsDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.path("dead")
	w.root(w.path("kept"))
	w.must(os.Remove(w.root(w.path("stale"))))
	profile := filepath.Join(w.Layout.State, "profiles/default")
	w.link(w.path("old"), profile+"-1-link")
	w.link(w.path("new"), profile+"-2-link")
	w.link("default-2-link", profile)
	cache := filepath.Join(w.Layout.State, "users/me/cache")
	for _, name := range []string{"eval-cache-v4/x", "eval-cache-v5/x", "fetcher-cache-v3.sqlite", "fetcher-cache-v1.sqlite-wal", "nix-999999999-0/x", fmt.Sprintf("nix-%d-0/x", os.Getpid()), "other"} {
		w.write(filepath.Join(cache, name), "text", 0o644)
	}

	if _, err := w.survey(); fault.KindOf(err) != fault.Unfit || !strings.Contains(err.Error(), "home/stale") {
		t.Fatalf("with a root that cannot be followed: %v", err)
	}
	w.DropStale, w.Policy.Keep = true, 0
	p, err := w.survey()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"dead", "old", "stale"}, names(p.Dead)); diff != "" {
		t.Errorf("dead (-want +got):\n%s", diff)
	}
	if len(p.Leftovers) != 3 || len(p.Roots) != 1 || len(p.Generations) != 1 {
		t.Errorf("got %+v", p)
	}
	if left, err := os.ReadDir(w.Scratch); err != nil || len(left) > 0 {
		t.Errorf("left in the scratch directory: %v, %v", left, err)
	}
	result, err := p.Execute(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if result.Paths != 3 || result.Bytes != p.Bytes || p.Bytes == 0 {
		t.Errorf("announced %d bytes, result %+v", p.Bytes, result)
	}
	entries, err := os.ReadDir(w.Store)
	w.must(err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff([]string{"kept", "new", "nix"}, got); diff != "" {
		t.Errorf("the store (-want +got):\n%s", diff)
	}
	entries, err = os.ReadDir(cache)
	w.must(err)
	if len(entries) != 4 {
		t.Errorf("the cache has %v", entries)
	}
	again, err := w.survey()
	if err != nil || !again.Empty() {
		t.Errorf("again: %+v, %v", again, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*world)
		want   string
		kind   fault.Kind
	}{
		"another store directory": {func(w *world) { w.write(filepath.Join(w.Layout.Root, "storeDir"), "/nix/store", 0o644) }, `works on the store directory "/nix/store"`, fault.Unfit},
		"another stamp":           {func(w *world) { w.write(filepath.Join(w.Layout.State, "store-dir"), "/nix/store", 0o644) }, `is that of "/nix/store"`, fault.Unfit},
		"a path of another store": {func(w *world) { w.write(filepath.Join(w.Layout.Root, "paths"), "/nix/store/x\n", 0o644) }, `"/nix/store/x"`, fault.Unfit},
		"an empty database":       {func(w *world) { w.path("more"); w.write(filepath.Join(w.Layout.Root, "paths"), "", 0o644) }, "knows no path", fault.Unfit},
		"a lost installation":     {func(w *world) { w.write(filepath.Join(w.Layout.Root, "lost"), w.Store+"/nix\n", 0o644) }, "not valid any more", fault.Unfit},
		"another host's process": {func(w *world) {
			path := filepath.Join(w.Layout.State, "temproots/999999999")
			w.write(path, "", 0o644)
			f, err := os.Open(path)
			w.must(err)
			w.t.Cleanup(func() { f.Close() })
			w.must(syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
		}, "process 999999999 of another host", fault.Locked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tt.change(w)
			if _, err := w.survey(); err == nil || !strings.Contains(err.Error(), tt.want) || fault.KindOf(err) != tt.kind || fault.HintOf(err) == "" {
				t.Errorf("got %v (%v), hint %q; want %q", err, fault.KindOf(err), fault.HintOf(err), tt.want)
			}
		})
	}
}

// A build that is going on keeps its directory, and what it may be run by.
func TestAtWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(filepath.Join(w.Layout.BuildDir(), "nix-build-x.drv-0/file"), "x", 0o644)
	w.Unused = []string{w.Layout.HostDir(), w.Layout.RelocatedDir()}
	w.write(filepath.Join(w.Layout.HostDir(), "nix"), "x", 0o755)
	path := filepath.Join(w.Layout.State, "temproots", fmt.Sprint(os.Getpid()))
	w.write(path, "", 0o644)
	f, err := os.Open(path)
	w.must(err)
	defer f.Close()
	w.must(syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	p, err := w.survey()
	if err != nil || len(p.AtWork) != 1 || len(p.Leftovers) != 0 {
		t.Errorf("got %+v, %v", p, err)
	}
	w.must(syscall.Flock(int(f.Fd()), syscall.LOCK_UN))
	if p, err = w.survey(); err != nil || len(p.AtWork) != 0 || len(p.Leftovers) != 2 || p.Leftovers[1].Path != w.Layout.HostDir() {
		t.Errorf("got %+v, %v", p, err)
	}
}

// A file that several paths share is freed with the last of them.
func TestSharedFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two, kept := filepath.Join(w.Store, "one"), filepath.Join(w.Store, "two"), filepath.Join(w.Store, "kept")
	w.write(one, "the same", 0o444)
	w.must(os.Link(one, two))
	w.must(os.MkdirAll(filepath.Join(w.Store, ".links"), 0o755))
	w.must(os.Link(one, filepath.Join(w.Store, ".links/x")))
	w.root(kept)
	w.write(kept, "more", 0o444)
	w.must(os.Link(kept, filepath.Join(w.Store, "three")))
	p, err := w.survey()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, d := range p.Dead {
		got[filepath.Base(d.Path)] = d.Bytes > 0
	}
	if diff := cmp.Diff(map[string]bool{"one": false, "two": true, "three": false}, got); diff != "" {
		t.Errorf("frees something (-want +got):\n%s", diff)
	}
}

// What Nix keeps for a file in a user's cache is no obstacle once the cache was deleted, unless the cache
// may only be out of reach.
func TestDeletedCache(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(w *world, cache string) error
		drops  bool
	}{
		"the file is gone":         {func(_ *world, cache string) error { return os.Remove(filepath.Join(cache, "flake-registry.json")) }, true},
		"the cache is gone":        {func(_ *world, cache string) error { return os.RemoveAll(cache) }, true},
		"all of the user's is":     {func(_ *world, cache string) error { return os.RemoveAll(filepath.Dir(cache)) }, true},
		"it leads to another disk": {func(w *world, cache string) error { return elsewhere(w, cache, true) }, false},
		"which is not mounted":     {func(w *world, cache string) error { return elsewhere(w, cache, false) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			cache := filepath.Join(w.Layout.State, "users/me/cache")
			file := filepath.Join(cache, "flake-registry.json")
			w.link(w.path("registry"), file)
			link := filepath.Join(w.Layout.State, "gcroots/auto/registry")
			w.link(file, link)
			if p, err := w.survey(); err != nil || len(p.Roots)+len(p.Dead) > 0 {
				t.Fatalf("before: %+v, %v", p, err)
			}
			w.must(tt.change(w, cache))
			p, err := w.survey()
			if !tt.drops {
				if fault.KindOf(err) != fault.Unfit {
					t.Errorf("it is not refused: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"registry"}, names(p.Dead)); diff != "" || len(p.Roots) != 1 {
				t.Errorf("roots %+v, dead (-want +got):\n%s", p.Roots, diff)
			}
			if _, err := p.Execute(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Lstat(link); err == nil {
				t.Error("the root is still there")
			}
			// It gives up nothing else by the way.
			w.must(os.Remove(w.root(w.path("mine"))))
			w.link(file, link)
			if _, err := w.survey(); fault.KindOf(err) != fault.Unfit || strings.Contains(err.Error(), "registry") || !strings.Contains(err.Error(), "home/mine") {
				t.Errorf("with a root of somebody's: %v", err)
			}
		})
	}
}

// elsewhere makes a directory a link to one with nothing in it, or to one that is not there.
func elsewhere(w *world, dir string, there bool) error {
	other := filepath.Join(w.home, "disk")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if there {
		if err := os.MkdirAll(other, 0o755); err != nil {
			return err
		}
	}
	return os.Symlink(other, dir)
}
