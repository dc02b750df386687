package prefix_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/fault"
	"bootstrap/internal/prefix"
)

// What is on this machine at the place has no say; what is below the directory has.
func TestResolveBelow(t *testing.T) {
	dir := realTemp(t)
	mkdir(t, dir, "elsewhere")
	opt := symlink(t, filepath.Join(dir, "elsewhere"), filepath.Join(dir, "opt"))
	below := filepath.Join(dir, "root")
	want, err := prefix.Resolve(prefix.Options{Path: "/no-such-opt"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := prefix.Resolve(prefix.Options{Path: "/no-such-opt", Below: below})
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("layout (-want +got):\n%s%v", diff, err)
	}
	got, err = prefix.Resolve(prefix.Options{Path: opt, Below: below})
	if err != nil || got.Store != opt+"/store" || got.ResolvedFrom != "" {
		t.Errorf("%+v, %v", got, err)
	}
	files := got.Below(below)
	if files.Store != filepath.Join(below, opt, "store") || files.Journal() != filepath.Join(below, opt, "var/bootstrap/journal.jsonl") {
		t.Errorf("files in %+v", files)
	}
	if got.Below("") != got {
		t.Error("below nothing it is another one")
	}

	mkdir(t, below, dir)
	link := symlink(t, filepath.Join(dir, "elsewhere"), filepath.Join(below, opt))
	_, err = prefix.Resolve(prefix.Options{Path: opt, Below: below})
	checkFault(t, err, fault.Unfit, link+`" is a symbolic link`, "put a directory in its place")
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(link, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = prefix.Resolve(prefix.Options{Path: opt, Below: below})
	checkFault(t, err, fault.Unfit, link+`" is not a directory`, "another path")

	// A store of somebody's, at the place as it is below, and around the files.
	mkdir(t, below, "no-such-other", "var", "nix", "db")
	_, err = prefix.Resolve(prefix.Options{Path: "/no-such-other/store/x/store", Below: below})
	checkFault(t, err, fault.Unfit, `another store, "/no-such-other/store"`, "--prefix")
	mkdir(t, dir, "theirs", "var", "nix", "db")
	_, err = prefix.Resolve(prefix.Options{Path: "/no-such-opt", Below: filepath.Join(dir, "theirs", "store", "root")})
	checkFault(t, err, fault.Unfit, `another store, "`+filepath.Join(dir, "theirs", "store")+`"`, "--destdir")
}
