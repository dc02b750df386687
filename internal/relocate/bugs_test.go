package relocate_test

import (
	"maps"
	slash "path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/relocate"
)

// bug is a case that another program for relocation is known to get wrong, or would.
type bug struct {
	files   tree
	refused []string
	fixed   tree
	options func(o *relocate.MapOptions) // what is relocated where; nil is as everywhere
	// read is how a program reads the result, and what it has to get; nil is all of it, as fixed.
	read func(got tree) string
	want string
}

const shortStore = "/s/store"

// shorter is a target of fewer bytes.
func shorter(o *relocate.MapOptions) {
	o.Dirs, o.Shorter, o.Store.To = nil, true, shortStore
}

// bugs has a case for each, by the number of its report.
func bugs() map[string]bug {
	from, to, short := fromStore+"/"+fromA, toStore+"/"+toA, shortStore+"///"+toA
	pad := strings.Repeat("\x90", 50)
	elf := func(s string) string { return sections(0, pad+s+pad, ".text") }
	at := func(file string, start, n int) func(tree) string {
		return func(got tree) string { return clean(cutOut(got[file], start, n)) }
	}
	lib := from + "/lib/libfoo.so"
	return map[string]bug{
		"perl5#10910: a text whose length is compiled in": {
			files: tree{"f": "\x01" + from + "\x00next\x00"}, fixed: tree{"f": "\x01" + short + "\x00next\x00"},
			options: shorter, read: at("f", 1, len(from)), want: shortStore + "/" + toA,
		},
		"rattler#2342: tails of texts that are shared": {
			files: tree{"f": "\x00" + lib + "\x00"}, fixed: tree{"f": "\x00" + short + "/lib/libfoo.so\x00"},
			options: shorter, read: at("f", 1+len(lib)-9, 9), want: "libfoo.so",
		},
		"rattler#2342: texts of Rust and Go, without an end": {
			files: tree{"f": "\x01" + from + " and more words\x00"}, fixed: tree{"f": "\x01" + short + " and more words\x00"},
			options: shorter, read: at("f", 1+len(from), 15), want: " and more words",
		},
		"Spack PR#15338: a list of paths, read by its length": {
			files: tree{"f": "\x01" + from + "/a:" + from + "/b\x00"}, fixed: tree{"f": "\x01" + short + "/a:" + short + "/b\x00"},
			options: shorter, read: at("f", 1+len(from)+3, len(from)+2), want: shortStore + "/" + toA + "/b",
		},
		"a directory within a longer name": {
			files: tree{"f": "in " + fromStore + "front/x\n"}, fixed: tree{"f": "in " + fromStore + "front/x\n"},
		},
		"Guix bug 24703: a text in operands of eight bytes": {
			files: tree{"f": elf(whole(from + "\x00"))}, fixed: tree{"f": elf(whole(to + "\x00"))},
		},
		"Guix bug 30395: a text in constants of sixteen bytes": {
			files: tree{"f": elf(align(from[:16] + pad16 + from[32:48] + pad16 + from[16:32] + pad16))},
			fixed: tree{"f": elf(align(to[:16] + pad16 + to[32:48] + pad16 + to[16:32] + pad16))},
		},
		"nix#8113: names that are in another order then": {
			files: tree{"d/" + fromA: "1", "d/" + fromB: "2", "d/c": "3"}, fixed: tree{"d/" + toA: "1", "d/" + toB: "2", "d/c": "3"},
		},
		"rewriteStrings: what was replaced is replaced again": {
			files: tree{"f": fromStore + "\n"}, refused: []string{string(relocate.Invariant) + " "},
			options: func(o *relocate.MapOptions) {
				o.Dirs = []relocate.Dir{{From: toStore, To: "/mnt/store"}}
				o.Store.To = toStore
			},
		},
		"a package that is its own file": {files: tree{"": "#!" + from + "/bin/sh\n"}, fixed: tree{"": "#!" + to + "/bin/sh\n"}},
	}
}

// cutOut is what a program reads of a content.
func cutOut(s string, at, n int) string { return s[min(at, len(s)):min(at+n, len(s))] }

func clean(s string) string {
	if strings.HasPrefix(s, "/") {
		return slash.Clean(s)
	}
	return s
}

func (b bug) mapping(t testing.TB) *relocate.Map {
	t.Helper()
	o := options()
	if b.options != nil {
		b.options(&o)
	}
	m, err := relocate.NewMap(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestBugs: what others get wrong is right here, or refused.
func TestBugs(t *testing.T) {
	for name, b := range bugs() {
		t.Run(name, func(t *testing.T) {
			got, _, err := run(t, relocate.Options{Map: b.mapping(t)}, b.files)
			if b.refused != nil {
				if diff := cmp.Diff(b.refused, refused(err)); diff != "" {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(b.fixed, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if b.read != nil && b.read(got) != b.want {
				t.Errorf("read %q, not %q", b.read(got), b.want)
			}
		})
	}
}

// right says whether a result is right: as a program reads it, or byte for byte.
func (b bug) right(got tree) bool {
	if b.read != nil {
		return b.read(got) == b.want
	}
	return b.fixed != nil && maps.Equal(got, b.fixed)
}
