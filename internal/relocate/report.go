package relocate

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// Verdict says what became of a place.
type Verdict string

// The verdicts. A package with something refused is refused as a whole.
const (
	Rewritten Verdict = "rewritten" // replaced by a text of the same length
	Repaired  Verdict = "repaired"  // pieces of a path in machine code or constants, put right
	Left      Verdict = "left"      // looked at, and as it was
	Refused   Verdict = "refused"
)

// Hazard says what a place is.
type Hazard string

// The hazards. README.md has a line for each.
const (
	Plain      Hazard = "path"                             // a hash part, with or without its directory
	Wide       Hazard = "path in UTF-16 or UTF-32"         //
	Escaped    Hazard = "path with escaped separators"     //
	Bare       Hazard = "directory alone"                  //
	Foreign    Hazard = "path that is not in the map"      //
	LongerWord Hazard = "directory inside a longer name"   //
	FileName   Hazard = "file name"                        //
	LinkTarget Hazard = "link target"                      //
	Mangled    Hazard = "path in an unknown spelling"      //
	Base64     Hazard = "path in base64"                   //
	Split      Hazard = "path split into pieces of code"   // immediates and 16-byte constants
	Machine    Hazard = "code of an unknown machine"       // whose way of splitting texts is not known
	Compressed Hazard = "path in a compressed member"      //
	Unreadable Hazard = "compressed data that is not read" // of an unknown kind, damaged, or too large
	Summed     Hazard = "path in a container with checksums"
	DebugLink  Hazard = "checksum of a debug file"  // .gnu_debuglink
	Listed     Hazard = "file in a list of digests" // RECORD, SHA256SUMS, …
	Git        Hazard = "git objects"
	Sorted     Hazard = "path in a sorted or hashed table"
	StaleCode  Hazard = "compiled code with a digest of its source" // .pyc
	Signed     Hazard = "signed file"
	Target     Hazard = "target that was there before" // so that there would be no way back
	Invariant  Hazard = "invariant"                    // a check on the result failed
)

// Finding is one place.
type Finding struct {
	Verdict Verdict
	Hazard  Hazard
	File    string // within the store object; empty for itself
	Offset  int64  // in its content; -1 if that means nothing
	Detail  string
}

func (f Finding) String() string {
	s := fmt.Sprintf("%s: %s: %q", f.Verdict, f.Hazard, f.File)
	if f.Offset >= 0 {
		s += fmt.Sprintf(" at byte %d", f.Offset)
	}
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	return s
}

// compareFindings orders findings by place.
func compareFindings(a, b Finding) int {
	return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Offset, b.Offset),
		strings.Compare(string(a.Hazard), string(b.Hazard)), strings.Compare(a.Detail, b.Detail))
}

// Digest is the SHA-256 of a NAR, and its size.
type Digest struct {
	Sum  [sha256.Size]byte
	Size int64
}

// maxFindings is how many findings of each verdict are kept. All are counted.
const maxFindings = 500

// Report says what was done to one store object.
type Report struct {
	Source, Result Digest
	References     []string // mapped paths that the result refers to, as last elements, sorted
	Entries        int      // files, directories and links
	Counts         map[Verdict]int
	Findings       []Finding
}

// add counts a finding, and keeps it if there is room.
func (r *Report) add(f Finding) {
	if r.Counts == nil {
		r.Counts = map[Verdict]int{}
	}
	r.Counts[f.Verdict]++
	if r.Counts[f.Verdict] <= maxFindings {
		r.Findings = append(r.Findings, f)
	}
}

// Of returns the findings of one verdict.
func (r *Report) Of(v Verdict) []Finding {
	var list []Finding
	for _, f := range r.Findings {
		if f.Verdict == v {
			list = append(list, f)
		}
	}
	return list
}

// RefusedError says that a package cannot be relocated; what was written of it is worth nothing.
type RefusedError struct{ Findings []Finding }

func (e *RefusedError) Error() string {
	// A place may have been looked at more than once, with the same result.
	findings := slices.Compact(slices.Clone(e.Findings))
	lines := make([]string, 0, 4)
	for i, f := range findings {
		if i == 3 && len(findings) > 4 {
			lines = append(lines, fmt.Sprintf("and %d more", len(findings)-i))
			break
		}
		lines = append(lines, f.String())
	}
	return "relocate: " + strings.Join(lines, "; ")
}
