package uninstall_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/journal"
	"bootstrap/internal/prefix"
	"bootstrap/internal/shellrc"
	"bootstrap/internal/uninstall"
)

const (
	hash1 = "0123456789abcdfghijklmnpqrsvwxyz"
	hash2 = "zyxwvsrqpnmlkjihgfdcba9876543210"
)

// world is a host with a prefix on it.
type world struct {
	t    *testing.T
	top  string // everything is below it
	home string
	root string
	l    prefix.Layout
	j    *journal.Journal
	shrc shellrc.Options
}

// newWorld makes a host on which nothing is installed: a home, and a parent with an etc of its own.
func newWorld(t *testing.T) *world {
	t.Helper()
	top, err := os.MkdirTemp("", "u-") // a prefix may not be as long as a directory of the test's name
	if err == nil {
		top, err = filepath.EvalSymlinks(top)
	}
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, top: top, home: top + "/home", root: top + "/opt"}
	t.Cleanup(func() {
		// What is left must not keep the directory from being removed.
		_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, _ error) error {
			if d != nil && d.IsDir() {
				_ = os.Chmod(path, 0o700)
			}
			return nil
		})
		_ = os.RemoveAll(top)
	})
	w.write("home/.bashrc", "alias l=ls")
	w.write("home/result-of-mine", "x")
	w.write("opt/etc/hosts", "127.0.0.1")
	w.write("opt/etc/profile.d/locale.sh", "LANG=C")
	if w.l, err = prefix.Resolve(prefix.Options{Path: w.root + "/store"}); err != nil {
		t.Fatal(err)
	}
	w.shrc = shellrc.Options{
		Home: w.home, Root: w.root, Shells: []shellrc.Shell{shellrc.Bash, shellrc.Fish},
		EnvSh: w.l.EnvFile("sh"), EnvFish: w.l.EnvFile("fish"), EnvCsh: w.l.EnvFile("csh"),
	}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// abs takes paths below top and absolute ones.
func (w *world) abs(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(w.top, path)
}

// write makes a file, and its parents, that nobody records.
func (w *world) write(path, content string) string {
	w.t.Helper()
	path = w.abs(path)
	w.must(os.MkdirAll(filepath.Dir(path), 0o755))
	w.must(os.WriteFile(path, []byte(content), 0o644))
	return path
}

func (w *world) link(to, path string) {
	w.t.Helper()
	w.must(os.MkdirAll(filepath.Dir(w.abs(path)), 0o755))
	w.must(os.Symlink(to, w.abs(path)))
}

// record announces what is about to be made.
func (w *world) record(kind journal.Kind, path string) string {
	w.t.Helper()
	w.must(w.j.Create("test", kind, w.abs(path)))
	return w.abs(path)
}

// mkdir makes a directory as the installer does: every one that is missing is recorded first.
func (w *world) mkdir(path string) {
	w.t.Helper()
	for _, dir := range missing(path) {
		w.must(w.j.Create("test", journal.Directory, dir))
		w.must(os.Mkdir(dir, 0o755))
	}
}

// missing returns path and those above it that are not there, the outermost first.
func missing(path string) []string {
	var out []string
	for ; ; path = filepath.Dir(path) {
		if _, err := os.Lstat(path); err == nil {
			return out
		}
		out = append([]string{path}, out...)
	}
}

// open starts the journal.
func (w *world) open() {
	w.t.Helper()
	made := missing(w.l.Work)
	w.must(os.MkdirAll(w.l.Work, 0o755))
	j, err := journal.Open(journal.Options{Path: w.l.Journal(), Run: "r", Now: time.Now})
	w.must(err)
	w.t.Cleanup(func() { j.Close() })
	w.j = j
	for _, dir := range made {
		kind := journal.Directory
		if dir == w.l.Work {
			kind = journal.Tree
		}
		w.record(kind, dir)
	}
}

// install makes what an installation makes, and what Nix makes in use.
func (w *world) install() {
	w.t.Helper()
	l := w.l
	w.open()
	for _, dir := range []string{l.Store, l.Database(), uninstall.LogsOf(l), l.Conf, l.ProfileD, l.Share, l.GCRoots(), filepath.Dir(l.RunLog)} {
		w.mkdir(dir)
	}
	w.write(l.Receipt(), "{}")
	w.write(l.LockFile(), "pid")
	w.write(l.HostDir()+"/bin/nix", "host")
	w.must(os.MkdirAll(l.TmpDir(), 0o700))
	w.write(w.record(journal.Tree, l.RunLog)+"/fetch.log", "log")
	w.write(w.record(journal.Tree, l.Packages)+"/default.nix", "{}")
	w.write(w.record(journal.File, l.NixConf()), "experimental-features =")
	w.link(l.StorePath(hash1+"-cacert/etc/bundle.crt"), w.record(journal.Link, l.Certificates()))
	w.write(w.record(journal.File, l.EnvFile("sh")), "PATH=")
	w.write(w.record(journal.File, l.EnvFile("fish")), "set PATH")
	changes, err := shellrc.Add(w.shrc)
	w.must(err)
	for _, c := range changes {
		w.record(journal.Block, c.Path)
	}
	w.store()
	w.state()
	log := uninstall.LogsOf(l) + "/01/" + hash1[2:] + "-nix.drv.bz2"
	w.write(log, "bzip")
}

// store makes store paths as Nix leaves them: read-only, linked, with things that are no files.
func (w *world) store() {
	w.t.Helper()
	nix := w.l.StorePath(hash1 + "-nix-2.26.3")
	file := w.write(nix+"/bin/nix", strings.Repeat("n", 1000))
	w.write(nix+"/share/deep/er/doc", "doc")
	w.link("nowhere", nix+"/share/dangling")
	w.link(w.home, nix+"/share/home")
	w.must(os.Mkdir(nix+"/empty", 0o755))
	w.write(w.l.StorePath(".links/1xyz"), "")
	w.must(os.Link(file, w.l.StorePath(".links/"+hash1)))
	w.write(w.l.StorePath(hash2+"-source.drv"), "Derive")
	w.write(w.l.StorePath(hash2+"-source.lock"), "")
	w.write(w.l.StorePath("tmp-123-0/x"), "half a download")
	w.link("x", w.l.StorePath(".tmp-link-12-3456"))
	w.must(syscall.Mkfifo(w.l.StorePath(hash2+"-pipe"), 0o600))
	w.must(os.Chmod(file, 0o555))
	for _, dir := range []string{"/share/deep/er", "/share/deep", "/share", "/bin", "/empty", ""} {
		w.must(os.Chmod(nix+dir, 0o555))
	}
	w.must(os.Mkdir(w.l.StorePath(hash2+"-source.drv.chroot"), 0o755))
	w.write(w.l.StorePath(hash2+"-source.drv.chroot/root/secret/x"), "x")
	w.must(os.Chmod(w.l.StorePath(hash2+"-source.drv.chroot/root/secret"), 0o000))
}

// state makes what Nix keeps in its state directory.
func (w *world) state() {
	w.t.Helper()
	l := w.l
	w.write(l.Database()+"/db.sqlite", "sql")
	w.write(l.Database()+"/schema", "10")
	w.write(l.Database()+"/big-lock", "")
	w.write(l.State+"/store-dir", l.Store)
	w.write(l.State+"/gc.lock", "")
	w.write(l.State+"/temproots/77", "")
	w.write(l.UserCache("me")+"/fetcher-cache-v2.sqlite", "cache")
	w.write(l.Profiles()+"/default.lock", "")
	w.link("default-1-link", l.DefaultProfile())
	w.link(l.StorePath(hash1+"-profile"), l.Profiles()+"/default-1-link")
	w.link(l.Profiles(), l.State+"/gcroots/profiles")
	w.link(l.StorePath(hash1+"-nix-2.26.3"), l.GCRoots()+"/native")
	w.must(os.MkdirAll(l.State+"/gc-socket", 0o700))
	w.must(syscall.Mknod(l.State+"/gc-socket/socket", syscall.S_IFSOCK|0o600, 0))
	w.must(os.MkdirAll(l.BuildDir()+"/nix-build-x.drv-0", 0o700))
}

// options returns what a command would ask for.
func (w *world) options() uninstall.Options {
	w.t.Helper()
	h, err := journal.Load(w.l.Journal())
	w.must(err)
	return uninstall.Options{Layout: w.l, Journal: h, Shell: w.shrc}
}

func (w *world) plan() *uninstall.Removal {
	w.t.Helper()
	r, err := uninstall.Plan(context.Background(), w.options())
	w.must(err)
	return r
}

func (w *world) uninstall() uninstall.Report {
	w.t.Helper()
	report, err := w.plan().Execute(context.Background(), nil, nil)
	w.must(err)
	return report
}

// manifest is every file below top: its kind, its mode, and what is in it.
func (w *world) manifest() map[string]string {
	w.t.Helper()
	out := map[string]string{}
	w.must(filepath.WalkDir(w.top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %x", sha256.Sum256(data))[:9]
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += " " + to
		}
		out[strings.TrimPrefix(path, w.top)] = text
		return nil
	}))
	return out
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

const childMark = "UNINSTALL_TEST_CHILD"

// asUser runs the test in a child that is an ordinary user, if this process is root,
// and reports whether it did: then the caller returns.
func asUser(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		return false
	}
	if os.Getenv(childMark) != "" {
		t.Fatal("the child is root")
	}
	dir, err := os.MkdirTemp("", "u-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	const nobody = 65534
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(dir+"/t", 0o700), os.Chown(dir+"/t", nobody, nobody),
		copyFile("/proc/self/exe", dir+"/test")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(dir+"/test", "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Dir = "/"
	cmd.Env = []string{"TMPDIR=" + dir + "/t", childMark + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) {
		t.Skipf("an ordinary user cannot get at %q: %v", dir, err)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("as an ordinary user: %v\n%s", err, out)
	}
	return true
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}
