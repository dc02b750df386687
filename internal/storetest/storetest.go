// Package storetest makes stores of a few files for tests, without a Nix.
package storetest

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bootstrap/internal/closure"
	"bootstrap/internal/nar"
)

// Digest returns the digest of a store path in a test: the letters given, filled up with zeros.
func Digest(letters string) string { return letters + strings.Repeat("0", 32-len(letters)) }

// Tree is the contents of a store path: the names of files below it, "" for itself, and what is in
// them. "-> target" is a symbolic link, "dir" a directory, and "+x " makes a file executable.
type Tree map[string]string

// Path makes a store path in dir, a store directory that is called store.
func Path(t testing.TB, dir, store, base string, tree Tree, references ...string) closure.Path {
	t.Helper()
	at := filepath.Join(dir, base)
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		put(t, filepath.Join(at, name), tree[name])
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	digest, size, err := nar.Sum(root, base)
	if err != nil {
		t.Fatal(err)
	}
	p := closure.Path{Path: store + "/" + base, NarHash: digest, NarSize: size}
	for _, r := range references {
		p.References = append(p.References, store+"/"+r)
	}
	slices.Sort(p.References)
	return p
}

func put(t testing.TB, path, what string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	target, link := strings.CutPrefix(what, "-> ")
	text, executable := strings.CutPrefix(what, "+x ")
	switch {
	case link:
		err = os.Symlink(target, path)
	case what == "dir":
		err = os.MkdirAll(path, 0o755)
	case executable:
		err = os.WriteFile(path, []byte(text), 0o755)
	default:
		err = os.WriteFile(path, []byte(what), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Closure makes a closure of paths in dir. The wanted are named by their numbers.
func Closure(dir, store string, paths []closure.Path, wanted ...int) *closure.Closure {
	c := &closure.Closure{Store: store, Files: dir, Paths: slices.Clone(paths)}
	for _, i := range wanted {
		c.Wanted = append(c.Wanted, paths[i].Path)
	}
	slices.SortFunc(c.Paths, func(a, b closure.Path) int { return strings.Compare(a.Path, b.Path) })
	return c
}

// Sample makes a closure of three paths: a library, a program that refers to it and to itself, and a
// text that is a file. The program is wanted. What is in it is what a store may hold.
func Sample(t testing.TB, dir, store string) *closure.Closure {
	t.Helper()
	lib, app, text := Digest("a")+"-lib", Digest("b")+"-app-1.0", Digest("c")+"-text"
	long := strings.Repeat("long", 30)
	return Closure(dir, store, []closure.Path{
		Path(t, dir, store, lib, Tree{"lib/libx.so": "library", "lib/libx.so.1": "-> libx.so", "share/man/x.1": "manual"}),
		Path(t, dir, store, app, Tree{
			"bin/app": "+x program", "bin/lib": "-> " + store + "/" + lib + "/lib/libx.so", "empty": "dir",
			"share/man/app.1": "manual", "etc/app.conf": "conf", "a.b": "", "a/b": "order",
			"share/" + long + "/" + long + "/ünïcode": strings.Repeat("long text ", 1000),
		}, lib, app, text),
		Path(t, dir, store, text, Tree{"": "only a file\n"}),
	}, 1)
}
