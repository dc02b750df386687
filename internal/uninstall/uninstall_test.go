package uninstall_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/prefix"
	"bootstrap/internal/receipt"
	"bootstrap/internal/uninstall"
)

func TestEverythingIsAsBefore(t *testing.T) {
	worlds := map[string]func(w *world){
		"parent with an etc":    func(*world) {},
		"no parent at all":      func(w *world) { w.must(os.RemoveAll(w.root)) },
		"empty store directory": func(w *world) { w.must(os.Mkdir(w.l.Store, 0o755)) },
		"every directory is there": func(w *world) {
			for _, d := range []string{w.l.Store, w.l.State, w.l.Log, w.l.Conf, w.l.Work, w.l.Share, w.l.ProfileD} {
				w.must(os.MkdirAll(d, 0o755))
			}
		},
		"share and etc are links": func(w *world) {
			w.must(os.Rename(w.root+"/etc", w.top+"/etc"))
			w.link(w.top+"/etc", "opt/etc")
			w.must(os.Mkdir(w.top+"/share", 0o755))
			w.link(w.top+"/share", "opt/share")
			var err error
			w.l, err = prefix.Resolve(prefix.Options{Path: w.root + "/store"})
			w.must(err)
		},
		"other places": func(w *world) {
			var err error
			w.l, err = prefix.Resolve(prefix.Options{
				Path: w.root + "/store", StateDir: w.top + "/s/state", LogDir: w.top + "/s/log", ConfDir: w.top + "/conf",
			})
			w.must(err)
		},
		"state below var": func(w *world) {
			var err error
			w.l, err = prefix.Resolve(prefix.Options{Path: w.root + "/store", StateDir: w.root + "/var"})
			w.must(err)
		},
	}
	for name, prepare := range worlds {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			prepare(w)
			before := w.manifest()
			w.install()
			if !w.ownWork() { // somebody else's work directory: only what is recorded goes
				w.record(journal.Tree, w.l.HostDir())
				w.record(journal.Tree, w.l.TmpDir())
			}
			r := w.plan()
			same(t, "foreign in the plan", 0, len(r.Foreign))
			report, err := r.Execute(context.Background(), nil, nil)
			w.must(err)
			same(t, "tree", before, w.manifest())
			same(t, "foreign", 0, len(report.Foreign))
			same(t, "warnings", 0, len(report.Warnings))
		})
	}
}

// ownWork reports whether the work directory is recorded.
func (w *world) ownWork() bool {
	return slices.ContainsFunc(w.options().Journal.Created(), func(r journal.Record) bool { return r.Path == w.l.Work })
}

func TestAsAnOrdinaryUser(t *testing.T) {
	if asUser(t) {
		return
	}
	w := newWorld(t)
	before := w.manifest()
	w.install()
	w.must(os.Chmod(w.l.Store, 0o555))
	w.must(os.Chmod(w.l.Conf, 0o500))
	w.uninstall()
	same(t, "tree", before, w.manifest())
}

func TestForeignFilesStayAndAreListed(t *testing.T) {
	w := newWorld(t)
	w.must(os.RemoveAll(w.root))
	w.install()
	foreign := []string{
		w.write(w.root+"/notes", "1"),
		w.write(w.root+"/etc/other.conf", "2"),
		w.write(w.l.Conf+"/machines", "3"),
		w.write(w.l.ProfileD+"/mine.sh", "4"),
		w.write(w.root+"/share/man/man1/x.1", "5"),
		w.write(w.l.Share+"/mine", "6"),
		w.write(w.l.StorePath("notes.txt"), "7"),
		w.write(w.l.StorePath("mine/deep/er/x"), "8"),
		w.write(w.l.StorePath(".keep"), ""),
		w.write(w.l.StorePath("trash"), ""),
		w.write(w.l.StorePath(strings.Repeat("e", 32)+"-not-base32"), ""),
		w.write(w.l.State+"/notes", "9"),
		w.write(w.l.Database()+"/db.sqlite.bak", "10"),
		w.write(w.l.Profiles()+"/notes", "11"),
		w.write(w.l.State+"/gcroots/auto/notes", "12"),
		w.write(w.l.Log+"/notes", "13"),
		w.write(uninstall.LogsOf(w.l)+"/01/notes", "14"),
		w.write(uninstall.LogsOf(w.l)+"/notes/x", "15"),
		w.write(w.root+"/var/notes", "16"),
	}
	w.must(os.Chmod(w.l.Profiles(), 0o555)) // a directory that stays keeps its mode
	w.must(os.Chmod(w.l.Conf, 0o555))
	want := map[string]string{}
	w.must(os.Chmod(w.l.StorePath(hash2+"-source.drv.chroot/root/secret"), 0o700)) // for the manifest
	all := w.manifest()
	for path, is := range all {
		for _, f := range foreign {
			if within(w.top+path, f) || within(f, w.top+path) {
				want[path] = is
			}
		}
	}
	for _, path := range []string{"/home", "/home/.bashrc", "/home/result-of-mine"} {
		want[path] = all[path]
	}
	want["/home/.bashrc"] = newWorld(t).manifest()["/home/.bashrc"]

	listed := slices.Clone(foreign)
	for i, f := range listed {
		for _, d := range []string{w.l.StorePath("mine"), w.root + "/share/man", uninstall.LogsOf(w.l) + "/notes"} {
			if within(f, d) {
				listed[i] = d
			}
		}
	}
	slices.Sort(listed)
	r := w.plan()
	same(t, "foreign in the plan", listed, r.Foreign)
	report, err := r.Execute(context.Background(), nil, nil)
	w.must(err)
	same(t, "foreign", listed, report.Foreign)
	same(t, "tree", want, w.manifest())
}

// within reports whether path is dir or below it.
func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func TestInterruptedAtEveryEventIsResumed(t *testing.T) {
	w := newWorld(t)
	before := w.manifest()
	steps := len(func() []uninstall.Step { w.install(); return w.plan().Steps }())
	w.uninstall()
	for stop := range steps {
		t.Run(fmt.Sprint(stop), func(t *testing.T) {
			w := newWorld(t)
			w.install()
			ctx, cancel := context.WithCancel(context.Background())
			n := 0
			_, err := w.plan().Execute(ctx, nil, func(uninstall.Step) {
				if n == stop {
					cancel()
				}
				n++
			})
			if !errors.Is(err, context.Canceled) || fault.KindOf(err) != fault.Interrupted || fault.HintOf(err) == "" {
				t.Fatalf("got %v", err)
			}
			if _, err := os.Lstat(w.l.Journal()); err != nil {
				t.Fatalf("the journal went: %v", err)
			}
			w.uninstall()
			same(t, "tree", before, w.manifest())
		})
	}
}

func TestCancelStopsBetweenEntries(t *testing.T) {
	w := newWorld(t)
	w.install()
	for i := range 3000 {
		w.write(w.l.StorePath(fmt.Sprintf("%s-big/%d", hash2, i)), "")
	}
	ctx, cancel := context.WithCancel(context.Background())
	sink := event.Func(func(e event.Event) {
		if e.Kind == event.Progress && e.Done >= 1000 {
			cancel()
		}
	})
	report, err := w.plan().Execute(ctx, sink, nil)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if report.Files != 1000 {
		t.Errorf("removed %d files", report.Files)
	}
	if second := w.uninstall(); second.Files < 2000 {
		t.Errorf("the second run removed %d files", second.Files)
	}
}

func TestRunAgainWhenNothingIsLeft(t *testing.T) {
	w := newWorld(t)
	w.install()
	o := w.options()
	w.uninstall()
	after := w.manifest()
	_, err := uninstall.Plan(context.Background(), w.options())
	if !errors.Is(err, uninstall.ErrNothing) || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	r, err := uninstall.Plan(context.Background(), o) // with records of what is gone
	w.must(err)
	report, err := r.Execute(context.Background(), nil, nil)
	w.must(err)
	same(t, "report", uninstall.Report{}, report)
	same(t, "tree", after, w.manifest())
}

func TestReceiptAloneIsEnough(t *testing.T) {
	w := newWorld(t)
	before := w.manifest()
	w.install()
	o := w.options()
	o.Receipt = &receipt.Receipt{Layout: w.l}
	for _, r := range o.Journal.Created() {
		if r.Kind == journal.Block {
			o.Receipt.Hooks = append(o.Receipt.Hooks, receipt.Hook{Shell: "bash", File: r.Path})
			continue
		}
		o.Receipt.Made = append(o.Receipt.Made, receipt.Made{Kind: string(r.Kind), Path: r.Path})
	}
	o.Journal = nil
	o.Shell.Home = "" // not known: what is recorded is found all the same
	w.must(os.Remove(w.l.Journal()))
	r, err := uninstall.Plan(context.Background(), o)
	w.must(err)
	_, err = r.Execute(context.Background(), nil, nil)
	w.must(err)
	same(t, "tree", before, w.manifest())
}

func TestReport(t *testing.T) {
	w := newWorld(t)
	w.open()
	w.mkdir(w.l.Store)
	first := w.write(w.l.StorePath(hash1+"-a"), strings.Repeat("x", 1000))
	w.must(os.Link(first, w.l.StorePath(hash2+"-b")))
	w.must(os.Mkdir(w.l.StorePath(".links"), 0o755))
	w.must(os.Link(first, w.l.StorePath(".links/x")))
	size := len(must(os.ReadFile(w.l.Journal())))
	got := w.uninstall()
	// .links, store, work, var
	want := uninstall.Report{Files: 4, Directories: 4, Bytes: int64(1000 + size)}
	same(t, "report", want, got)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestEvents(t *testing.T) {
	w := newWorld(t)
	w.install()
	o := w.options()
	now := time.Unix(1, 0)
	o.Now = func() time.Time { return now }
	r, err := uninstall.Plan(context.Background(), o)
	w.must(err)
	var kinds []event.Kind
	var done int64
	var last []uninstall.StepName
	report, err := r.Execute(context.Background(), event.Func(func(e event.Event) {
		if e.Stage != uninstall.Stage || e.Time != now || e.Kind == event.Progress && e.Done < done {
			t.Errorf("got %+v", e)
		}
		done = max(done, e.Done)
		if !slices.Contains(kinds, e.Kind) {
			kinds = append(kinds, e.Kind)
		}
	}), func(s uninstall.Step) { last = append(last, s.Name) })
	w.must(err)
	same(t, "kinds", []event.Kind{event.Start, event.Progress, event.Done}, kinds)
	same(t, "files", report.Files, done)
	same(t, "steps", []uninstall.StepName{
		uninstall.Borrowed, uninstall.ShellHooks, uninstall.Configuration, uninstall.PackageSet, uninstall.Database, uninstall.Store,
		uninstall.State, uninstall.Logs, uninstall.Work, uninstall.Directories, uninstall.Journal,
	}, last)
}

func TestPlanChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.install()
	w.must(os.Chmod(w.l.StorePath(hash2+"-source.drv.chroot/root/secret"), 0o700))
	before := w.manifest()
	w.plan()
	same(t, "tree", before, w.manifest())
}

func TestLinksElsewhereAreReported(t *testing.T) {
	w := newWorld(t)
	w.install()
	into := w.home + "/result"
	w.link(w.l.StorePath(hash1+"-nix-2.26.3"), into)
	w.link(into, w.l.State+"/gcroots/auto/"+hash1)
	w.link(w.home+"/gone", w.l.State+"/gcroots/auto/"+hash2)
	w.link(w.home+"/.bashrc", w.l.State+"/gcroots/auto/elsewhere")
	r := w.plan()
	same(t, "plan", []string{into}, r.Dangling)
	report, err := r.Execute(context.Background(), nil, nil)
	w.must(err)
	same(t, "report", []string{into}, report.Dangling)
	if _, err := os.Lstat(into); err != nil {
		t.Errorf("the link went: %v", err)
	}
}

func TestVeryDeepTree(t *testing.T) {
	w := newWorld(t)
	before := w.manifest()
	w.install()
	dir, err := os.OpenRoot(w.l.Store)
	w.must(err)
	name := hash1 + "-deep"
	for range 400 { // beyond what a path can name
		w.must(dir.Mkdir(name, 0o755))
		next, err := dir.OpenRoot(name)
		w.must(err)
		w.must(next.WriteFile("f", nil, 0o444))
		dir.Close()
		dir, name = next, "sub-directory"
	}
	dir.Close()
	w.uninstall()
	same(t, "tree", before, w.manifest())
}

func TestBlockThatCannotBeRemovedIsAWarning(t *testing.T) {
	w := newWorld(t)
	w.install()
	bashrc := filepath.Join(w.home, ".bashrc")
	begin, _, _ := strings.Cut(string(must(os.ReadFile(bashrc))), "# <<<")
	w.write(bashrc, begin)
	report := w.uninstall()
	if len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], bashrc) {
		t.Errorf("got %q", report.Warnings)
	}
	if _, err := os.Lstat(w.l.Work); err == nil {
		t.Error("the rest was not removed")
	}
}
