package stages

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDryRun reads what Nix 2.26.3 printed, but for the digests.
func TestDryRun(t *testing.T) {
	var d dryRun
	for line := range strings.Lines(`warning: something
these 2 derivations will be built:
  /opt/store/a-stdenv.drv
  /opt/store/b-nix-2.26.3.drv
these 3 paths will be fetched (12.50 MiB download, 40.00 MiB unpacked):
  /opt/store/c-one
  /opt/store/d-two
  /opt/store/e-three
don't know how to build these paths:
  /opt/store/f-lost
this derivation will be built:
  /opt/store/g-hello.drv
this path will be fetched (512.00 KiB download, 1.00 MiB unpacked):
  /opt/store/h-four
`) {
		d.line(strings.TrimSuffix(line, "\n"))
	}
	if diff := cmp.Diff([]string{"/opt/store/a-stdenv.drv", "/opt/store/b-nix-2.26.3.drv", "/opt/store/g-hello.drv"}, d.build); diff != "" {
		t.Errorf("to be built (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/opt/store/c-one", "/opt/store/d-two", "/opt/store/e-three", "/opt/store/h-four"}, d.fetch); diff != "" {
		t.Errorf("to be fetched (-want +got):\n%s", diff)
	}
	if want := int64(12.5*(1<<20)) + 512<<10; d.bytes != want {
		t.Errorf("%d bytes, not %d", d.bytes, want)
	}
}

// TestBestNix has sets with several Nixes: the set's own is taken where there are patches for it and it is as
// asked for, else the newest of which that is true.
func TestBestNix(t *testing.T) {
	nix := func(version string, path ...string) candidate { return candidate{Path: path, Version: version} }
	own := func(version string) candidate { return nix(version, "nix") }
	other := func(version string) candidate { return nix(version, "nixVersions", "nix_"+version) }
	tests := map[string]struct {
		all        []candidate
		constraint string
		want       string // the path and the version
	}{
		"its own":                         {all: []candidate{own("2.28.6"), other("2.31.2")}, want: "nix 2.28.6"},
		"its own has no patches":          {all: []candidate{own("2.24.10"), other("2.26.4"), other("2.31.2"), other("2.28.6")}, want: "nixVersions.nix_2.31.2 2.31.2"},
		"its own is not asked for":        {all: []candidate{own("2.28.6"), other("2.26.4")}, constraint: "~> 2.26.0", want: "nixVersions.nix_2.26.4 2.26.4"},
		"the newest is no release":        {all: []candidate{own("2.24.10"), other("2.31pre20250101_abcdef0"), other("2.26.4")}, want: "nixVersions.nix_2.26.4 2.26.4"},
		"a version that cannot be read":   {all: []candidate{own("unstable"), other("2.26.4")}, want: "nixVersions.nix_2.26.4 2.26.4"},
		"none that is asked for":          {all: []candidate{own("2.28.6")}, constraint: "~> 2.26.0"},
		"none that there are patches for": {all: []candidate{own("2.24.10"), other("2.28.1")}},
		"none at all":                     {},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := &scout{r: &installation{Options: Options{NixVersion: tt.constraint}}, set: &Set{}}
			got, err := s.best(tt.all)
			if tt.want == "" {
				if err == nil {
					t.Fatalf("got %+v", got)
				}
				for _, c := range tt.all {
					if !strings.Contains(err.Error(), c.Version) {
						t.Errorf("%v: does not say that there is %s", err, c.Version)
					}
				}
				return
			}
			if err != nil || strings.Join(got.Path, ".")+" "+got.Version != tt.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// TestNixString holds what Nix reads as another text than it looks like.
func TestNixString(t *testing.T) {
	if got, want := nixString("a\"b\\c${d}$e\n"), `"a\"b\\c\${d}$e\n"`; got != want {
		t.Errorf("got %s, not %s", got, want)
	}
}
