package uninstall_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/receipt"
	"bootstrap/internal/uninstall"
)

func TestRecordsThatAreNotBelieved(t *testing.T) {
	tests := map[string]func(w *world) journal.Record{
		"tree that is the root":   func(*world) journal.Record { return journal.Record{Kind: journal.Tree, Path: "/"} },
		"tree outside":            func(w *world) journal.Record { return journal.Record{Kind: journal.Tree, Path: w.home} },
		"tree above the store":    func(w *world) journal.Record { return journal.Record{Kind: journal.Tree, Path: w.root} },
		"tree that is the store":  func(w *world) journal.Record { return journal.Record{Kind: journal.Tree, Path: w.l.Store} },
		"tree with configuration": func(w *world) journal.Record { return journal.Record{Kind: journal.Tree, Path: w.root + "/etc"} },
		"file outside":            func(w *world) journal.Record { return journal.Record{Kind: journal.File, Path: w.home + "/.bashrc"} },
		"link outside":            func(w *world) journal.Record { return journal.Record{Kind: journal.Link, Path: w.home + "/link"} },
		"path that is not clean": func(w *world) journal.Record {
			return journal.Record{Kind: journal.File, Path: w.root + "/../home/.bashrc"}
		},
		"file through a link made": func(w *world) journal.Record { return journal.Record{Kind: journal.File, Path: w.l.Share + "/.bashrc"} },
	}
	for name, record := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.link("nowhere", "home/link")
			w.must(os.MkdirAll(filepath.Dir(w.l.Share), 0o755))
			w.link(w.home, w.l.Share)
			w.open()
			before := w.manifest()
			w.mkdir(w.l.Store)
			w.write(w.l.StorePath("mine"), "precious")
			r := record(w)
			w.record(r.Kind, r.Path)
			report := w.uninstall()
			if len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], r.Path) {
				t.Errorf("warnings: %q", report.Warnings)
			}
			for _, path := range []string{"/home/.bashrc", "/home/link", "/opt/etc/hosts", "/home/result-of-mine"} {
				if before[path] != w.manifest()[path] {
					t.Errorf("%s is %q now", path, w.manifest()[path])
				}
			}
			same(t, "foreign", []string{w.l.StorePath("mine")}, report.Foreign)
		})
	}
}

func TestStoreThatWasThereBeforeStays(t *testing.T) {
	w := newWorld(t)
	w.write(w.l.StorePath(hash1+"-theirs"), "x")
	w.write(w.l.Database()+"/db.sqlite", "x")
	w.write(w.l.Profiles()+"/default.lock", "")
	w.write(w.l.Log+"/drvs/01/"+hash1[2:]+"-theirs.drv", "x")
	before := w.manifest()
	w.open()
	w.mkdir(w.l.Conf)
	w.write(w.record(journal.File, w.l.NixConf()), "x")
	report := w.uninstall()
	same(t, "tree", before, w.manifest())
	if len(report.Warnings) != 3 || !slices.Contains(report.Foreign, w.l.StorePath(hash1+"-theirs")) {
		t.Errorf("got %+v", report)
	}
}

func TestNoLinkIsFollowed(t *testing.T) {
	swap := func(w *world, path string) { // put a link to a precious copy in its place
		w.must(os.Rename(path, w.top+"/precious"))
		w.link(w.top+"/precious", path)
	}
	t.Run("state entry", func(t *testing.T) {
		w := newWorld(t)
		w.install()
		swap(w, w.l.State+"/users")
		w.uninstall()
		if _, err := os.Lstat(w.top + "/precious/me/cache/fetcher-cache-v2.sqlite"); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(w.l.State); err == nil {
			t.Error("the link is still there")
		}
	})
	t.Run("tree", func(t *testing.T) {
		w := newWorld(t)
		w.install()
		swap(w, w.l.Packages)
		w.uninstall()
		if _, err := os.Lstat(w.top + "/precious/default.nix"); err != nil {
			t.Error(err)
		}
	})
	t.Run("share, which we made", func(t *testing.T) {
		w := newWorld(t)
		w.install()
		swap(w, w.l.Share)
		report := w.uninstall()
		if _, err := os.Lstat(w.top + "/precious/packages/default.nix"); err != nil {
			t.Error(err)
		}
		same(t, "foreign", []string{w.l.Share}, report.Foreign)
		if len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], w.l.Share) {
			t.Errorf("warnings: %q", report.Warnings)
		}
	})
	t.Run("below a directory of ours", func(t *testing.T) {
		w := newWorld(t)
		w.install()
		w.mkdir(w.l.Conf + "/sub")
		w.write(w.record(journal.File, w.l.Conf+"/sub/file"), "x")
		swap(w, w.l.Conf+"/sub")
		report := w.uninstall()
		if _, err := os.Lstat(w.top + "/precious/file"); err != nil {
			t.Error(err)
		}
		same(t, "foreign", []string{w.l.Conf + "/sub"}, report.Foreign)
	})
	t.Run("directory of the layout", func(t *testing.T) {
		w := newWorld(t)
		w.install()
		swap(w, w.l.Store)
		_, err := uninstall.Plan(context.Background(), w.options())
		if fault.KindOf(err) != fault.Unfit || fault.HintOf(err) == "" || !strings.Contains(err.Error(), w.l.Store) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("swapped after the plan", func(t *testing.T) {
		w := newWorld(t)
		w.install()
		r := w.plan()
		swap(w, w.l.Store)
		_, _ = r.Execute(context.Background(), nil, nil)
		if _, err := os.Lstat(w.top + "/precious/" + hash2 + "-source.drv"); err != nil {
			t.Error(err)
		}
	})
}

func TestThingsInThePlaceOfOurs(t *testing.T) {
	w := newWorld(t)
	w.install()
	w.must(os.Remove(w.l.Certificates()))
	w.write(w.l.Certificates(), "my own")
	w.must(os.Remove(w.l.EnvFile("sh")))
	w.write(w.l.EnvFile("sh")+"/x", "a directory")
	report := w.uninstall()
	same(t, "foreign", []string{w.l.Certificates(), w.l.EnvFile("sh")}, report.Foreign)
}

func TestReceiptOfAnotherStore(t *testing.T) {
	w := newWorld(t)
	w.install()
	o := w.options()
	other := w.l
	other.Store = "/elsewhere/store"
	o.Receipt = &receipt.Receipt{Layout: other}
	_, err := uninstall.Plan(context.Background(), o)
	if fault.KindOf(err) != fault.Unfit || !strings.Contains(err.Error(), "/elsewhere/store") || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
}

func TestMountsAreRefused(t *testing.T) {
	tests := map[string]struct {
		point  func(w *world) string
		refuse bool
	}{
		"in a store path":     {func(w *world) string { return w.l.StorePath(hash1 + "-nix-2.26.3/bin") }, true},
		"a store path":        {func(w *world) string { return w.l.StorePath(hash1 + "-nix-2.26.3") }, true},
		"with a blank":        {func(w *world) string { return w.l.HostDir() + `/a\040b` }, true},
		"in the database":     {func(w *world) string { return w.l.Database() }, true},
		"the store directory": {func(w *world) string { return w.l.Store }, false},
		"in a foreign place":  {func(w *world) string { return w.l.StorePath("mine/mnt") }, false},
		"elsewhere":           {func(*world) string { return "/" }, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.install()
			w.write(w.l.StorePath("mine/mnt/x"), "x")
			o := w.options()
			o.MountInfo = w.write("mountinfo", "36 35 98:0 / "+tt.point(w)+" rw,noatime - ext3 /dev/root rw\n\nshort\n")
			_, err := uninstall.Plan(context.Background(), o)
			if !tt.refuse {
				w.must(err)
				return
			}
			want := strings.ReplaceAll(tt.point(w), `\040`, " ")
			if fault.KindOf(err) != fault.Unfit || fault.HintOf(err) == "" || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestRealMount needs the right to mount; without it the list of mounts is all that is tested.
func TestRealMount(t *testing.T) {
	w := newWorld(t)
	w.install()
	point := w.l.StorePath(hash2 + "-source.drv.chroot/root/mnt")
	w.must(os.Mkdir(point, 0o755))
	if err := syscall.Mount("tmpfs", point, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("no mount can be made here: %v", err)
	}
	mounted := true
	unmount := func() {
		if mounted {
			w.must(syscall.Unmount(point, 0))
		}
		mounted = false
	}
	t.Cleanup(unmount)
	w.write(point+"/precious", "x")
	if _, err := uninstall.Plan(context.Background(), w.options()); err == nil || !strings.Contains(err.Error(), point) {
		t.Errorf("plan: got %v", err)
	}
	o := w.options()
	o.MountInfo = w.write("mountinfo", "") // the device tells too
	r, err := uninstall.Plan(context.Background(), o)
	w.must(err)
	_, err = r.Execute(context.Background(), nil, nil)
	if err == nil || !strings.Contains(err.Error(), "is a mount point") || fault.HintOf(err) == "" {
		t.Errorf("execute: got %v", err)
	}
	if _, err := os.Lstat(point + "/precious"); err != nil {
		t.Error(err)
	}
	unmount()
	w.uninstall()
	if _, err := os.Lstat(w.l.Store); err == nil {
		t.Error("not resumed")
	}
}

func TestWhatCannotBeRemovedKeepsTheJournal(t *testing.T) {
	if asUser(t) {
		return
	}
	w := newWorld(t)
	w.must(os.MkdirAll(w.root+"/etc/nix", 0o755))
	before := w.manifest()
	w.install()
	theirs := w.l.Conf // it was there before, so its mode is not ours to change
	w.must(os.Chmod(theirs, 0o555))
	report, err := w.plan().Execute(context.Background(), nil, nil)
	if !errors.Is(err, os.ErrPermission) || fault.KindOf(err) != fault.General || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if len(report.Failed) != 2 || !strings.Contains(report.Failed[0], theirs) {
		t.Errorf("failed: %q", report.Failed)
	}
	if _, err := os.Lstat(w.l.Journal()); err != nil {
		t.Errorf("the journal went: %v", err)
	}
	if _, err := os.Lstat(w.l.StorePath(hash2 + "-source.drv")); err == nil {
		t.Error("the rest was not removed")
	}
	w.must(os.Chmod(theirs, 0o755))
	w.uninstall()
	same(t, "tree", before, w.manifest())
}
