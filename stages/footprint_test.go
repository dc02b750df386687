package stages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/lock"
	"bootstrap/internal/probe"
	"bootstrap/internal/receipt"

	"github.com/google/go-cmp/cmp"
)

// TestFootprint holds together what the plan says it takes and what of that is there already.
func TestFootprint(t *testing.T) {
	r := newRun(t, options(t, scratch(t)))
	var seed int64
	for _, e := range r.lock.Entries {
		if !e.Serves(r.arch, lock.Host) || e.Serves(r.arch, lock.Toolchain) {
			seed += e.Size // with --host, the packages of the host nix alone are not fetched
		}
	}
	p := &Plan{SeedBytes: seed}
	peak, keep, inodes := r.footprint()
	if want := seed + toolchainBytes + nixBytes; keep != want {
		t.Errorf("%d bytes in the end, want %d", keep, want)
	}
	if keep >= peak || inodes <= 0 {
		t.Errorf("%d bytes in the end, %d at the peak, %d files", keep, peak, inodes)
	}
	if got := r.present(p); got != 0 {
		t.Errorf("%d bytes are there of nothing", got)
	}
	var last int64
	for _, s := range r.pipeline() {
		p.Stages = append(p.Stages, State{Name: s.name, Done: true})
		got := r.present(p)
		if got < last || got > peak {
			t.Errorf("after %s %d bytes are there, %d before, of %d at the peak", s.name, got, last, peak)
		}
		last = got
	}
	if last != peak {
		t.Errorf("%d bytes are there of all of it, %d at the peak: something would still be needed", last, peak)
	}
}

func TestExpected(t *testing.T) {
	one, two := newRun(t, options(t, scratch(t))), newRun(t, options(t, scratch(t)))
	one.Jobs, two.Jobs = 1, 2
	for _, s := range one.pipeline() {
		a, b := one.expected(s.name), two.expected(s.name)
		switch s.name {
		case Fetch:
			if a != 0 {
				t.Error("how long a download takes depends on what there is to fetch")
			}
		case Bootstrap, Native:
			if a != 2*b {
				t.Errorf("%s: %v seconds by one compiler, %v by two", s.name, a, b)
			}
		default:
			if a <= 0 || a != b {
				t.Errorf("%s: %v and %v seconds", s.name, a, b)
			}
		}
	}
}

func TestJobs(t *testing.T) {
	for _, tt := range []struct {
		name        string
		asked, cpus int
		available   int64
		want        int
	}{
		{"as asked for", 3, 8, 0, 3},
		{"a compiler for each processor", 0, 8, 0, 8},
		{"no more than fit into the memory", 0, 8, 3 * compilerBytes, 3},
		{"one, however little there is", 0, 8, 1, 1},
		{"one, where nothing is known", 0, 0, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &installation{Options: Options{Jobs: tt.asked}}
			r.facts = probe.Facts{CPUs: tt.cpus, Memory: probe.Memory{Available: tt.available}}
			if got := r.jobs(); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
}

func TestNixVersion(t *testing.T) {
	sound := lockOf(members())
	named := func(file string) *lock.Lock {
		l := lockOf(members())
		for i := range l.Entries {
			if l.Entries[i].Name == "nix" {
				l.Entries[i].Path = "pool/main/n/nix/" + file
			}
		}
		return l
	}
	for _, tt := range []struct {
		name, constraint string
		lock             *lock.Lock
		want             string
		kind             fault.Kind // 0 for none
	}{
		{"no constraint", "", sound, "2.26.3", 0},
		{"exactly", "2.26.3", sound, "2.26.3", 0},
		{"a range", ">= 2.26, < 2.27", sound, "2.26.3", 0},
		{"a series", "~> 2.26.0", sound, "2.26.3", 0},
		{"another version", "2.27", sound, "", fault.Usage},
		{"not a constraint", "newest", sound, "", fault.Usage},
		{"a file name of Debian's", "", named("nix_2.26.3+dfsg.orig.tar.xz"), "2.26.3", 0},
		{"a file name without a version", "", named("nix.tar.xz"), "", fault.General},
		{"no source", "", &lock.Lock{}, "", fault.Usage},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := nixVersion(tt.lock, tt.constraint)
			if tt.kind != 0 {
				if err == nil || fault.KindOf(err) != tt.kind {
					t.Errorf("error %v, want one of kind %d", err, tt.kind)
				}
				return
			}
			if err != nil || got.String() != tt.want {
				t.Errorf("%v, %v; want %s", got, err, tt.want)
			}
		})
	}
}

func TestHostVersion(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		says, want string
	}{
		{"nix (Nix) 2.26.3", "2.26.3"},
		{"nix (Nix) 2.24.0", "2.24.0"},
		{"nix (Nix) 2.30.0pre20250521_76a4d4c", "2.30.0pre20250521_76a4d4c"},
		{"nix (Nix) 2.18.1", ""},
		{"nix (Nix) two", ""},
		{"", ""},
	} {
		t.Run(tt.says, func(t *testing.T) {
			r := opened(t, options(t, scratch(t)))
			program := filepath.Join(r.layout.HostDir(), "nix")
			put(t, program, "#!/bin/sh\necho '"+tt.says+"'\n")
			if err := os.Chmod(program, 0o755); err != nil {
				t.Fatal(err)
			}
			got, err := r.hostVersion(deadline(t), program)
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
			if err != nil && (fault.KindOf(err) != fault.Unfit || !strings.Contains(fault.HintOf(err), "--host")) {
				t.Errorf("kind %d, hint %q", fault.KindOf(err), fault.HintOf(err))
			}
		})
	}
}

// What another Nix has in /etc/nix or /etc/xdg may be settings that this one does not know.
func TestHostVersionReadsNoConfiguration(t *testing.T) {
	t.Parallel()
	r := opened(t, options(t, scratch(t)))
	program := filepath.Join(r.layout.HostDir(), "nix")
	put(t, program, "#!/bin/sh\n[ \"${NIX_USER_CONF_FILES-unset}\" = '' ] && [ \"$NIX_CONF_DIR\" = '"+r.layout.HomeDir()+"' ] && echo 'nix (Nix) 2.26.3'\n")
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := r.hostVersion(deadline(t), program); err != nil {
		t.Error(err)
	}
}

func TestMeasure(t *testing.T) {
	o := options(t, scratch(t))
	l := o.Layout
	put(t, filepath.Join(l.Store, "a"), strings.Repeat("x", 10000))
	for _, name := range []string{filepath.Join(l.Store, "b"), filepath.Join(l.Packages, "c")} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(filepath.Join(l.Store, "a"), name); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Measure(deadline(t), l)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]int64{}
	for _, u := range got {
		files[u.What] = u.Files
		if u.What == "store" && (u.Bytes < 10000 || u.Bytes > 30000) {
			t.Errorf("%d bytes for a file of 10000 with three names", u.Bytes)
		}
	}
	// A directory and a file; a directory alone, its file being counted already; nothing.
	want := map[string]int64{"store": 2, "package set": 1, "state": 0, "logs": 0, "installer": 0}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestReceiptStage(t *testing.T) {
	got := receiptStage(Native, journal.Record{Key: "k", Output: map[string]string{
		"nix": "/opt/store/x-nix", "seconds": "1.500", "bytes": "12", "summary": "for people",
	}})
	want := receipt.Stage{
		Name: Native, Key: "k", Seconds: 1.5, Bytes: 12, Outputs: map[string]string{"nix": "/opt/store/x-nix"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
