//go:build e2e

package e2e_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	version "github.com/hashicorp/go-version"
	"github.com/ulikunitz/xz"

	"bootstrap/internal/lock"
	"bootstrap/patches"
)

// testPatchesApply applies the whole series to the source that the native nix was built from,
// without fuzz, and looks for what only the source shows.
func testPatchesApply(t *testing.T, n *neighbours) {
	program := lookPath(t, "patch")
	var source lock.Entry
	for _, e := range seedEntries(t) {
		if slices.Contains(e.Roles, lock.NixSource) {
			source = e
		}
	}
	number, _, _ := strings.Cut(source.Version, "+")
	v, err := version.NewVersion(number)
	if err != nil {
		t.Fatalf("the lock has the source of Nix %q: %v", source.Version, err)
	}
	dir := n.a.scratch(t)
	unpackSource(t, n.w.cached(source.SHA256), dir)
	n.w.user.own(t, dir)
	series, err := patches.For(v)
	if err != nil {
		t.Fatal(err)
	}
	const nixVar = "/nix/var/nix/profiles/default/share"
	scripts := filepath.Join(dir, "scripts")
	if len(filesWith(t, scripts, nixVar)) == 0 {
		t.Errorf("no profile script has %q in it even before", nixVar)
	}
	for _, p := range series {
		r := command{
			argv: []string{program, "-p1", "--fuzz=0", "--no-backup-if-mismatch"}, dir: dir, stdin: string(p.Body), account: n.w.user,
		}.run(t).want(t, 0)
		if strings.Contains(r.stdout, "fuzz") {
			t.Errorf("%s:\n%s", p.File, r.stdout)
		}
	}
	if left := filesWith(t, scripts, nixVar); len(left) > 0 {
		t.Errorf("%q is left in %q", nixVar, left)
	}
	colours := regexp.MustCompile(`\x1b\[[0-9;]*m`)
	log := colours.ReplaceAllString(n.a.line(t, dir, "nix log "+n.a.native(t)).must(t), "")
	for name, want := range map[string]bool{
		"libutil": true, "libutil-c": false, "libexpr-c": false, "nix-functional-tests": false,
	} {
		if strings.Contains(log, "Executing subproject "+name+" ") != want {
			t.Errorf("the native nix was built with %s: %t, and should be: %t", name, !want, want)
		}
	}
}

// filesWith returns the files below a directory that have a text in them.
func filesWith(t *testing.T, root, text string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// unpackSource unpacks the regular files of an archive, without its top folder.
func unpackSource(t *testing.T, file, dir string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	x, err := xz.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for in := tar.NewReader(x); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		_, name, ok := strings.Cut(h.Name, "/")
		if !ok || h.Typeflag != tar.TypeReg {
			continue
		}
		data, err := io.ReadAll(in)
		if err == nil {
			err = root.MkdirAll(filepath.Dir(name), 0o755)
		}
		if err == nil {
			err = root.WriteFile(name, data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
