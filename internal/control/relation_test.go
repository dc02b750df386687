package control_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/control"
)

func TestParseDependencies(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   string
		want []control.Dependency
	}{
		{"nothing", " ", nil},
		{"names", "libc6, zlib1g", []control.Dependency{{{Name: "libc6"}}, {{Name: "zlib1g"}}}},
		{"empty items", ",libc6,, ", []control.Dependency{{{Name: "libc6"}}}},
		{
			"alternatives and versions", "debconf (>= 0.5) | debconf-2.0",
			[]control.Dependency{{{Name: "debconf", Op: ">=", Version: "0.5"}, {Name: "debconf-2.0"}}},
		},
		{
			"no spaces at all", "a(<<1)|b(=2-1)[amd64]<!x>",
			[]control.Dependency{{
				{Name: "a", Op: "<<", Version: "1"},
				{Name: "b", Op: "=", Version: "2-1", Archs: []string{"amd64"}},
			}},
		},
		{
			"qualifiers", "python3:any (>= 3.7~), gcc:native",
			[]control.Dependency{{{Name: "python3", Arch: ":any", Op: ">=", Version: "3.7~"}}, {{Name: "gcc", Arch: ":native"}}},
		},
		{
			"architectures", "libcpuid-dev [amd64 i386], x [!arm64 !armhf]",
			[]control.Dependency{
				{{Name: "libcpuid-dev", Archs: []string{"amd64", "i386"}}},
				{{Name: "x", Archs: []string{"!arm64", "!armhf"}}},
			},
		},
		{"profiles are dropped", "a <!nocheck !cross> <stage1>", []control.Dependency{{{Name: "a"}}}},
		{
			"obsolete operators are inclusive", "a (< 1), b (> 1)",
			[]control.Dependency{{{Name: "a", Op: "<=", Version: "1"}}, {{Name: "b", Op: ">=", Version: "1"}}},
		},
		{"a field over several lines", "a,\n b", []control.Dependency{{{Name: "a"}}, {{Name: "b"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := control.ParseDependencies(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestParseDependenciesRefuses(t *testing.T) {
	for _, in := range []string{
		"a |", "| a", "-a", "a b", "a (1)", "a (>= )", "a (>= 1", "a (=> 1)", "a (>> 1 2)",
		"a [", "a []", "a [amd64 !i386]", "a [!]", "a:", "a <", "a <>", "a <x> y", "a <x <y>>", "ä", "a (>= 1)(<< 2)",
	} {
		t.Run(in, func(t *testing.T) {
			if got, err := control.ParseDependencies(in); err == nil {
				t.Errorf("ParseDependencies(%q) = %v, want an error", in, got)
			}
		})
	}
}

func TestSatisfiedBy(t *testing.T) {
	for _, tt := range []struct {
		op                  string
		older, equal, newer bool
	}{
		{"", true, true, true},
		{"<<", true, false, false},
		{"<=", true, true, false},
		{"=", false, true, false},
		{">=", false, true, true},
		{">>", false, false, true},
		{"~", false, false, false},
	} {
		t.Run(tt.op, func(t *testing.T) {
			r := control.Relation{Name: "a", Op: tt.op, Version: "2"}
			got := []bool{r.SatisfiedBy("1"), r.SatisfiedBy("2"), r.SatisfiedBy("3")}
			if diff := cmp.Diff([]bool{tt.older, tt.equal, tt.newer}, got); diff != "" {
				t.Errorf("versions 1, 2, 3 for %s: -want +got:\n%s", r, diff)
			}
		})
	}
}

func TestAppliesTo(t *testing.T) {
	for _, tt := range []struct {
		in           string
		amd64, arm64 bool
	}{
		{"a", true, true},
		{"a [amd64 i386]", true, false},
		{"a [!amd64]", false, true},
		{"a [linux-any]", true, true},
		{"a [any-arm64]", false, true},
		{"a [!linux-any]", false, false},
	} {
		t.Run(tt.in, func(t *testing.T) {
			deps, err := control.ParseDependencies(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			r := deps[0][0]
			if got := r.AppliesTo("amd64"); got != tt.amd64 {
				t.Errorf("applies to amd64: %t, want %t", got, tt.amd64)
			}
			if got := r.AppliesTo("arm64"); got != tt.arm64 {
				t.Errorf("applies to arm64: %t, want %t", got, tt.arm64)
			}
		})
	}
}

func FuzzParseDependencies(f *testing.F) {
	f.Add("debconf (>= 0.5) | debconf-2.0, python3:any [amd64 i386] <!nocheck>")
	f.Add("a(<<1)|b(=2-1)")
	f.Add(", ,|")
	f.Fuzz(func(t *testing.T, in string) {
		first, err := control.ParseDependencies(in)
		if err != nil {
			return
		}
		var text string
		for _, d := range first {
			text += d.String() + ", "
		}
		again, err := control.ParseDependencies(text)
		if err != nil {
			t.Fatalf("%q, written anew as %q: %v", in, text, err)
		}
		if diff := cmp.Diff(first, again); diff != "" {
			t.Errorf("%q, written anew as %q: -first +again:\n%s", in, text, diff)
		}
	})
}
