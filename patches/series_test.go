package patches_test

import (
	"errors"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-version"

	"bootstrap/internal/fault"
	"bootstrap/patches"
)

func mustVersion(t *testing.T, s string) *version.Version {
	t.Helper()
	v, err := version.NewVersion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func names(list []patches.Patch) []string {
	var all []string
	for _, p := range list {
		all = append(all, path.Base(p.File))
	}
	return all
}

func TestEveryPatchIsCompleteAndWellFormed(t *testing.T) {
	all, err := patches.All()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no patches")
	}
	digests := make(map[string]string)
	for _, p := range all {
		for field, value := range map[string]string{
			"Subject": p.Subject, "Why": p.Why, "Upstream": p.Upstream, "Until": p.Until,
		} {
			if value == "" {
				t.Errorf("%s: %s is empty", p.File, field)
			}
		}
		if len(p.Subject) > 72 {
			t.Errorf("%s: the subject has %d characters, more than 72", p.File, len(p.Subject))
		}
		if !strings.HasPrefix(string(p.Body), "diff --git a/") {
			t.Errorf("%s: the body does not begin with a diff", p.File)
		}
		key := path.Dir(p.File) + " " + p.Digest()
		if other, found := digests[key]; found {
			t.Errorf("%s: the same diff as %s", p.File, other)
		}
		digests[key] = p.File
	}
}

func TestForGivesTheSeriesInOrder(t *testing.T) {
	got, err := patches.For(mustVersion(t, "2.26.3"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(got, func(a, b patches.Patch) int { return strings.Compare(a.File, b.File) }) {
		t.Errorf("not in order: %v", names(got))
	}
	for _, want := range []string{
		"unity-libexpr-parser", "unity-names", "unity-json-optional", "meson-tests-are-optional",
		"isolated-option", "isolated-user-dirs", "isolated-user-configuration", "isolated-store-local",
	} {
		if !slices.ContainsFunc(got, func(p patches.Patch) bool { return strings.HasSuffix(p.File, "-"+want+".patch") }) {
			t.Errorf("no patch %q in %v", want, names(got))
		}
	}
}

// TestForEverySeries also holds that what one range needs is in each: but for what its header says.
func TestForEverySeries(t *testing.T) {
	slugs := func(v string) map[string]bool {
		series, err := patches.For(mustVersion(t, v))
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, p := range series {
			_, slug, _ := strings.Cut(path.Base(p.File), "-")
			found[slug] = true
		}
		return found
	}
	oldest := slugs("2.26.3")
	for _, v := range []string{"2.26.4", "2.28.5", "2.28.7", "2.31.0", "2.31.5", "2.34.0", "2.34.8"} {
		got := slugs(v)
		for slug := range oldest {
			if !got[slug] && (slug != "unity-json-optional.patch" || strings.HasPrefix(v, "2.26.")) {
				t.Errorf("%s: no patch %s", v, slug)
			}
		}
	}
}

func TestForIgnoresWhatFollowsTheNumbers(t *testing.T) {
	want, err := patches.For(mustVersion(t, "2.26.3"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"2.26.3-dfsg", "2.26.3+dfsg", "2.26.3-pre20250304"} {
		got, err := patches.For(mustVersion(t, v))
		if err != nil {
			t.Errorf("%s: %v", v, err)
			continue
		}
		if diff := cmp.Diff(names(want), names(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", v, diff)
		}
	}
}

func TestForRefusesAnUnknownVersion(t *testing.T) {
	for _, v := range []string{"2.99", "2.26.2", "2.27", "2.28.4", "2.29.1", "2.33.0", "2.35", "1.0"} {
		got, err := patches.For(mustVersion(t, v))
		if err == nil {
			t.Errorf("%s: got %v, want an error", v, names(got))
			continue
		}
		want := `no patches for Nix ` + v + `: there are some for ">= 2.26.3, < 2.27"; ">= 2.28.5, < 2.29"; ">= 2.31.0, < 2.32"; ">= 2.34.0, < 2.35"`
		if err.Error() != want {
			t.Errorf("%s: got %q, want %q", v, err, want)
		}
		if fault.KindOf(err) != fault.Usage || fault.HintOf(err) == "" {
			t.Errorf("%s: kind %d, hint %q, want a usage error with a hint", v, fault.KindOf(err), fault.HintOf(err))
		}
	}
	if _, err := patches.For(nil); err == nil {
		t.Error("no version: got no error")
	}
}

func TestLoadRefusesAGapInTheNumbers(t *testing.T) {
	file := func() *fstest.MapFile { return &fstest.MapFile{Data: []byte(valid)} }
	tests := map[string]struct {
		fsys fstest.MapFS
		want string
	}{
		"two series":    {fstest.MapFS{"2.26/0001-a.patch": file(), "2.26/0002-b.patch": file(), "2.28/0001-a.patch": file()}, ""},
		"a gap":         {fstest.MapFS{"2.26/0001-a.patch": file(), "2.26/0003-b.patch": file()}, "should be 0002"},
		"a double":      {fstest.MapFS{"2.26/0001-a.patch": file(), "2.26/0001-b.patch": file()}, "should be 0002"},
		"no first":      {fstest.MapFS{"2.26/0002-a.patch": file()}, "should be 0001"},
		"no number":     {fstest.MapFS{"2.26/a.patch": file()}, "not named"},
		"a bad version": {fstest.MapFS{"nix/0001-a.patch": file()}, "not named"},
		"a bad patch":   {fstest.MapFS{"2.26/0001-a.patch": &fstest.MapFile{}}, `parse patch "2.26/0001-a.patch"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := patches.Load(test.fsys)
			checkError(t, err, test.want)
		})
	}
}

// checkError fails unless the error says what is wanted, or is nil if that is empty.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("got error %q, want none", err)
	case want != "" && err == nil:
		t.Errorf("got no error, want %q", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("got error %q, want %q", err, want)
	}
	if faulty := new(fault.Error); errors.As(err, &faulty) && faulty.Kind != fault.Usage {
		t.Errorf("got kind %d", faulty.Kind)
	}
}

func TestNearest(t *testing.T) {
	head, diff, _ := strings.Cut(valid, "\n---\n")
	var all []patches.Patch
	for _, minor := range []string{"2.28", "2.26", "2.31"} { // in no order
		text := strings.Replace(head, ">= 2.26.3, < 2.27", "~> "+minor+".0", 1) + "\n---\n" + diff
		p, err := patches.Parse(minor+"/0001-a.patch", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	for text, want := range map[string]string{
		"2.26.3": "2.26", "2.27.1": "2.26", "2.28.5": "2.28", "2.30": "2.28", "2.34.1pre2": "2.31", "2.8": "2.26", "3.0": "2.31",
	} {
		v, err := version.NewVersion(text)
		if err != nil {
			t.Fatal(err)
		}
		got := patches.Nearest(all, v)
		if len(got) != 1 || got[0].File != want+"/0001-a.patch" {
			t.Errorf("%s: got %v, want %s", text, got, want)
		}
	}
}
