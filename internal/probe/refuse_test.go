package probe_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bootstrap/internal/fault"
	"bootstrap/internal/probe"
)

func testContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}

func checkRefusals(t *testing.T, got []*fault.Error, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d refusals, want %d: %v", len(got), len(want), got)
	}
	for i, r := range got {
		if !strings.Contains(r.Error(), want[i]) {
			t.Errorf("refusal %d = %q, want %q in it", i, r, want[i])
		}
		if r.Kind != fault.Unfit || r.Hint == "" {
			t.Errorf("refusal %q: kind %v, hint %q", r, r.Kind, r.Hint)
		}
	}
}

// fit returns facts that nothing is wrong with.
func fit() probe.Facts {
	place := func(noun, flag, path string) probe.Place {
		return probe.Place{
			Noun: noun, Flag: flag, Path: path, Ancestor: "/opt", Writable: true, FileSystem: "ext4",
			Device: 1, FreeBytes: 10 << 30, TotalBytes: 20 << 30, FreeInodes: 1000, TotalInodes: 2000,
		}
	}
	return probe.Facts{
		GOARCH: "amd64", Architecture: "amd64", Kernel: probe.Kernel{Release: "5.15.0-122-generic"}, Occupied: probe.Empty,
		Places: []probe.Place{
			place("store", "--prefix", "/opt/store"), place("state", "--state-dir", "/opt/var/nix"),
			place("work", "--prefix", "/opt/var/bootstrap"), place("cache", "--cache-dir", "/opt/cache"),
		},
	}
}

func TestRefusals(t *testing.T) {
	all := func(edit func(*probe.Place)) func(*probe.Facts) {
		return func(f *probe.Facts) {
			for i := range f.Places {
				edit(&f.Places[i])
			}
		}
	}
	at := func(i int, edit func(*probe.Place)) func(*probe.Facts) {
		return func(f *probe.Facts) { edit(&f.Places[i]) }
	}
	const gib = 1 << 30
	tests := []struct {
		name string
		edit func(*probe.Facts)
		need probe.Need
		want []string
	}{
		{"nothing", func(*probe.Facts) {}, probe.Need{Bytes: 9 * gib, CacheBytes: gib, Inodes: 1000, Kernel: ">= 5.15"}, nil},
		{"a kernel that is too old", func(*probe.Facts) {}, probe.Need{Kernel: ">= 6.1"}, []string{`kernel "5.15.0-122-generic": Linux >= 6.1`}},
		{"a kernel that says nothing", func(f *probe.Facts) { f.Kernel.Release = "x" }, probe.Need{Kernel: ">= 3"}, []string{"kernel"}},
		{"an unknown machine", func(f *probe.Facts) { f.GOARCH, f.Architecture = "riscv64", "" }, probe.Need{}, []string{`architecture "riscv64"`}},
		{"a foreign store", func(f *probe.Facts) { f.Occupied = probe.Foreign }, probe.Need{}, []string{`store "/opt/store": something`}},
		{"one cause, said once", all(func(p *probe.Place) { p.Writable, p.Reason = false, "permission denied" }), probe.Need{}, []string{"cannot be created"}},
		{"not writable", at(0, func(p *probe.Place) { p.Exists, p.Writable, p.Reason = true, false, "permission denied" }), probe.Need{}, []string{"cannot be written to: permission denied"}},
		{"read-only", all(func(p *probe.Place) { p.ReadOnly = true }), probe.Need{}, []string{"mounted read-only"}},
		{"noexec", all(func(p *probe.Place) { p.NoExec = true }), probe.Need{}, []string{"noexec"}},
		{"a noexec cache does not matter", at(3, func(p *probe.Place) { p.NoExec = true }), probe.Need{}, nil},
		{"the sum does not fit", func(*probe.Facts) {}, probe.Need{Bytes: 9 * gib, CacheBytes: 2 * gib}, []string{`store and cache "/opt/store": too little disk: 11.0 GiB needed, 10.0 GiB free, 1.0 GiB missing`}},
		{"each fits on its own", at(3, func(p *probe.Place) { p.Device = 2 }), probe.Need{Bytes: 9 * gib, CacheBytes: 2 * gib}, nil},
		{"the cache does not fit", at(3, func(p *probe.Place) { p.Device, p.FreeBytes = 2, gib }), probe.Need{CacheBytes: 2 * gib}, []string{`cache "/opt/cache": too little disk`}},
		{"inodes", func(*probe.Facts) {}, probe.Need{Inodes: 1001}, []string{"1001 needed, 1000 free, 1 missing"}},
		{"inodes that are not counted", at(0, func(p *probe.Place) { p.FreeInodes, p.TotalInodes = 0, 0 }), probe.Need{Inodes: 1 << 20}, nil},
		{"bytes that are not counted", at(0, func(p *probe.Place) { p.FreeBytes, p.TotalBytes = 0, 0 }), probe.Need{Bytes: gib}, nil},
		{
			"several at once",
			func(f *probe.Facts) { f.Architecture, f.Places[0].NoExec, f.Places[0].FreeBytes = "", true, 0 },
			probe.Need{Bytes: 1},
			[]string{"architecture", "noexec", "too little disk: 1 B needed, 0 B free"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := fit()
			tt.edit(&f)
			checkRefusals(t, f.Refusals(tt.need), tt.want)
		})
	}
}

func TestRefusalsOfABadConstraint(t *testing.T) {
	got := fit().Refusals(probe.Need{Kernel: "about 5"})
	if len(got) != 1 || got[0].Kind != fault.General {
		t.Errorf("refusals = %v", got)
	}
}

func TestParseKernel(t *testing.T) {
	tests := map[string]string{
		"5.15.0-122-generic":            "5.15.0",
		"6.1.0":                         "6.1.0",
		"4.18.0-553.el8_10.x86_64":      "4.18.0",
		"6.18.44-fc-v769":               "6.18.44",
		"5.10.102.1-microsoft-standard": "5.10.102",
		"6.12":                          "6.12.0",
		"6.9.":                          "6.9.0",
	}
	for release, want := range tests {
		got, err := probe.ParseKernel(release)
		if err != nil {
			t.Errorf("%q: %v", release, err)
		} else if got.String() != want {
			t.Errorf("%q = %s, want %s", release, got, want)
		}
	}
	for _, release := range []string{"", "generic", "-", "..."} {
		if got, err := probe.ParseKernel(release); err == nil {
			t.Errorf("%q = %v", release, got)
		}
	}
}

func TestSize(t *testing.T) {
	tests := map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1025: "1.1 KiB", 1 << 20: "1.0 MiB", 1 << 30: "1.0 GiB",
		1<<30 - 1: "1.0 GiB", 3 << 29: "1.5 GiB", 668 << 20: "668.0 MiB", 5 << 40: "5.0 TiB",
	}
	for n, want := range tests {
		if got := probe.Size(n); got != want {
			t.Errorf("Size(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestFactsReadsItsFiles(t *testing.T) {
	proc := shortTemp(t)
	must(t, os.WriteFile(filepath.Join(proc, "meminfo"), []byte("MemTotal:  4 kB\nnonsense\nMemAvailable: 3 kB\n"), 0o644))
	f := probe.Run(t.Context(), probe.Options{Layout: resolve(t, "/no-such-opt"), Proc: proc, GOARCH: "riscv64", Nix: proc})
	if f.Memory != (probe.Memory{Total: 4096, Available: 3072}) || f.Architecture != "" || !f.OtherNix {
		t.Errorf("facts = %+v", f)
	}
}

func TestFileSystemsAreNamed(t *testing.T) {
	mounts := filepath.Join(shortTemp(t), "mountinfo")
	must(t, os.WriteFile(mounts, []byte(
		"36 35 0:98 / /home rw,noatime master:1 - virtiofs share rw\n"+
			"37 35 0:99 / /mnt rw - fuse.sshfs host:/ rw\n"), 0o644))
	tests := []struct {
		name   string
		magic  uint32
		device uint64
		want   string
		remote bool
	}{
		{"ext4", unix.EXT4_SUPER_MAGIC, 1, "ext4", false},
		{"xfs", 0x58465342, 1, "xfs", false},
		{"nfs", unix.NFS_SUPER_MAGIC, 1, "nfs", true},
		{"lustre", 0x0bd00bd0, 1, "lustre", true},
		{"9p", unix.V9FS_MAGIC, 1, "9p", true},
		{"virtiofs, which says it is fuse", unix.FUSE_SUPER_MAGIC, unix.Mkdev(0, 98), "virtiofs", true},
		{"sshfs", unix.FUSE_SUPER_MAGIC, unix.Mkdev(0, 99), "fuse.sshfs", true},
		{"fuse that is not in the table", unix.FUSE_SUPER_MAGIC, 1, "fuse", true},
		{"unknown", 0x1234, 1, "0x1234", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, remote := probe.FileSystem(tt.magic, tt.device, mounts)
			if got != tt.want || remote != tt.remote {
				t.Errorf("%q, remote %v; want %q, %v", got, remote, tt.want, tt.remote)
			}
		})
	}
}
