package patches_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/patches"
)

// numbered returns a file of n lines, "line 1" and so on.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "line %d\n", i+1)
	}
	return b.String()
}

// patchOf returns a patch of the file "a" with the given hunks.
func patchOf(t *testing.T, number int, hunks string) patches.Patch {
	t.Helper()
	head, _, _ := strings.Cut(valid, "diff --git")
	p, err := patches.Parse(fmt.Sprintf("2.26/%04d-a.patch", number), []byte(head+"diff --git a/a b/a\n--- a/a\n+++ b/a\n"+hunks))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const (
	middle = "@@ -4,7 +4,7 @@ line 1\n line 4\n line 5\n line 6\n-line 7\n+LINE 7\n line 8\n line 9\n line 10\n"
	early  = "@@ -1,4 +1,5 @@\n+new\n line 1\n line 2\n line 3\n line 4\n"
	late   = "@@ -18,3 +18,4 @@\n line 18\n line 19\n line 20\n+new\n"
)

// TestCheckAgreesWithPatch compares with the program that the builder of Nix runs.
func TestCheckAgreesWithPatch(t *testing.T) {
	program, err := exec.LookPath("patch")
	if err != nil {
		t.Skip("patch is not installed")
	}
	twenty := numbered(20)
	tests := map[string]struct {
		file, hunks string
		want        patches.Verdict
		offset      int
	}{
		"as it is":                  {twenty, middle, patches.Applies, 0},
		"two hunks":                 {twenty, early + "@@ -10,6 +11,7 @@\n line 10\n line 11\n line 12\n+more\n line 13\n line 14\n line 15\n", patches.Applies, 0},
		"lines above it":            {"x\ny\n" + twenty, middle, patches.Applies, 2},
		"lines gone above it":       {strings.TrimPrefix(twenty, "line 1\nline 2\n"), middle, patches.Applies, 2},
		"context changed":           {strings.Replace(twenty, "line 4\n", "line four\n", 1), middle, patches.Conflicts, 0},
		"white space changed":       {strings.Replace(twenty, "line 9\n", "line  9\n", 1), middle, patches.Conflicts, 0},
		"in already":                {strings.Replace(twenty, "line 7", "LINE 7", 1), middle, patches.Obsolete, 0},
		"one of two in already":     {strings.Replace(twenty, "line 7", "LINE 7", 1), middle + "@@ -14,7 +14,7 @@\n line 14\n line 15\n line 16\n-line 17\n+LINE 17\n line 18\n line 19\n line 20\n", patches.Conflicts, 0},
		"at the beginning":          {twenty, early, patches.Applies, 0},
		"no more at the beginning":  {"x\n" + twenty, early, patches.Conflicts, 0},
		"at the end":                {twenty, late, patches.Applies, 0},
		"no more at the end":        {twenty + "line 21\n", late, patches.Conflicts, 0},
		"the end is elsewhere":      {"x\n" + twenty, late, patches.Applies, 1},
		"no newline at the end":     {strings.TrimSuffix(twenty, "\n"), late, patches.Conflicts, 0},
		"the same place twice":      {twenty + twenty, middle, patches.Applies, 0},
		"hunks in the wrong order":  {"line 20\n" + twenty, "@@ -14,7 +14,7 @@\n line 14\n line 15\n line 16\n-line 17\n+LINE 17\n line 18\n line 19\n line 20\n" + middle, patches.Conflicts, 0},
		"an empty file":             {"", middle, patches.Conflicts, 0},
		"carriage returns":          {strings.ReplaceAll(twenty, "\n", "\r\n"), middle, patches.Conflicts, 0},
		"all of it, from the first": {numbered(1), "@@ -1 +1 @@\n-line 1\n+LINE 1\n", patches.Applies, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := patchOf(t, 1, tt.hunks)
			got := patches.Check(map[string][]byte{"a": []byte(tt.file)}, []patches.Patch{p})[0]
			if got.Verdict != tt.want || got.Offset != tt.offset {
				t.Errorf("got %s, %d lines away, and %v; want %s, %d", got.Verdict, got.Offset, got.Conflicts, tt.want, tt.offset)
			}
			if (got.Verdict == patches.Conflicts) != (len(got.Conflicts) > 0) {
				t.Errorf("%s with %d hunks that conflict", got.Verdict, len(got.Conflicts))
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "a"), []byte(tt.file), 0o644); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(program, "-p1", "--fuzz=0", "--forward", "--dry-run")
			cmd.Dir, cmd.Stdin = dir, strings.NewReader(string(p.Body))
			out, err := cmd.CombinedOutput()
			if applies := err == nil; applies != (tt.want == patches.Applies) {
				t.Errorf("patch --fuzz=0: %v\n%s", err, out)
			}
		})
	}
}

func TestCheckGoesOnFromWhatApplied(t *testing.T) {
	second := "@@ -4,7 +4,7 @@\n line 4\n line 5\n line 6\n-LINE 7\n+seven\n line 8\n line 9\n line 10\n"
	source := map[string][]byte{"a": []byte(numbered(20))}
	one, two := patchOf(t, 1, middle), patchOf(t, 2, second)
	for _, tt := range []struct {
		name   string
		series []patches.Patch
		want   string
	}{
		{"in their order", []patches.Patch{one, two}, "applies [] applies []"},
		{"without the first", []patches.Patch{two}, "conflicts []"},
		{"the other way round", []patches.Patch{two, one, two}, "conflicts [] applies [] applies []"},
		{"the same twice", []patches.Patch{one, one}, "applies [] obsolete []"},
		{"behind one that conflicts", []patches.Patch{two, two}, "conflicts [] conflicts [2.26/0002-a.patch]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range patches.Check(source, tt.series) {
				got = append(got, fmt.Sprint(f.Verdict, " ", f.After))
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	if string(source["a"]) != numbered(20) {
		t.Error("the source was changed")
	}
}

func TestCheckSaysWhichHunk(t *testing.T) {
	p := patchOf(t, 1, early+middle)
	for name, tt := range map[string]struct {
		source map[string][]byte
		want   []patches.Conflict
	}{
		"no file": {nil, []patches.Conflict{{File: "a", Why: "the source has no such file"}}},
		"a line is gone": {
			map[string][]byte{"a": []byte(strings.Replace(numbered(20), "line 9", "line nine", 1))},
			[]patches.Conflict{{File: "a", Why: `the source has no line "line 9"`, Hunk: middle}},
		},
		"torn": {
			map[string][]byte{"a": []byte(strings.Replace(numbered(20), "line 9\n", "x\nline 9\n", 1))},
			[]patches.Conflict{{File: "a", Why: "its lines are there, but not one after the other", Hunk: middle}},
		},
		"half in": {
			map[string][]byte{"a": []byte("new\n" + numbered(20))},
			[]patches.Conflict{{File: "a", Why: "this change is in already, another of the patch is not", Hunk: early}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := patches.Check(tt.source, []patches.Patch{p})[0]
			if diff := cmp.Diff(tt.want, got.Conflicts); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestFilesAreThoseOfTheSeries also reads every diff that there is.
func TestFilesAreThoseOfTheSeries(t *testing.T) {
	all, err := patches.All()
	if err != nil {
		t.Fatal(err)
	}
	got := patches.Files(all)
	want := map[string]bool{}
	for _, p := range all {
		for line := range strings.Lines(string(p.Body)) {
			if path, found := strings.CutPrefix(strings.TrimSpace(line), "+++ b/"); found {
				want[path] = true
			}
		}
	}
	if len(got) != len(want) || len(got) == 0 {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
	for _, path := range got {
		if !want[path] {
			t.Errorf("%s is changed by no patch", path)
		}
	}
}
