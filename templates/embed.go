// Package templates holds what is written into a prefix: the package set, nix.conf, the
// files that shells source, and the programs of runtime mode.
package templates

import (
	"embed"
	"io/fs"
)

//go:embed all:packages all:nixpkgs all:conf all:env all:runtime later/*.json
var files embed.FS

// Packages returns the package set: Nix expressions, builder scripts, the lock, and two tables:
// roots.json, that locks are made from, and needs.json, of what versions of Nix need, which names
// what [Later] has.
func Packages() fs.FS { return sub("packages") }

// Nixpkgs returns what makes a package set of a prefix of nixpkgs: Nix expressions, which take besides
// them some files of [Packages].
func Nixpkgs() fs.FS { return sub("nixpkgs") }

// Conf returns the templates of configuration files.
func Conf() fs.FS { return sub("conf") }

// Env returns the templates of the files that shells source.
func Env() fs.FS { return sub("env") }

// Runtime returns the template of the programs that run a Nix on a store it was not made for.
func Runtime() fs.FS { return sub("runtime") }

// Lock returns the text of the lock that this release was made with.
func Lock() []byte { return read("lock.json") }

// Roots returns the text of the table that locks are made from.
func Roots() []byte { return read("roots.json") }

// Needs returns the text of the table of what versions of Nix need of a toolchain.
func Needs() []byte { return read("needs.json") }

// Later returns the locks of what some versions of Nix need besides the toolchain of the lock:
// blake3.json and the like, each of them of a few packages.
func Later() fs.FS { return sub("later") }

func sub(dir string) fs.FS {
	sub, err := fs.Sub(files, dir)
	if err != nil {
		panic(err) // the name is a constant
	}
	return sub
}

func read(name string) []byte {
	data, err := files.ReadFile("packages/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return data
}
