package doctor

import (
	"context"
	"fmt"
	"strings"

	"bootstrap/internal/probe"
)

// Look examines what can be examined without writing anything and without the network.
func Look(ctx context.Context, o Options) []Check {
	checks := o.host()
	checks = append(checks, o.places()...)
	checks = append(checks, o.fileSystem(), o.links(), o.budgets(), o.ownership())
	checks = append(checks, o.home(), o.account(), o.temporary())
	checks = append(checks, o.namespaces()...)
	if len(o.Self) > 0 {
		checks = append(checks, o.filter(ctx))
	}
	checks = append(checks, o.terminals(), o.fileSize())
	checks = append(checks, o.variables(), o.otherNix())
	if o.Jobs > 0 {
		checks = append(checks, o.memory())
	}
	return checks
}

// why says for each subject of a refusal what it is about.
var why = map[probe.Subject]string{
	probe.Architecture: "everything begins with packages of Debian's, and there are only some for two machines",
	probe.KernelAge:    "the C library that programs in the prefix use ends at once on a kernel that is too old",
	probe.Contents:     "a store keeps only what its own database knows; the garbage collector takes the rest away",
	probe.Directories:  "Nix writes to these directories, and runs programs from them",
	probe.Bytes:        "a disk that fills up leaves half of a store behind",
	probe.Inodes:       "a store is many small files, and each takes an inode",
}

// host are the checks of what is as it is, wherever the prefix goes.
func (o Options) host() []Check {
	machine := o.Facts.GOARCH
	if a := o.Facts.Architecture; a != "" {
		machine = a
	}
	return append(o.subject(probe.Architecture, machine),
		o.subject(probe.KernelAge, o.Facts.Kernel.Release)...)
}

// places are the checks of the directories, as the plan has them.
func (o Options) places() []Check {
	store, _ := o.Facts.Place("store")
	contents := map[probe.Occupancy]string{
		probe.Empty: "nothing in " + store.Path, probe.Ours: "an installation by bootstrap in " + store.Path,
	}[o.Facts.Occupied]
	checks := o.subject(probe.Contents, contents)
	checks = append(checks, o.subject(probe.Directories, directories(o.Facts.Places))...)
	bytes := fmt.Sprintf("%s free", probe.Size(store.FreeBytes))
	if store.TotalBytes == 0 {
		bytes = "not counted by " + store.FileSystem
	}
	inodes := fmt.Sprintf("%d free", store.FreeInodes)
	if store.TotalInodes == 0 {
		inodes = "not counted by " + store.FileSystem
	}
	if o.Need.Bytes > 0 || o.Need.CacheBytes > 0 {
		bytes = fmt.Sprintf("%s needed, %s", probe.Size(o.Need.Bytes+o.Need.CacheBytes), bytes)
	}
	if o.Need.Inodes > 0 {
		inodes = fmt.Sprintf("%d needed, %s", o.Need.Inodes, inodes)
	}
	checks = append(checks, o.subject(probe.Bytes, bytes)...)
	return append(checks, o.subject(probe.Inodes, inodes)...)
}

// directories says where each of them is, or is going to be made.
func directories(places []probe.Place) string {
	var there []string
	missing := 0
	for _, p := range places {
		if p.Exists {
			there = append(there, p.Noun)
		} else {
			missing++
		}
	}
	switch {
	case missing == 0:
		return "all are there and can be written to"
	case len(there) == 0:
		return "all can be made"
	}
	return strings.Join(there, ", ") + " can be written to; the others can be made"
}

// subject returns what is refused of a subject, or that nothing is.
func (o Options) subject(s probe.Subject, found string) []Check {
	var checks []Check
	for _, f := range o.Facts.Findings(o.Need) {
		if f.About == s {
			checks = append(checks, ok(string(s), why[s], "%s", f.Reason).but(Refused, f.Reason.Hint))
		}
	}
	if len(checks) == 0 {
		checks = append(checks, ok(string(s), why[s], "%s", found))
	}
	return checks
}
