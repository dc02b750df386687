package doctor_test

import (
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bootstrap/internal/doctor"
	"bootstrap/internal/probe"
)

// leftovers fails if anything is in a directory.
func leftovers(t *testing.T, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

func TestTryWhereAllIsWell(t *testing.T) {
	dir, o := here(t)
	o.Need.Bytes = 20 << 20
	checks := doctor.Try(t.Context(), o)
	var names []string
	for _, c := range checks {
		names = append(names, c.Name)
		if c.Verdict == doctor.Refused || c.Found == "" || c.Why == "" {
			t.Errorf("%+v", c)
		}
	}
	if got, want := strings.Join(names, ", "), "write, links, sync, case, attributes, locks, execution, temporary execution"; got != want {
		t.Errorf("checks: %s\nwant:   %s", got, want)
	}
	leftovers(t, dir)
}

func TestTryOnSmallAndStrangeMounts(t *testing.T) {
	tests := []struct {
		name, flag, data string
		check            string
		want             doctor.Verdict
		found            string
	}{
		{"few bytes", "plain", "size=8m,mode=0755", "write", doctor.Refused, "the disk is full"},
		{"few inodes", "plain", "size=60m,nr_inodes=100,mode=0755", "write", doctor.Refused, "the disk is full"},
		{"noexec", "noexec", "size=200m,mode=0755", "execution", doctor.Refused, "permission denied"},
		{"noexec, for temporary files", "noexec", "size=200m,mode=0755", "temporary execution", doctor.Warning, "permission denied"},
		{"noexec, for the plan", "noexec", "size=200m,mode=0755", "directories", doctor.Refused, "mounted noexec"},
		{"read-only", "ro", "mode=0755", "directories", doctor.Refused, "mounted read-only"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := shortTemp(t)
			c := named(t, inNamespaces(t, "on-mount", dir, tt.flag, tt.data), tt.check)
			if c.Verdict != tt.want || !strings.Contains(c.Found, tt.found) {
				t.Errorf("%+v; want %s with %q", c, tt.want, tt.found)
			}
		})
	}
}

// tmpfs has quotas from Linux 6.6 on; only root may ask for them.
func TestAQuotaThatIsUsedUp(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting with a quota takes root")
	}
	dir := shortTemp(t)
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=100m,mode=0755,usrquota,usrquota_block_hardlimit=4m"); err != nil {
		t.Skipf("no tmpfs with a quota here: %v", err)
	}
	defer func() { must(t, unix.Unmount(dir, 0)) }()
	must(t, os.Chown(dir, 65534, 65534))
	o, err := options(filepath.Join(dir, "opt"), dir)
	must(t, err)
	o.Self = nil
	var checks []doctor.Check
	asNobody(t, func() { // root has no quota
		o.Facts = probe.Run(t.Context(), probe.Options{Layout: o.Layout})
		checks = doctor.Try(t.Context(), o)
	})
	if c := named(t, checks, "write"); c.Verdict != doctor.Refused || !strings.Contains(c.Found, "the quota is used up") {
		t.Errorf("%+v", c)
	}
	leftovers(t, dir)
}

func TestQuotaAsTheSystemSaysIt(t *testing.T) {
	dir, o := here(t)
	for i := range o.Facts.Places {
		o.Facts.Places[i].FileSystem = "ext4"
	}
	o.System.Write = func(*os.File, []byte) (int, error) { return 0, unix.EDQUOT }
	if c := named(t, doctor.Try(t.Context(), o), "write"); c.Verdict != doctor.Refused || !strings.Contains(c.Found, "quota") {
		t.Errorf("%+v", c)
	}
	o.System.Write, o.Need.Bytes = nil, 1<<30
	for err, want := range map[error]doctor.Verdict{
		unix.EDQUOT: doctor.Refused, unix.ENOSPC: doctor.Refused, unix.EOPNOTSUPP: doctor.OK, nil: doctor.OK,
	} {
		o.System.Reserve = func(*os.File, int64) error { return err }
		if c := named(t, doctor.Try(t.Context(), o), "write"); c.Verdict != want {
			t.Errorf("%v: %+v", err, c)
		}
	}
	leftovers(t, dir)
}

func TestAttributes(t *testing.T) {
	tests := []struct {
		name   string
		has    []string
		err    error
		want   doctor.Verdict
		remove error
		found  string
	}{
		{"none", nil, nil, doctor.OK, nil, "none"},
		{"not known to the file system", nil, unix.ENOTSUP, doctor.OK, nil, "none"},
		{"ignored", []string{"security.selinux", "system.nfs4_acl"}, nil, doctor.OK, unix.EPERM, "which Nix ignores"},
		{"removable", []string{"system.posix_acl_access"}, nil, doctor.OK, nil, "can be taken off"},
		{"stuck", []string{"lustre.lov"}, nil, doctor.Refused, unix.EPERM, "lustre.lov on new files, which cannot be taken off"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, o := here(t)
			o.Self = nil
			o.System.ListAttributes = func(string) ([]string, error) { return tt.has, tt.err }
			o.System.RemoveAttribute = func(string, string) error { return tt.remove }
			if c := named(t, doctor.Try(t.Context(), o), "attributes"); c.Verdict != tt.want || !strings.Contains(c.Found, tt.found) {
				t.Errorf("%+v", c)
			}
		})
	}
}

// A default access control list goes on to every file that is made below.
func TestAnAccessControlList(t *testing.T) {
	dir, o := here(t)
	// linux/posix_acl_xattr.h: version 2, then tag, permissions and id of each entry.
	acl := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range [][3]uint32{{0x01, 7, 1<<32 - 1}, {0x02, 7, 4242}, {0x04, 5, 1<<32 - 1}, {0x10, 7, 1<<32 - 1}, {0x20, 5, 1<<32 - 1}} {
		acl = binary.LittleEndian.AppendUint16(acl, uint16(e[0]))
		acl = binary.LittleEndian.AppendUint16(acl, uint16(e[1]))
		acl = binary.LittleEndian.AppendUint32(acl, e[2])
	}
	if err := unix.Setxattr(dir, "system.posix_acl_default", acl, 0); err != nil {
		t.Skipf("no access control lists here: %v", err)
	}
	c := named(t, doctor.Try(t.Context(), o), "attributes")
	if c.Verdict != doctor.OK || !strings.Contains(c.Found, "system.posix_acl_access") {
		t.Errorf("%+v", c)
	}
	leftovers(t, dir)
}

func TestLocks(t *testing.T) {
	for mode, want := range map[string]string{
		"lax":      "does not keep another process out",
		"lockless": "no locks available",
		"hang":     "hangs (more than 500ms)",
	} {
		t.Run(mode, func(t *testing.T) {
			dir, o := here(t)
			o.Self[1] = mode
			o.System.LockPatience = 20 * time.Second
			if mode == "hang" {
				o.System.LockPatience = 500 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var c doctor.Check
			started := time.Now()
			c = named(t, doctor.TryLocks(ctx, o, dir), "locks")
			if c.Verdict != doctor.Refused || !strings.Contains(c.Found, want) {
				t.Errorf("%+v; want %q", c, want)
			}
			if took := time.Since(started); took > 15*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// A file system without regard to case, as a container on macOS may get to see.
func TestCase(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting takes root")
	}
	mkfs, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		t.Skip("no mkfs.ext4 here")
	}
	dir, image := shortTemp(t), filepath.Join(t.TempDir(), "image")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 64<<20))
	if out, err := exec.Command(mkfs, "-q", "-O", "casefold", image).CombinedOutput(); err != nil {
		t.Skipf("no such file system: %s", out)
	}
	if out, err := exec.Command("mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
		t.Skipf("cannot be mounted here: %s", out)
	}
	defer func() { must(t, unix.Unmount(dir, 0)) }()
	sub := filepath.Join(dir, "sub")
	must(t, os.Mkdir(sub, 0o755))
	if out, err := exec.Command("chattr", "+F", sub).CombinedOutput(); err != nil {
		t.Skipf("cannot be set here: %s", out)
	}
	o, err := options(filepath.Join(sub, "opt"), sub)
	must(t, err)
	o.Self = nil
	if c := named(t, doctor.Try(t.Context(), o), "case"); c.Verdict != doctor.Refused {
		t.Errorf("%+v", c)
	}
}

// isDirectory reports whether an open file is one.
func isDirectory(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.IsDir()
}

func TestFileSystemsThatLackSomething(t *testing.T) {
	tests := []struct {
		check  string
		system doctor.System
		want   doctor.Verdict
		found  string
	}{
		{"links", doctor.System{Link: func(string, string) error { return unix.EPERM }}, doctor.Refused, "no hard links: operation not permitted"},
		{"links", doctor.System{Symlink: func(string, string) error { return unix.EOPNOTSUPP }}, doctor.Refused, "no symbolic links"},
		{"links", doctor.System{Symlink: func(_, name string) error { return os.Symlink("/elsewhere", name) }}, doctor.Refused, `leads to "/elsewhere"`},
		{"case", doctor.System{Lstat: func(string) (os.FileInfo, error) { return nil, nil }}, doctor.Refused, "the same name"},
		{"write", doctor.System{Sync: func(*os.File) error { return unix.EDQUOT }}, doctor.Refused, "quota"},
		{"sync", doctor.System{Sync: func(f *os.File) error {
			if isDirectory(f) {
				return unix.EINVAL
			}
			return nil
		}}, doctor.Warning, "a directory cannot be synced: invalid argument"},
		{"sync", doctor.System{Sync: func(f *os.File) error {
			if isDirectory(f) {
				time.Sleep(300 * time.Millisecond)
			}
			return nil
		}}, doctor.Warning, "ms each"},
		{"sync", doctor.System{Sync: func(f *os.File) error {
			if filepath.Base(f.Name()) == "sync" {
				return unix.EIO
			}
			return nil
		}}, doctor.Refused, "a file cannot be synced"},
	}
	for _, tt := range tests {
		t.Run(tt.check+"/"+tt.found, func(t *testing.T) {
			dir, o := here(t)
			o.Self, o.System, o.Now = nil, tt.system, time.Now
			if c := named(t, doctor.Try(t.Context(), o), tt.check); c.Verdict != tt.want || !strings.Contains(c.Found, tt.found) {
				t.Errorf("%+v; want %s with %q", c, tt.want, tt.found)
			}
			leftovers(t, dir)
		})
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	dir, o := here(t)
	old, young := filepath.Join(dir, doctor.Marker+"1"), filepath.Join(dir, doctor.Marker+"2")
	for _, d := range []string{old, young} {
		must(t, os.MkdirAll(filepath.Join(d, "x"), 0o755))
	}
	long := time.Now().Add(-2 * time.Hour)
	must(t, os.Chtimes(old, long, long))
	ctx, cancel := context.WithCancel(t.Context())
	o.System.Write = func(f *os.File, p []byte) (int, error) {
		cancel() // in the midst of it, as by Ctrl-C
		return f.Write(p)
	}
	doctor.Try(ctx, o)
	if _, err := os.Stat(old); err == nil {
		t.Error("what a killed run left is still there")
	}
	if _, err := os.Stat(young); err != nil {
		t.Error("what another run is at work in is gone")
	}
	must(t, os.RemoveAll(young))
	leftovers(t, dir)
}

func TestTheStoreItselfIsNotWrittenTo(t *testing.T) {
	_, o := here(t)
	must(t, os.MkdirAll(o.Layout.Store, 0o755))
	o.Facts = probe.Run(t.Context(), probe.Options{Layout: o.Layout})
	o.Self = nil
	var seen string
	o.System.ListAttributes = func(path string) ([]string, error) {
		seen = path
		return nil, nil
	}
	doctor.Try(t.Context(), o)
	if !strings.HasPrefix(seen, o.Layout.Root+"/"+doctor.Marker) {
		t.Errorf("tried at %q", seen)
	}
	leftovers(t, o.Layout.Store)
}
