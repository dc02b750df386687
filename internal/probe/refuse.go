package probe

import (
	"fmt"
	"strings"

	"github.com/hashicorp/go-version"

	"bootstrap/internal/fault"
)

// Need is what an installation takes. The zero value needs only places to write to.
type Need struct {
	Bytes      int64  // at the peak, in the prefix
	Inodes     int64  // in the prefix
	CacheBytes int64  // of downloads that are not in the cache yet
	Kernel     string // a constraint such as ">= 3.17"
}

// Subject is what a refusal is about.
type Subject string

// The subjects of refusals.
const (
	Architecture Subject = "architecture"
	KernelAge    Subject = "kernel"
	Contents     Subject = "contents" // of the store directory
	Directories  Subject = "directories"
	Bytes        Subject = "bytes"
	Inodes       Subject = "inodes"
)

// Finding is a refusal and its subject.
type Finding struct {
	About  Subject
	Reason *fault.Error
}

// Refusals returns the reasons of [Facts.Findings].
func (f Facts) Refusals(need Need) []*fault.Error {
	var reasons []*fault.Error
	for _, found := range f.Findings(need) {
		reasons = append(reasons, found.Reason)
	}
	return reasons
}

// Findings returns every reason why the installation cannot work here, the most fundamental first;
// each is a [fault.Unfit] with a hint, save for a constraint in need that makes no sense.
// Where one directory is the cause of several, it is named once.
func (f Facts) Findings(need Need) []Finding {
	var r refusals
	if f.Architecture == "" {
		r.add(Architecture, "run it on amd64 or arm64", "architecture %q: there are no packages to start from", f.GOARCH)
	}
	f.refuseKernel(&r, need.Kernel)
	if f.Occupied == Foreign {
		f.refuseForeign(&r)
	}
	seen := map[string]bool{}
	for _, p := range f.Places {
		p.refuse(&r, seen)
	}
	for _, d := range f.demands(need) {
		d.refuse(&r)
	}
	return r
}

type refusals []Finding

func (r *refusals) add(about Subject, hint, format string, args ...any) {
	*r = append(*r, Finding{about, fault.New(fault.Unfit, fmt.Errorf(format, args...), hint)})
}

func (f Facts) refuseKernel(r *refusals, constraint string) {
	if constraint == "" {
		return
	}
	want, err := version.NewConstraint(constraint)
	if err != nil {
		*r = append(*r, Finding{KernelAge, fault.New(fault.General, fmt.Errorf("kernel constraint %q: %w", constraint, err), "")})
		return
	}
	have, err := ParseKernel(f.Kernel.Release)
	if err != nil {
		r.add(KernelAge, "run it on Linux "+constraint, "kernel: %w", err)
		return
	}
	if !want.Check(have) {
		r.add(KernelAge, "run it on a host with a newer kernel", "kernel %q: Linux %s is needed", f.Kernel.Release, constraint)
	}
}

func (f Facts) refuseForeign(r *refusals) {
	store, _ := f.Place("store")
	state, _ := f.Place("state")
	r.add(Contents, "choose another --prefix; or, if you can do without what is there, move it away",
		"store %q: something that bootstrap did not install is in it or in %q", store.Path, state.Path)
}

// executes are the places programs are run from.
var executes = map[string]bool{"store": true, "state": true, "work": true}

// refuse adds what is wrong with one place, unless the same is known of its ancestor already.
func (p Place) refuse(r *refusals, seen map[string]bool) {
	first := func(problem string) bool {
		key := problem + " " + p.Ancestor
		defer func() { seen[key] = true }()
		return !seen[key]
	}
	elsewhere := fmt.Sprintf("choose another %s, such as a directory below your home", p.Flag)
	switch {
	case p.ReadOnly:
		if first("read-only") {
			r.add(Directories, elsewhere, "%s %q: %q is mounted read-only", p.Noun, p.Path, p.Ancestor)
		}
		return
	case !p.Writable:
		if !first("unwritable") {
			return
		}
		if p.Exists {
			r.add(Directories, elsewhere, "%s %q: cannot be written to: %s", p.Noun, p.Path, p.Reason)
		} else {
			r.add(Directories, elsewhere+fmt.Sprintf("; or have somebody who may make it yours do so: %q", p.Path),
				"%s %q: cannot be created in %q: %s", p.Noun, p.Path, p.Ancestor, p.Reason)
		}
		return
	}
	if p.NoExec && executes[p.Noun] && first("noexec") {
		r.add(Directories, elsewhere, "%s %q: %q is mounted noexec, and programs must run from there", p.Noun, p.Path, p.Ancestor)
	}
}

// demand is what is asked of one file system.
type demand struct {
	place         Place
	nouns         []string
	bytes, inodes int64
}

// demands sums up by file system. All that the prefix takes is asked of the store's:
// next to it the rest is small.
func (f Facts) demands(need Need) []*demand {
	var all []*demand
	ask := func(noun string, bytes, inodes int64) {
		p, ok := f.Place(noun)
		if !ok {
			return
		}
		for _, d := range all {
			if d.place.Device == p.Device {
				d.nouns = append(d.nouns, noun)
				d.bytes, d.inodes = d.bytes+bytes, d.inodes+inodes
				return
			}
		}
		all = append(all, &demand{place: p, nouns: []string{noun}, bytes: bytes, inodes: inodes})
	}
	if need.Bytes > 0 || need.Inodes > 0 {
		ask("store", need.Bytes, need.Inodes)
	}
	if need.CacheBytes > 0 {
		ask("cache", need.CacheBytes, 0)
	}
	return all
}

func (d *demand) refuse(r *refusals) {
	p, what := d.place, strings.Join(d.nouns, " and ")
	if p.Ancestor == "" {
		return // refused already
	}
	if p.TotalBytes > 0 && p.FreeBytes < d.bytes {
		r.add(Bytes, fmt.Sprintf("free %s there, or choose another %s", Size(d.bytes-p.FreeBytes), p.Flag),
			"%s %q: too little disk: %s needed, %s free, %s missing",
			what, p.Path, Size(d.bytes), Size(p.FreeBytes), Size(d.bytes-p.FreeBytes))
	}
	if p.TotalInodes > 0 && p.FreeInodes < d.inodes {
		r.add(Inodes, fmt.Sprintf("remove %d files there, or choose another %s", d.inodes-p.FreeInodes, p.Flag),
			"%s %q: too few inodes: %d needed, %d free, %d missing",
			what, p.Path, d.inodes, p.FreeInodes, d.inodes-p.FreeInodes)
	}
}

// Size writes a number of bytes for people, in powers of 1024, rounded up:
// what is missing is never made to look less than it is.
func Size(bytes int64) string {
	if bytes < 1024 {
		return fmt.Sprintf("%d B", bytes)
	}
	unit := int64(1024)
	names := []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	i := 0
	for i < len(names)-1 && bytes > 1000*unit {
		unit *= 1024
		i++
	}
	whole, tenths := bytes/unit, (bytes%unit*10+unit-1)/unit
	if tenths == 10 {
		whole, tenths = whole+1, 0
	}
	return fmt.Sprintf("%d.%d %s", whole, tenths, names[i])
}
