package doctor_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"bootstrap/internal/doctor"
	"bootstrap/internal/fault"
	"bootstrap/internal/prefix"
	"bootstrap/internal/probe"
)

func testContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shortTemp returns a temporary directory whose name leaves room for a prefix.
func shortTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "d")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	dir, err = filepath.EvalSymlinks(dir)
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	return dir
}

// Whoever reads a check gets to know why, and what to do if it is not well; and nothing is written.
func TestLookSaysWhyAndWritesNothing(t *testing.T) {
	dir, o := here(t)
	o.Jobs, o.Root = 1, os.DirFS("/")
	checks := doctor.Look(t.Context(), o)
	if len(checks) < 20 {
		t.Errorf("only %d checks", len(checks))
	}
	for _, c := range checks {
		if c.Name == "" || c.Found == "" || c.Why == "" || (c.Verdict == doctor.OK) != (c.Remedy == "") {
			t.Errorf("not complete: %+v", c)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("it wrote: %v %v", entries, err)
	}
}

// What the plan refuses the doctor refuses, in the same words, and the other way round.
func TestRefusesWhatThePlanRefuses(t *testing.T) {
	_, o := here(t)
	o.Need = probe.Need{Bytes: 1 << 60, Inodes: 1 << 60, Kernel: ">= 99"}
	o.Facts.GOARCH, o.Facts.Architecture = "riscv64", ""
	o.Facts.Occupied = probe.Foreign
	for i := range o.Facts.Places {
		o.Facts.Places[i].NoExec = true
	}
	checks := doctor.Look(t.Context(), o)
	said := map[string]string{}
	for _, c := range checks {
		if c.Verdict == doctor.Refused {
			said[c.Found] = c.Remedy
		}
	}
	refusals := o.Facts.Refusals(o.Need)
	for _, r := range refusals {
		if remedy, known := said[r.Error()]; !known || remedy != r.Hint {
			t.Errorf("not in the checks: %v; %s", r, r.Hint)
		}
	}
	if place, _ := o.Facts.Place("store"); place.TotalInodes > 0 && len(refusals) != 6 {
		t.Errorf("%d refusals: %v", len(refusals), refusals)
	}
}

func TestLook(t *testing.T) {
	const ready, warned, refused = doctor.OK, doctor.Warning, doctor.Refused
	type edit = func(*doctor.Options)
	on := func(fileSystem string, remote bool) edit {
		return func(o *doctor.Options) {
			for i := range o.Facts.Places {
				o.Facts.Places[i].FileSystem, o.Facts.Places[i].Remote = fileSystem, remote
			}
		}
	}
	with := func(values ...string) edit {
		m := map[string]string{}
		for _, v := range values {
			name, value, _ := strings.Cut(v, "=")
			m[name] = value
		}
		return func(o *doctor.Options) { o.Getenv = env(m) }
	}
	files := func(names ...string) edit {
		return func(o *doctor.Options) {
			m := fstest.MapFS{}
			for _, n := range names {
				m[n] = &fstest.MapFile{}
			}
			o.Root = m
		}
	}
	passwd := func(text string) edit {
		return func(o *doctor.Options) {
			o.Facts.UID, o.Root = 4242, fstest.MapFS{"etc/passwd": &fstest.MapFile{Data: []byte(text)}}
		}
	}
	memory := func(available int64, cpus, jobs int, asked bool) edit {
		return func(o *doctor.Options) {
			o.Facts.Memory.Available, o.Facts.CPUs, o.Jobs, o.Asked = available, cpus, jobs, asked
		}
	}
	namespaces := func(n probe.Namespaces) edit { return func(o *doctor.Options) { o.Facts.Namespaces = n } }
	both := func(edits ...edit) edit {
		return func(o *doctor.Options) {
			for _, e := range edits {
				e(o)
			}
		}
	}
	at := func(path string) edit {
		return func(o *doctor.Options) { o.Layout, _ = prefix.Resolve(prefix.Options{Path: path}) }
	}
	dir := shortTemp(t)
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	tests := []struct {
		check, name string
		edit        edit
		want        doctor.Verdict
		found       string // a part of it
	}{
		{"file system", "a disk", on("ext4", false), ready, "ext4"},
		{"file system", "NFS", on("nfs", true), warned, "nfs, on another machine"},
		{"file system", "Lustre", on("lustre", true), warned, "lustre"},
		{"file system", "memory", on("tmpfs", false), warned, "tmpfs"},
		{"file system", "a container", on("overlay", false), warned, "overlay"},
		{"symbolic links", "none", func(*doctor.Options) {}, ready, "none"},
		{"symbolic links", "one", func(o *doctor.Options) { o.Layout.ResolvedFrom = "/home/me" }, warned, "/home/me leads to "},
		{"path lengths", "short", at("/opt-of-nobody"), ready, "#! line 81 of 127 bytes (255 from Linux 5.1 on), socket"},
		{"path lengths", "long", at("/" + strings.Repeat("x", 40)), ready, "#! line 108 of"},
		{"home", "none", with(), warned, "HOME is not set"},
		{"home", "relative", with("HOME=me"), warned, "not an absolute path"},
		{"home", "missing", with("HOME=" + dir + "/gone"), warned, "does not exist"},
		{"home", "a file", with("HOME=" + dir + "/file"), warned, "is not a directory"},
		{"home", "one's own", with("HOME=" + dir), ready, dir},
		{"home", "somebody else's", both(with("HOME="+dir), func(o *doctor.Options) { o.Facts.UID = 4242 }), warned, "and this is uid 4242"},
		{"account", "known", passwd("root:x:0:0::/:/bin/sh\nme:x:4242:4242::/home/me:/bin/sh\n"), ready, "me, uid 4242"},
		{"account", "unknown", passwd("root:x:0:0::/:/bin/sh\n"), warned, "uid 4242 is not in /etc/passwd"},
		{"account", "unknown, with a name", both(passwd(""), with("USER=me")), warned, "USER is me"},
		{"temporary files", "there", with("TMPDIR=" + dir), ready, dir},
		{"temporary files", "missing", with("TMPDIR=" + dir + "/gone"), warned, "does not exist"},
		{"temporary files", "a file", with("TMPDIR=" + dir + "/file"), warned, "is not a directory"},
		{"user namespaces", "granted", namespaces(probe.Namespaces{Work: true, User: true}), ready, ""},
		{"user namespaces", "forbidden", namespaces(probe.Namespaces{Reason: "user namespaces: EPERM"}), warned, "EPERM"},
		{"mount namespaces", "forbidden", namespaces(probe.Namespaces{}), warned, "no process"},
		{"mount namespaces", "without /proc", namespaces(probe.Namespaces{Work: true, User: true, ProcTried: true, Reason: "masked"}), warned, "masked"},
		{"mount namespaces", "whole", namespaces(probe.Namespaces{Work: true, User: true, ProcTried: true, Proc: true}), ready, ""},
		{"pseudo-terminals", "none", func(o *doctor.Options) { o.Devices = dir }, refused, "ptmx: no such file"},
		{"variables", "clean", with("PATH=/bin"), ready, "none"},
		{"variables", "modules", with("LD_LIBRARY_PATH=/x", "CPATH=/y", "PKG_CONFIG_PATH=/z"), warned, "set: LD_LIBRARY_PATH, CPATH, PKG_CONFIG_PATH"},
		{"variables", "preload", with("LD_PRELOAD=x.so"), warned, "LD_PRELOAD"},
		{"another Nix", "none", both(files(), with("HOME=/home/me")), ready, "none"},
		{"another Nix", "a store", files("nix/store/x"), ready, "/nix/store; left as they are"},
		{"another Nix", "a daemon and a profile", both(files("nix/store/x", "nix/var/nix/daemon-socket/socket", "home/me/.nix-profile"), with("HOME=/home/me")), ready, "/nix/store, a daemon's socket, ~/.nix-profile"},
		{"another Nix", "its nix-shell", both(files("nix/store/x"), with("NIX_STORE=/nix/store", "NIX_REMOTE=daemon")), warned, "set: NIX_STORE, NIX_REMOTE"},
		{"another Nix", "our own files for shells", both(files(), at("/opt-of-nobody"), with("NIX_STATE_HOME=/opt-of-nobody/var/nix/profiles/per-user/me")), ready, "none"},
		{"memory", "plenty", memory(64<<30, 8, 8, false), ready, "8 processors, 8 compilers"},
		{"memory", "less than processors", memory(3<<30, 8, 3, false), warned, "3.0 GiB available, 8 processors, 3 compilers"},
		{"memory", "one core and 2 GiB", memory(2<<30, 1, 1, false), ready, "1 processor, 1 compiler"},
		{"memory", "hardly any", memory(512<<20, 1, 1, false), warned, "512.0 MiB"},
		{"memory", "more asked for than there is", memory(2<<30, 4, 4, true), warned, "4 compilers"},
		{"memory", "fewer asked for", memory(64<<30, 4, 1, true), ready, "1 compiler"},
		{"memory", "not known", memory(0, 4, 4, false), ready, "not known"},
	}
	for _, tt := range tests {
		t.Run(tt.check+"/"+tt.name, func(t *testing.T) {
			_, o := here(t)
			o.Self = nil
			tt.edit(&o)
			c := named(t, doctor.Look(t.Context(), o), tt.check)
			if c.Verdict != tt.want || !strings.Contains(c.Found, tt.found) || (c.Remedy == "") != (tt.want == ready) {
				t.Errorf("%+v; want %s with %q", c, tt.want, tt.found)
			}
		})
	}
}

// A path that is just short enough for the package set's own shell is too long for others.
func TestAPathThatIsJustShortEnough(t *testing.T) {
	_, o := here(t)
	for n := 1; ; n++ {
		l, err := prefix.Resolve(prefix.Options{Path: "/" + strings.Repeat("x", n)})
		if err != nil {
			break
		}
		o.Layout = l
	}
	if c := named(t, doctor.Look(t.Context(), o), "path lengths"); c.Verdict != doctor.Warning && !strings.Contains(c.Found, "socket 107 of 107") {
		t.Errorf("%+v", c)
	}
}

func TestOwnership(t *testing.T) {
	dir, o := here(t)
	check := func(want doctor.Verdict, found string) {
		t.Helper()
		if c := named(t, doctor.Look(t.Context(), o), "ownership"); c.Verdict != want || !strings.Contains(c.Found, found) {
			t.Errorf("%+v; want %s with %q", c, want, found)
		}
	}
	check(doctor.OK, fmt.Sprintf("%s belongs to uid %d", dir, os.Geteuid()))
	must(t, os.Chmod(dir, 0o777))
	check(doctor.Refused, "everybody may write to "+dir)
	must(t, os.Chmod(dir, 0o777|os.ModeSticky))
	check(doctor.OK, "")
	must(t, os.Chmod(dir, 0o755))
	shared := filepath.Join(t.TempDir(), "cache")
	must(t, os.Mkdir(shared, 0o755))
	must(t, os.Chmod(shared, 0o777))
	places := o.Facts.Places
	o.Facts.Places = append(slices.Clone(places), probe.Place{Flag: "--cache-dir", Path: shared})
	check(doctor.Refused, "everybody may write to "+shared)
	o.Facts.Places = places
	must(t, os.MkdirAll(o.Layout.Store, 0o755))
	check(doctor.OK, "")
	must(t, os.Chmod(o.Layout.Store, 0o775))
	o.Facts.GID = 4242
	check(doctor.Refused, "may write to "+o.Layout.Store)
	info, err := os.Stat(o.Layout.Store)
	must(t, err)
	o.Groups = []uint32{info.Sys().(*syscall.Stat_t).Gid}
	check(doctor.OK, "")
	must(t, os.Chmod(o.Layout.Store, 0o755))
	must(t, os.Chmod(dir, 0o777))
	check(doctor.Refused, "everybody may write to "+dir)
	must(t, os.Chmod(dir, 0o755))
	o.Facts.UID = 4242
	check(doctor.Warning, "and this is uid 4242")
}

func TestADatabaseWithALogOnANetwork(t *testing.T) {
	_, o := here(t)
	for i := range o.Facts.Places {
		o.Facts.Places[i].FileSystem, o.Facts.Places[i].Remote = "nfs", true
	}
	must(t, os.MkdirAll(o.Layout.Database(), 0o755))
	head := append([]byte("SQLite format 3\x00"), 0x10, 0, 2, 2)
	must(t, os.WriteFile(filepath.Join(o.Layout.Database(), "db.sqlite"), head, 0o644))
	if c := named(t, doctor.Look(t.Context(), o), "file system"); c.Verdict != doctor.Warning || !strings.Contains(c.Found, "write-ahead log") {
		t.Errorf("%+v", c)
	}
}

func TestDirectoriesThatCannotBeWrittenTo(t *testing.T) {
	dir, o := here(t)
	must(t, os.Chmod(dir, 0o555))
	var checks []doctor.Check
	asNobody(t, func() {
		o.Facts = probe.Run(t.Context(), probe.Options{Layout: o.Layout})
		o.Self = nil
		checks = append(doctor.Look(t.Context(), o), doctor.Try(t.Context(), o)...)
	})
	if c := named(t, checks, "directories"); c.Verdict != doctor.Refused {
		t.Errorf("%+v", c)
	}
	if c := named(t, checks, "temporary files"); c.Verdict != doctor.Warning || !strings.Contains(c.Found, "cannot be written to") {
		t.Errorf("%+v", c)
	}
	if c := named(t, checks, "home"); c.Verdict != doctor.Warning {
		t.Errorf("%+v", c)
	}
	for _, c := range checks {
		if c.Name == "write" {
			t.Errorf("tried where nothing can be written: %+v", c)
		}
	}
}

func TestSeccomp(t *testing.T) {
	_, o := here(t)
	if c := named(t, doctor.Look(t.Context(), o), "seccomp"); c.Verdict != doctor.OK {
		t.Skipf("no filters here: %s", c.Found)
	}
	o.Self[1] = "without-seccomp"
	if c := named(t, doctor.Look(t.Context(), o), "seccomp"); c.Verdict != doctor.Refused || !strings.Contains(c.Found, "seccomp: operation not permitted") {
		t.Errorf("%+v", c)
	}
}

func TestFileSizeLimit(t *testing.T) {
	checks := child(t, nil, "limited", shortTemp(t))
	if c := named(t, checks, "file size limit"); c.Verdict != doctor.Refused || c.Found != "1.0 MiB" {
		t.Errorf("%+v", c)
	}
}

func TestErr(t *testing.T) {
	if err := doctor.Err([]doctor.Check{{Name: "a", Verdict: doctor.Warning}}); err != nil {
		t.Errorf("a warning is no error: %v", err)
	}
	err := doctor.Err([]doctor.Check{
		{Name: "a", Verdict: doctor.OK},
		{Name: "b", Found: "bad", Verdict: doctor.Refused, Remedy: "mend it"},
		{Name: "c", Found: "worse", Verdict: doctor.Refused, Remedy: "leave it"},
	})
	if fault.KindOf(err) != fault.Unfit || err.Error() != "b: bad" || fault.HintOf(err) != "mend it\nalso: c: worse; leave it" {
		t.Errorf("%v; %s", err, fault.HintOf(err))
	}
}
