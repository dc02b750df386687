package stages

import (
	"testing"

	"bootstrap/internal/lock"
	"bootstrap/templates"

	"github.com/google/go-cmp/cmp"
	version "github.com/hashicorp/go-version"
)

func TestLacking(t *testing.T) {
	builtIn, err := lock.Parse(templates.Lock())
	if err != nil {
		t.Fatal(err)
	}
	newer := &lock.Lock{}
	for name, v := range map[string]string{
		"libblake3-dev": "1.8.2-1", "libboost-iostreams-dev": "1.92.0.1",
		"libboost-url-dev": "1.92.0.1", "libboost-dev": "1.92.0.1", "libcurl4-gnutls-dev": "8.22.0-1",
	} {
		newer.Entries = append(newer.Entries, lock.Entry{Name: name, Version: v, Roles: []lock.Role{lock.Toolchain}, For: []string{"amd64"}})
	}
	for _, tt := range []struct {
		nix  string
		lock *lock.Lock
		want []string
	}{
		{"2.26.3", builtIn, nil},
		{"2.26.4", builtIn, nil},
		{"2.28.7", builtIn, []string{"libblake3-dev (>= 1.5.5)"}},
		{"2.34.8", builtIn, []string{
			"libblake3-dev (>= 1.5.5)", "libblake3-dev (>= 1.8.2)", "libboost-iostreams-dev | libboost-iostreams1.88-dev",
			"libboost-url-dev | libboost-url1.88-dev", "libboost-dev (>= 1.87) | libboost1.88-dev", "libcurl4-gnutls-dev (>= 8.17)",
		}},
		{"2.34.8", newer, nil},
		{"2.34.0-pre1", newer, nil},
	} {
		got, err := lacking(templates.Needs(), version.Must(version.NewVersion(tt.nix)), tt.lock, "amd64")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Nix %s (-want +got):\n%s", tt.nix, diff)
		}
	}
}
