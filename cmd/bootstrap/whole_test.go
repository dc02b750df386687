package main

import (
	"encoding/json"
	"strings"

	"bootstrap/internal/debtest"
	"bootstrap/internal/lock"
	"bootstrap/internal/resolve"
	"bootstrap/templates"
)

// whole gives the archive every package and source that the built-in table of roles starts from,
// for both architectures. Change, if there is one, is called for each suite.
func (s *seed) whole(change func(*debtest.Suite)) {
	var table map[lock.Role]resolve.Rule
	if err := json.Unmarshal(templates.Roots(), &table); err != nil {
		panic(err)
	}
	program := debtest.ELF{Needed: []string{"libc.so.6"}}.Bytes(s.tb)
	library := debtest.ELF{Soname: "libc.so.6"}.Bytes(s.tb)
	for _, name := range []string{"bookworm", "trixie"} {
		suite := s.archive.Suite(name)
		suite.Packages, suite.Sources = nil, nil
		if change != nil {
			change(suite)
		}
		for _, arch := range []string{"amd64", "arm64"} {
			suite.Add(debtest.Package{
				Name: "libc6", Version: "2.41-12", Arch: arch,
				Entries: []debtest.Entry{debtest.Reg("./usr/lib/libc.so.6", library)},
			})
			for _, p := range packagesOf(table, name) {
				p.Arch, p.Fields = arch, map[string]string{"Depends": "libc6"}
				p.Entries = []debtest.Entry{debtest.Exe("./usr/bin/"+p.Name, program)}
				if p.Name == "nix-bin" {
					p.Entries = []debtest.Entry{debtest.Exe("./usr/bin/nix", program)}
				}
				suite.Add(p)
			}
		}
	}
	for _, source := range sources() {
		s.archive.Suite("trixie").AddSource(source)
	}
	s.archive.Publish()
}

// packagesOf returns a package for each that the rules of a suite name, of a version they accept.
func packagesOf(table map[lock.Role]resolve.Rule, suite string) []debtest.Package {
	var packages []debtest.Package
	seen := map[string]bool{}
	for _, role := range lock.Roles() {
		if table[role].Suite != suite {
			continue
		}
		for _, relations := range table[role].Packages {
			name, _, _ := strings.Cut(relations, " ")
			version := "9.1-1"
			if name == "patchelf" {
				version = "0.14.3-1"
			}
			if !seen[name] {
				packages = append(packages, debtest.Package{Name: name, Version: version})
			}
			seen[name] = true
		}
	}
	return packages
}
