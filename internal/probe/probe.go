// Package probe finds out what a host is like, and says what of it makes an installation impossible.
//
// It only reads: it makes no file, and what it tries in namespaces of its own is gone when it returns.
// What it cannot find out it leaves at the zero value. It decides nothing but [Facts.Refusals].
package probe

import (
	"context"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"bootstrap/internal/prefix"
)

// Options says what to look at.
type Options struct {
	Layout   prefix.Layout
	CacheDir string   // of downloads; not looked at where empty
	Terminal Terminal // as package main found it

	// ProcProbe is a command, usually this program with a hidden argument, that calls [MountProc]
	// and fails if that does. Without one it is not known whether /proc can be mounted in a sandbox.
	ProcProbe []string

	GOARCH string // default: what this program was compiled for
	Proc   string // default: /proc
	Nix    string // where another Nix would be; default: /nix
	CGroup string // where control groups are mounted; default: /sys/fs/cgroup
}

// Terminal is what the user can see and answer.
type Terminal struct {
	Input    bool `json:"input"`    // stdin is a terminal
	Progress bool `json:"progress"` // stderr is one
	Width    int  `json:"width,omitempty"`
}

// Facts is what a host is like, in the form `plan --json` prints it.
type Facts struct {
	GOARCH       string     `json:"goarch"`
	Architecture string     `json:"architecture"` // as Debian calls it; empty where there is no seed for it
	Kernel       Kernel     `json:"kernel"`
	Namespaces   Namespaces `json:"namespaces"`
	UID          int        `json:"uid"` // effective
	GID          int        `json:"gid"`
	Root         bool       `json:"root"`
	Terminal     Terminal   `json:"terminal"`
	CPUs         int        `json:"cpus"` // that this process may run on
	Memory       Memory     `json:"memory"`
	OtherNix     bool       `json:"other_nix"` // there is a /nix
	Occupied     Occupancy  `json:"occupied"`
	Places       []Place    `json:"places"`
}

// Run returns the facts. It never fails; a fact that matters and could not be had is a refusal.
func Run(ctx context.Context, o Options) Facts {
	if o.GOARCH == "" {
		o.GOARCH = runtime.GOARCH
	}
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	if o.Nix == "" {
		o.Nix = "/nix"
	}
	if o.CGroup == "" {
		o.CGroup = "/sys/fs/cgroup"
	}
	_, noNix := os.Stat(o.Nix)
	f := Facts{
		GOARCH:       o.GOARCH,
		Architecture: architectures[o.GOARCH],
		Kernel:       kernel(),
		Namespaces:   tryNamespaces(ctx, o.ProcProbe),
		UID:          os.Geteuid(),
		GID:          os.Getegid(),
		Root:         os.Geteuid() == 0,
		Terminal:     o.Terminal,
		CPUs:         runtime.NumCPU(), // by sched_getaffinity(2)
		Memory:       memory(filepath.Join(o.Proc, "meminfo")).within(memoryLimit(o.Proc, o.CGroup)),
		OtherNix:     noNix == nil,
		Occupied:     occupancy(o.Layout),
	}
	mounts := filepath.Join(o.Proc, "self", "mountinfo")
	for _, d := range o.Layout.Main() {
		f.Places = append(f.Places, place(d.Noun, d.Flag, d.Path, mounts))
	}
	f.Places = append(f.Places, place("work", "--prefix", o.Layout.Work, mounts))
	if o.CacheDir != "" {
		f.Places = append(f.Places, place("cache", "--cache-dir", o.CacheDir, mounts))
	}
	return f
}

// architectures maps Go's names to Debian's, for those the lock has a seed for.
var architectures = map[string]string{"amd64": "amd64", "arm64": "arm64"}

// Place returns the place of that noun: "store", "state", "logs", "configuration", "work" or "cache".
func (f Facts) Place(noun string) (Place, bool) {
	for _, p := range f.Places {
		if p.Noun == noun {
			return p, true
		}
	}
	return Place{}, false
}

// Kernel is which kernel runs.
type Kernel struct {
	Release string `json:"release"` // as uname -r
	Version string `json:"version"` // its leading numbers: 5.15.0
}

func kernel() Kernel {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return Kernel{}
	}
	k := Kernel{Release: unix.ByteSliceToString(u.Release[:])}
	if v, err := ParseKernel(k.Release); err == nil {
		k.Version = v.String()
	}
	return k
}

// Occupancy says what is in the store directory.
type Occupancy string

// What can be in a store directory.
const (
	Empty   Occupancy = "empty"   // nothing, or it is not there
	Ours    Occupancy = "ours"    // an installation of ours, whole or not
	Foreign Occupancy = "foreign" // something else
)

// occupancy finds out whose the store is.
// A journal is enough to be ours: it is there before anything else is.
func occupancy(l prefix.Layout) Occupancy {
	for _, file := range []string{l.Receipt(), l.Journal()} {
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			return Ours
		}
	}
	if _, err := os.Lstat(l.Database()); err == nil || !isEmpty(l.Store) {
		return Foreign
	}
	return Empty
}

// isEmpty reports whether nothing is in a directory but what mkfs puts there.
func isEmpty(dir string) bool {
	file, err := os.Open(dir)
	if err != nil {
		_, err := os.Lstat(dir)
		return err != nil // what is there and cannot be read is not empty
	}
	defer file.Close()
	names, _ := file.Readdirnames(2)
	for _, name := range names {
		if name != "lost+found" {
			return false
		}
	}
	return true
}
