package stages

import (
	"slices"
	"strings"
	"testing"

	"bootstrap/internal/lock"
	"bootstrap/templates"

	version "github.com/hashicorp/go-version"
)

// The built-in lock has a toolchain for every series of patches, once that is added to it which
// the versions of the series need.
func TestWithNeeds(t *testing.T) {
	builtIn, err := lock.Parse(templates.Lock())
	if err != nil {
		t.Fatal(err)
	}
	for nix, tt := range map[string]struct {
		has, lost []string
	}{
		"2.26.3": {has: []string{"libboost-dev", "libcurl4-gnutls-dev 8.14"}},
		"2.28.7": {has: []string{"libblake3-dev 1.8", "libblake3-0 1.8", "libboost1.83-dev", "libcurl4-gnutls-dev 8.14"}},
		"2.31.5": {
			has:  []string{"libblake3-dev 1.8", "libboost1.88-dev", "libboost-url1.88.0", "libcurl4-gnutls-dev 8.14"},
			lost: []string{"libboost1.83-dev", "libboost-dev", "libboost-context1.83.0"},
		},
		"2.34.8": {
			has:  []string{"libblake3-dev 1.8", "libboost1.88-dev", "libcurl4-gnutls-dev 8.21", "libcurl4-gnutls 8.21"},
			lost: []string{"libboost1.83-dev", "libcurl3t64-gnutls"},
		},
	} {
		v := version.Must(version.NewVersion(nix))
		got, err := withNeeds(templates.Needs(), templates.Later(), v, builtIn)
		if err != nil {
			t.Fatal(err)
		}
		if same := got.Digest() == builtIn.Digest(); same != (nix == "2.26.3") {
			t.Errorf("Nix %s: is it the built-in lock? %t", nix, same)
		}
		for _, arch := range []string{"amd64", "arm64"} {
			if missing, err := lacking(templates.Needs(), v, got, arch); err != nil || len(missing) > 0 {
				t.Errorf("Nix %s: the toolchain for %s is without %q, %v", nix, arch, missing, err)
			}
			tools := got.For(arch, lock.Toolchain)
			for _, want := range tt.has {
				name, release, _ := strings.Cut(want, " ")
				if !slices.ContainsFunc(tools, func(e lock.Entry) bool { return e.Name == name && strings.HasPrefix(e.Version, release) }) {
					t.Errorf("Nix %s: %s is not in the toolchain for %s", nix, want, arch)
				}
			}
			for _, name := range tt.lost {
				if slices.ContainsFunc(tools, func(e lock.Entry) bool { return e.Name == name }) {
					t.Errorf("Nix %s: %s is still in the toolchain for %s", nix, name, arch)
				}
			}
			if host := got.For(arch, lock.Host); len(host) != len(builtIn.For(arch, lock.Host)) {
				t.Errorf("Nix %s: the host nix for %s is of %d packages", nix, arch, len(host))
			}
		}
	}
}

// What was made for the packages of one suite is not mixed with those of another.
func TestWithNeedsOfAnotherSuite(t *testing.T) {
	builtIn, err := lock.Parse(templates.Lock())
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range builtIn.Entries {
		if slices.Contains(e.Roles, lock.Toolchain) {
			builtIn.Entries[i].Suite = "bookworm"
		}
	}
	got, err := withNeeds(templates.Needs(), templates.Later(), version.Must(version.NewVersion("2.34.8")), builtIn)
	if err != nil || got.Digest() != builtIn.Digest() {
		t.Errorf("something was added to it, %v", err)
	}
}
