package uninstall

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/journal"
)

// survey fills a removal by looking at the disk.
type survey struct{ *Removal }

func (s *survey) run(ctx context.Context) error {
	s.Warnings = s.rec.warnings
	for _, h := range s.rec.hooks {
		s.Hooks = append(s.Hooks, h.Path)
	}
	for _, name := range []StepName{ // the order
		Borrowed, ShellHooks, Configuration, PackageSet, Database, Store, State, Logs, Work, Directories, Journal,
	} {
		s.step(name)
	}
	s.recorded()
	s.borrowed()
	s.caches()
	s.lent()
	for _, look := range []func(context.Context) error{s.store, s.state, s.logs, s.work} {
		if err := look(ctx); err != nil {
			return err
		}
	}
	s.step(Directories).Paths = s.rec.deepestFirst()
	s.step(Journal).Paths = last(s.Layout)
	s.predict()
	s.Foreign = tidy(s.Foreign)
	slices.Sort(s.Dangling)
	return s.checkMounts()
}

// recorded plans what journal and receipt name, each in the step it belongs to.
func (s *survey) recorded() {
	for _, f := range s.rec.files {
		switch {
		case s.rec.trees[s.Layout.Work] && within(f.path, s.Layout.Work):
		case within(f.path, s.Layout.Work):
			s.addPath(Work, f)
		case within(f.path, s.Layout.Share):
			s.addPath(PackageSet, f)
		default:
			s.addPath(Configuration, f)
		}
	}
	for _, path := range sortedKeys(s.rec.trees) {
		tree := record{journal.Tree, path}
		switch {
		case within(path, s.Layout.Work): // see work
		case within(path, s.Layout.Share):
			s.addPath(PackageSet, tree)
		case within(path, s.Layout.State):
			s.addPath(State, tree)
		case within(path, s.Layout.Log), within(path, s.Layout.RunLog):
			s.addPath(Logs, tree)
		default:
			s.addPath(Configuration, tree)
		}
	}
}

func (s *survey) addPath(step StepName, r record) {
	s.add(step, filepath.Dir(r.path), entry{name: filepath.Base(r.path), kind: r.kind})
}

// ours reports whether the store was made by us, and so what Nix made in it.
func (s *survey) ours() bool {
	l := s.Layout
	return s.rec.made(l.Store) || s.rec.made(l.State) || s.rec.made(l.Database())
}

func (s *survey) store(ctx context.Context) error {
	known := func(name string) (filter, bool) { return nil, isStoreName(name) }
	return s.nixDirectory(ctx, s.Layout.Store, s.ours(), known, func(string) StepName { return Store })
}

func (s *survey) state(ctx context.Context) error {
	step := func(name string) StepName {
		if filepath.Join(s.Layout.State, name) == s.Layout.Database() {
			return Database
		}
		return State
	}
	if s.ours() {
		s.dangling()
	}
	return s.nixDirectory(ctx, s.Layout.State, s.ours(), stateEntry, step)
}

func (s *survey) logs(ctx context.Context) error {
	ours := s.rec.made(s.Layout.Log) || s.rec.made(LogsOf(s.Layout))
	return s.nixDirectory(ctx, s.Layout.Log, ours, logEntry, func(string) StepName { return Logs })
}

// nixDirectory plans the entries of a directory that Nix fills.
func (s *survey) nixDirectory(ctx context.Context, dir string, ours bool,
	known func(name string) (filter, bool), step func(name string) StepName,
) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return missingIsFine(err)
	}
	left := 0
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := filepath.Join(dir, e.Name())
		keep, nixs := known(e.Name())
		switch {
		case s.rec.trees[path] || s.isFile(path) || s.isWay(path): // planned elsewhere
		case !nixs:
			s.Foreign = append(s.Foreign, path)
		case !ours:
			left++
			s.Foreign = append(s.Foreign, path)
		default:
			s.add(step(e.Name()), dir, entry{name: e.Name(), kind: journal.Tree, ours: keep})
			s.foreignIn(path, keep)
		}
	}
	if left > 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("left what Nix has in %q: no record says that it was made for this prefix", dir))
	}
	return nil
}

// isWay reports whether path leads to another directory of the layout, or is one.
func (s *survey) isWay(path string) bool {
	return slices.ContainsFunc(append(strict(s.Layout), s.Layout.Share, s.Layout.ProfileD), func(d string) bool {
		return within(d, path)
	})
}

func (s *survey) isFile(path string) bool {
	return slices.ContainsFunc(s.rec.files, func(r record) bool { return r.path == path })
}

// foreignIn notes what a removal through a filter is going to leave.
func (s *survey) foreignIn(top string, ours filter) {
	if ours == nil {
		return
	}
	_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == top {
			return nil // what cannot be looked at cannot be removed either, which is said then
		}
		depth := strings.Count(path[len(top):], "/")
		if ours(depth, d.Name(), d.Type()) {
			return nil
		}
		s.Foreign = append(s.Foreign, path)
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
}

// work plans the work directory without its last files.
func (s *survey) work(context.Context) error {
	l := s.Layout
	if !s.rec.trees[l.Work] {
		for _, path := range sortedKeys(s.rec.trees) {
			if within(path, l.Work) {
				s.addPath(Work, record{journal.Tree, path})
			}
		}
		return nil
	}
	entries, err := os.ReadDir(l.Work)
	if err != nil {
		return missingIsFine(err)
	}
	for _, e := range entries {
		if !slices.Contains(last(l), filepath.Join(l.Work, e.Name())) {
			s.add(Work, l.Work, entry{name: e.Name(), kind: journal.Tree})
		}
	}
	return nil
}

// dangling finds links elsewhere that Nix registered as GC roots (gc.cc, addIndirectRoot).
func (s *survey) dangling() {
	auto := filepath.Join(s.Layout.State, "gcroots", "auto")
	entries, err := os.ReadDir(auto)
	if err != nil {
		return
	}
	for _, e := range entries {
		link, err := os.Readlink(filepath.Join(auto, e.Name()))
		if err != nil || !filepath.IsAbs(link) || baseOf(s.Layout, filepath.Clean(link)) != "" {
			continue
		}
		to, err := os.Readlink(link)
		if err == nil && (within(filepath.Clean(to), s.Layout.Store) || within(filepath.Clean(to), s.Layout.State)) {
			s.Dangling = append(s.Dangling, link)
		}
	}
}

// predict notes what is going to be left in the directories we made.
func (s *survey) predict() {
	targets := map[string]bool{s.Layout.Work: s.rec.trees[s.Layout.Work]}
	for _, step := range s.Steps {
		if step.Name == Directories {
			continue
		}
		for _, p := range step.Paths {
			targets[p] = true
		}
	}
	covered := func(dir string) bool {
		for ; dir != "/"; dir = filepath.Dir(dir) {
			if targets[dir] {
				return true
			}
		}
		return false
	}
	for _, dir := range s.rec.deepestFirst() {
		entries, err := os.ReadDir(dir)
		if err != nil || covered(dir) {
			continue
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if !targets[path] && !(s.rec.dirs[path] && e.IsDir()) {
				s.Foreign = append(s.Foreign, path)
			}
		}
	}
}

// tidy sorts paths and drops those that stand only for others, deeper ones.
func tidy(paths []string) []string {
	slices.Sort(paths)
	paths = slices.Compact(paths)
	above := map[string]bool{}
	for _, p := range paths {
		for d := filepath.Dir(p); d != "/" && !above[d]; d = filepath.Dir(d) {
			above[d] = true
		}
	}
	return slices.DeleteFunc(paths, func(p string) bool { return above[p] })
}

func missingIsFine(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func sortedKeys(m map[string]bool) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
