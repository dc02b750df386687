package destdir_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"bootstrap/internal/destdir"
)

// viewerVariable has the test's own program be the process that gets a view, and then become a shell.
const viewerVariable = "DESTDIR_TEST_VIEW"

func TestMain(m *testing.M) {
	if os.Getenv(viewerVariable) == "" {
		os.Exit(m.Run())
	}
	fmt.Fprintln(os.Stderr, view())
	os.Exit(1)
}

// view takes "DIR:AT:trial" and a script.
func view() error {
	dir, rest, _ := strings.Cut(os.Getenv(viewerVariable), ":")
	at, trial, _ := strings.Cut(rest, ":")
	runtime.LockOSThread()
	if err := (destdir.View{Dir: dir, At: at}).Show(trial == "true"); err != nil {
		return err
	}
	if err := destdir.Renounce(); err != nil {
		return err
	}
	return syscall.Exec("/bin/sh", []string{"sh", "-euc", os.Args[1]}, []string{"PATH=/usr/bin:/bin"})
}

// look runs a script in a view.
func look(t *testing.T, v destdir.View, trial bool, script string) (string, error) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{"viewer", script}, Dir: "/", SysProcAttr: v.Attributes(),
		Env: []string{fmt.Sprintf("%s=%s:%s:%t", viewerVariable, v.Dir, v.At, trial)},
	}
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Skipf("there can be no view here: %v", err)
	}
	return string(out), err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestShow has the files at their place, whatever there is on the way, and all else as it was.
func TestShow(t *testing.T) {
	for name, c := range map[string]struct {
		place func(dir string) (at string)
		seen  string // in the directory it is in; not looked at if empty
	}{
		"there": {func(dir string) string {
			must(t, os.MkdirAll(filepath.Join(dir, "host/opt/hidden"), 0o755))
			return filepath.Join(dir, "host/opt")
		}, "opt other"},
		"not there":          {func(dir string) string { return filepath.Join(dir, "host/opt") }, "opt other"},
		"nothing of the way": {func(dir string) string { return filepath.Join(dir, "host/a/b/opt") }, "opt"},
		"a file": {func(dir string) string {
			must(t, os.WriteFile(filepath.Join(dir, "host/opt"), nil, 0o644))
			return filepath.Join(dir, "host/opt")
		}, "opt other"},
		"a link": {func(dir string) string {
			must(t, os.Symlink("other", filepath.Join(dir, "host/opt")))
			return filepath.Join(dir, "host/opt")
		}, "opt other"},
		"in the root":       {func(string) string { return "/no-such-directory" }, ""},
		"deeper in no root": {func(string) string { return "/no-such-directory/a/opt" }, "opt"},
		"around the files":  {func(dir string) string { return dir }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			must(t, err)
			must(t, os.MkdirAll(filepath.Join(dir, "host/other"), 0o755))
			must(t, os.WriteFile(filepath.Join(dir, "host/other/file"), []byte("other\n"), 0o644))
			at := c.place(dir)
			v := destdir.View{Dir: filepath.Join(dir, "root"), At: at}
			must(t, os.MkdirAll(v.Files(), 0o755))
			must(t, os.WriteFile(filepath.Join(v.Files(), "file"), []byte("shown\n"), 0o644))
			out, err := look(t, v, false, `cd "`+at+`"; cat file; pwd; echo written >new; ls`)
			if err != nil || out != "shown\n"+at+"\nfile\nnew\n" {
				t.Fatalf("%v: %s", err, out)
			}
			if data, err := os.ReadFile(filepath.Join(v.Files(), "new")); err != nil || string(data) != "written\n" {
				t.Errorf("outside: %q, %v", data, err)
			}
			if _, err := os.Lstat(filepath.Join(at, "new")); err == nil {
				t.Errorf("it is in %s for everybody", at)
			}
			if at == dir {
				return
			}
			// What is beside it can be reached as before, by the same path.
			out, err = look(t, v, false, `cat "`+dir+`/host/other/file"; cat "`+v.Files()+`/file"; ls "`+filepath.Dir(at)+`"`)
			if err != nil || !strings.HasPrefix(out, "other\nshown\n") {
				t.Errorf("%v: %s", err, out)
			}
			if got := strings.Join(strings.Fields(strings.TrimPrefix(out, "other\nshown\n")), " "); c.seen != "" && got != c.seen {
				t.Errorf("beside it there is %q, not %q", got, c.seen)
			}
		})
	}
}

// TestTrial needs nothing of the files, and writes nothing.
func TestTrial(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	for _, at := range []string{"/no-such-directory/opt", filepath.Join(dir, "host/opt"), dir} {
		v := destdir.View{Dir: filepath.Join(dir, "not/there"), At: at}
		if out, err := look(t, v, true, `echo fine`); err != nil || out != "fine\n" {
			t.Errorf("%s: %v: %s", at, err, out)
		}
		if out, err := look(t, v, false, `echo fine`); err == nil {
			t.Errorf("%s: shown although it is not there: %s", at, out)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// TestRenounce leaves no right but the user's own, and still lets namespaces be made: Nix makes some
// for its builds.
func TestRenounce(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	v := destdir.View{Dir: dir, At: "/no-such-directory/opt"}
	must(t, os.MkdirAll(v.Files(), 0o755))
	out, err := look(t, v, false, `id -u; id -g; grep -E '^Cap(Prm|Eff|Amb|Inh):' /proc/self/status`)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if want := fmt.Sprintf("%d\n%d\n", os.Geteuid(), os.Getegid()); !strings.HasPrefix(out, want) {
		t.Errorf("somebody else: %s", out)
	}
	if os.Geteuid() != 0 && strings.Count(out, "0000000000000000") != 4 {
		t.Errorf("rights are left:\n%s", out)
	}
	if _, err := exec.LookPath("unshare"); err != nil {
		t.Skip("there is no unshare")
	}
	script := `unshare --user --map-root-user --mount sh -c 'mount -t tmpfs none /no-such-directory && echo nested'`
	if outside := exec.Command("unshare", "--user", "--map-root-user", "true").Run(); outside != nil {
		t.Skipf("there are no user namespaces: %v", outside)
	}
	if out, err := look(t, v, false, script); err != nil || out != "nested\n" {
		t.Errorf("%v: %s", err, out)
	}
}
