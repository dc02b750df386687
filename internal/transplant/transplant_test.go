package transplant_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bootstrap/internal/bundletest"
	"bootstrap/internal/closure"
	"bootstrap/internal/fault"
	"bootstrap/internal/nar"
	"bootstrap/internal/nixbundle"
	"bootstrap/internal/prefix"
	"bootstrap/internal/relocate"
	"bootstrap/internal/storetest"
	"bootstrap/internal/transplant"

	"github.com/google/go-cmp/cmp"
)

// layoutAt returns the layout of a prefix whose files lie in a directory of the test's. Only its names
// are looked at, but for the store directory, which is written to.
func layoutAt(root string) prefix.Layout {
	return prefix.Layout{
		Root: root, Store: root + "/store", State: root + "/var/nix", Log: root + "/var/log/nix", Conf: root + "/etc/nix",
	}
}

// roots returns two roots of the same length, and a shorter one, in a directory that exists.
func roots(t *testing.T) (a, b, short string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"first", "other", "s"} {
		if err := os.MkdirAll(filepath.Join(dir, name, "store"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "first"), filepath.Join(dir, "other"), filepath.Join(dir, "s")
}

func bundle(t *testing.T, root string, more storetest.Tree) (*bundletest.World, string, *nixbundle.Head) {
	t.Helper()
	dir := t.TempDir()
	w := bundletest.New(t, filepath.Join(dir, "store"), root, "#!/bin/sh\n", more)
	file := filepath.Join(dir, "nix.bundle")
	return w, file, w.Write(file, bundletest.Key(t, "k"))
}

func stage(t *testing.T, file string, l prefix.Layout) (*transplant.Staged, error) {
	t.Helper()
	o, err := (&nixbundle.Source{Location: file, Shown: file, Key: bundletest.Key(t, "k").Public()}).Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	return transplant.Stage(context.Background(), transplant.Options{Head: o.Head, Body: o.Body(), Layout: l, Tmp: t.TempDir()})
}

// transplanted commits what is in a file.
func transplanted(t *testing.T, file string, l prefix.Layout) *transplant.Staged {
	t.Helper()
	s, err := stage(t, file, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Commit(context.Background(), func(closure.Path) bool { return false }, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestNames: what is moved has the names, references, derivers and bytes that are made at the other place.
func TestNames(t *testing.T) {
	t.Parallel()
	a, b, _ := roots(t)
	_, file, _ := bundle(t, a, nil)
	there, _, head := bundle(t, b, nil)
	s := transplanted(t, file, layoutAt(b))
	if s.Nix != head.Nix {
		t.Errorf("nix is %s, not %s", s.Nix, head.Nix)
	}
	if diff := cmp.Diff(head.Tools, s.Tools); diff != "" {
		t.Errorf("tools (-want +got):\n%s", diff)
	}
	for _, p := range s.Paths {
		if diff := cmp.Diff(there.Closure().Path(p.Path), &p); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := sum(t, b+"/store", p.Base()); got != p.NarHash {
			t.Errorf("%s: %s is on the disk, and %s is going to be registered", p.Path, got, p.NarHash)
		}
	}
	if len(s.Paths) != 3 || len(s.Shell) == 0 {
		t.Errorf("%d paths, and a shell of %d bytes", len(s.Paths), len(s.Shell))
	}
	entries, err := os.ReadDir(b + "/store")
	if err != nil || len(entries) != len(s.Paths) {
		t.Errorf("in the store are %v, %v", entries, err)
	}
}

func sum(t *testing.T, dir, name string) nar.Digest {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	got, _, err := nar.Sum(root, name)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestSamePlace: a bundle can be taken back to where it was made, and nothing is rewritten then.
func TestSamePlace(t *testing.T) {
	t.Parallel()
	a, _, _ := roots(t)
	w, file, _ := bundle(t, a, nil)
	for _, p := range transplanted(t, file, layoutAt(a)).Paths {
		if want := w.Closure().Path(p.Path); want == nil || want.NarHash != p.NarHash {
			t.Errorf("%s: %v, not %v", p.Path, p, want)
		}
	}
}

// TestShorter: the directories are filled up, where a program has them; names are those of the place.
func TestShorter(t *testing.T) {
	t.Parallel()
	a, b, short := roots(t)
	_, file, _ := bundle(t, a, nil)
	_, _, head := bundle(t, short, nil)
	s := transplanted(t, file, layoutAt(short))
	if s.Nix != head.Nix {
		t.Errorf("nix is %s, not %s", s.Nix, head.Nix)
	}
	state, err := os.ReadFile(filepath.Join(s.Nix, "etc/state"))
	want := short + "/var/nix" + strings.Repeat("/", len(a)-len(short))
	if err != nil || string(state) != want {
		t.Errorf("the state directory is %q, not %q; %v", state, want, err)
	}
	for l, filled := range map[string]bool{a: false, b: false, short: true} {
		if got, err := transplant.Fit(head, layoutAt(short)); err != nil || got {
			t.Errorf("the same place: %t, %v", got, err)
		}
		o, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		announced, err := nixbundle.ReadHead(o)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := transplant.Fit(&announced.Head, layoutAt(l)); err != nil || got != filled {
			t.Errorf("%s: filled %t, %v", l, got, err)
		}
	}
}

func TestDoesNotFit(t *testing.T) {
	t.Parallel()
	head := func(root string) *nixbundle.Head {
		return &nixbundle.Head{Store: root + "/store", State: root + "/var/nix", Log: root + "/var/log/nix", Conf: root + "/etc/nix"}
	}
	elsewhere := layoutAt("/srv/here")
	elsewhere.State = "/var/lib/elsewhere/nix"
	stays := layoutAt("/srv/here")
	stays.State = "/opt/this/var/nix"
	for _, row := range []struct {
		from       string
		to         prefix.Layout
		text, hint string
	}{
		{"/opt/this", layoutAt("/opt/longer"), "has 17 bytes, and a Nix made at \"/opt/this/store\" fits where there are at most 15", "a store directory of 15 bytes fits, such as /opt/"},
		{"/opt/this", elsewhere, "fits where there are at most", "leave --state-dir"},
		{"/opt/this", stays, "stays where it is", "leave --state-dir"},
		{"/a", layoutAt("/b"), "at \"/a/store\"", ""}, // 8 bytes are enough
		{"/nix", layoutAt("/opt"), "prefix is not distinctive", "only its own prefix"},
	} {
		_, err := transplant.Fit(head(row.from), row.to)
		if row.from == "/a" {
			if err != nil {
				t.Errorf("%s to %s: %v", row.from, row.to.Store, err)
			}
			continue
		}
		if fault.KindOf(err) != fault.Unfit || !strings.Contains(err.Error(), row.text) || !strings.Contains(fault.HintOf(err), row.hint) {
			t.Errorf("%s to %s: %v; %s", row.from, row.to.Store, err, fault.HintOf(err))
		}
	}
}

// TestLeavesNothing: of what is refused nothing is left, and nothing gets its name.
func TestLeavesNothing(t *testing.T) {
	t.Parallel()
	a, b, _ := roots(t)
	for name, more := range map[string]storetest.Tree{
		"a list of digests": {"SHA256SUMS": strings.Repeat("0", 64) + "  etc/state\n"},
		"the target":        {"share/doc": "see " + b + "/store\n"},
	} {
		_, file, _ := bundle(t, a, more)
		_, err := stage(t, file, layoutAt(b))
		var refused *relocate.RefusedError
		if !errors.As(err, &refused) || fault.KindOf(err) != fault.Unfit {
			t.Errorf("%s: %v", name, err)
		}
		if entries, err := os.ReadDir(b + "/store"); err != nil || len(entries) != 0 {
			t.Errorf("%s: left are %v, %v", name, entries, err)
		}
	}
}

// TestGoesOn: what an earlier run has left is no obstacle, staged or named, whatever it is.
func TestGoesOn(t *testing.T) {
	t.Parallel()
	a, b, _ := roots(t)
	_, file, _ := bundle(t, a, nil)
	s, err := stage(t, file, layoutAt(b)) // ends here
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	broken := filepath.Join(b, "store", filepath.Base(s.Nix))
	if err := os.MkdirAll(filepath.Join(broken, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	again := transplanted(t, file, layoutAt(b))
	for _, p := range again.Paths {
		if sum(t, b+"/store", p.Base()) != p.NarHash {
			t.Errorf("%s is not what it should be", p.Path)
		}
	}
	// And once more: the same files stay, since they are what they should be.
	before, err := os.Stat(again.Nix)
	if err != nil {
		t.Fatal(err)
	}
	once := transplanted(t, file, layoutAt(b))
	if after, err := os.Stat(once.Nix); err != nil || !os.SameFile(before, after) {
		t.Errorf("what was right was replaced: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(b, "store", ".*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left are %q, %v", left, err)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	a, _, _ := roots(t)
	w, file, head := bundle(t, a, nil)
	verify := func(file string) error {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		announced, err := nixbundle.ReadHead(f)
		if err != nil {
			t.Fatal(err)
		}
		_, err = transplant.Verify(announced.Head, f)
		return err
	}
	if err := verify(file); err != nil {
		t.Error(err)
	}
	// With another derivation for its own, nothing in it makes the Nix.
	w.Head.Derivation = w.Closure().Path(head.Tools["runtime"]).Deriver
	wrong := filepath.Join(t.TempDir(), "wrong")
	w.Write(wrong)
	if err := verify(wrong); err == nil || !strings.Contains(err.Error(), "nothing in it makes") {
		t.Errorf("a Nix that nothing makes: %v", err)
	}
}

// TestUniqueWindows: of the names that are made up, each piece of four bytes tells where it stands.
func TestUniqueWindows(t *testing.T) {
	t.Parallel()
	for _, length := range []int{15, 32, 48} {
		for try := range 3 {
			store := transplant.StoreOf(length, "/opt", try)
			if len(store) != length {
				t.Fatalf("%q has %d bytes, not %d", store, len(store), length)
			}
			seen := map[string]bool{}
			for i := range len(store) - 3 {
				if seen[store[i:i+4]] {
					t.Errorf("%s has %s twice", store, store[i:i+4])
				}
				seen[store[i:i+4]] = true
			}
		}
	}
	for _, length := range []int{0, 11, 200} {
		if got := transplant.StoreOf(length, "/opt", 0); got != "" {
			t.Errorf("%d bytes: %q", length, got)
		}
	}
	if got := transplant.StoreOf(32, "/", 0); len(got) != 32 || !strings.HasPrefix(got, "/n") {
		t.Errorf("in /: %q", got)
	}
}

// TestNamesAreNoTable looks for two letters in a made-up name that follow each other in every table of digits or of
// the alphabet.
func TestNamesAreNoTable(t *testing.T) {
	t.Parallel()
	name := strings.ToLower(strings.TrimPrefix(transplant.StoreOf(50, "/", 20), "/"))
	for i := 1; i < len(name)-len("/store"); i++ {
		if name[i] == name[i-1]+1 {
			t.Errorf("%q in %q", name[i-1:i+1], name)
		}
	}
}

// TestScriptMakesTheSameNames holds scripts/bundles to the names that are made up here.
func TestScriptMakesTheSameNames(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("../../scripts/bundles", "-n", "-p", "/srv/built", "24", "32", "48").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var want []string
	for _, length := range []int{24, 32, 48} {
		want = append(want, transplant.StoreOf(length, "/srv/built", 0))
	}
	if diff := cmp.Diff(want, strings.Fields(string(out))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestMovable tries what is in a store itself: what can be moved, and what no place would do for.
func TestMovable(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, refusal string }{
		"its own directory": {"at /opt/store, in /opt/var/nix", ""},
		"damaged":           {"\x1f\x8b\x08\x00 is how gzip begins", "compressed data that is not read"},
	} {
		dir := filepath.Join(t.TempDir(), "store")
		w := bundletest.New(t, dir, "/opt", "#!/bin/sh\n", storetest.Tree{"share/text": tt.text})
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		err = transplant.Movable(t.Context(), &w.Head, root, w.Closure())
		if tt.refusal == "" && err != nil || tt.refusal != "" && (err == nil || !strings.Contains(err.Error(), tt.refusal)) {
			t.Errorf("%s: %v", name, err)
		}
		var f *fault.Error
		if err != nil && (!errors.As(err, &f) || f.Kind != fault.Unfit || f.Hint == "") {
			t.Errorf("%s: %#v", name, err)
		}
	}
}
