package patches_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/patches"
)

const valid = `Subject: part: do a thing
Why: It goes wrong,
 every time.
Upstream: none known
Range: >= 2.26.3, < 2.27
Until: it is right

---
diff --git a/src/a.cc b/src/a.cc
--- a/src/a.cc
+++ b/src/a.cc
@@ -1,3 +1,4 @@ int main()
 one
-two
+zwei
+drei
 four
@@ -9 +10 @@
-nine
+neun
diff --git a/b b/b
--- a/b
+++ b/b
@@ -0,0 +1 @@
+new
`

func TestParseReadsAPatch(t *testing.T) {
	p, err := patches.Parse("2.26/0001-a.patch", []byte(valid))
	if err != nil {
		t.Fatal(err)
	}
	got := []string{p.File, p.Subject, p.Why, p.Upstream, p.Until, p.Range.String()}
	want := []string{
		"2.26/0001-a.patch", "part: do a thing", "It goes wrong, every time.", "none known", "it is right", ">= 2.26.3, < 2.27",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, body, _ := strings.Cut(valid, "---\n")
	if diff := cmp.Diff(body, string(p.Body)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestParseIsStrict(t *testing.T) {
	tests := map[string]struct{ old, new, want string }{
		"no separator":       {"\n\n---\n", "\n", `no line "---"`},
		"missing field":      {"Upstream: none known\n", "", `line 4: field "Range", where field "Upstream" should be`},
		"missing last field": {"\nUntil: it is right", "", `header ends where field "Until" should be`},
		"unknown field":      {"Until: it is right", "Until: it is right\nAuthor: me", `line 7: field "Author", where the header should end`},
		"misspelt field":     {"Why:", "why:", `field "why", where field "Why" should be`},
		"double field":       {"Subject: part: do a thing", "Subject: a\nSubject: b", `line 2: field "Subject"`},
		"empty field":        {"Upstream: none known", "Upstream:", `field "Upstream" is empty`},
		"bad range":          {">= 2.26.3, < 2.27", "some", "Range: "},
		"text in the header": {"Until: it is right", "Until: it is right\nand so on", "neither a field nor"},
		"early continuation": {"Subject:", " Subject:", `field " Subject"`},
		"empty diff":         {valid[strings.Index(valid, "diff --git"):], "", "the last line does not end"},
		"cut in a line":      {"+new\n", "+new", "the last line does not end"},
		"cut in a hunk":      {"+new\n", "", "0 old and 1 new lines are missing"},
		"too few lines":      {"+drei\n", "", "0 old and 1 new lines are missing"},
		"too many lines":     {"+new\n", "+new\n+more\n", `where "diff --git a/" should be`},
		"old count too low":  {"@@ -1,3 +1,4 @@", "@@ -1,1 +1,4 @@", "more lines than its header says"},
		"bad hunk header":    {"@@ -9 +10 @@", "@@ -9 10 @@", "not the rest of a hunk's header"},
		"no change":          {"-nine\n+neun\n", " nine\n", "changes nothing"},
		"different names":    {"+++ b/src/a.cc", "+++ b/src/b.cc", "name different files"},
		"no prefix":          {"--- a/src/a.cc", "--- src/a.cc", `where "--- a/" should be`},
		"new file":           {"--- a/b\n", "--- /dev/null\n", `where "--- a/" should be`},
		"path with dots":     {"diff --git a/b b/b\n--- a/b\n+++ b/b\n", "diff --git a/../b b/../b\n--- a/../b\n+++ b/../b\n", "not clean"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(valid, test.old, test.new, 1)
			if text == valid {
				t.Fatal("the test changes nothing")
			}
			_, err := patches.Parse("2.26/0001-a.patch", []byte(text))
			checkError(t, err, test.want)
			if err != nil && !strings.HasPrefix(err.Error(), `parse patch "2.26/0001-a.patch": `) {
				t.Errorf("error %q does not name the file", err)
			}
		})
	}
}

func TestDigestIsOfTheDiffAlone(t *testing.T) {
	parse := func(text string) string {
		t.Helper()
		p, err := patches.Parse("2.26/0001-a.patch", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return p.Digest()
	}
	digest := parse(valid)
	if len(digest) != 64 {
		t.Errorf("digest %q is not a SHA-256", digest)
	}
	if got := parse(strings.Replace(valid, "every time", "at times", 1)); got != digest {
		t.Error("the digest changes with the header")
	}
	if got := parse(strings.Replace(valid, "zwei", "deux", 1)); got == digest {
		t.Error("the digest does not change with the diff")
	}
}
