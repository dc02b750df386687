package provenance_test

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/lock"
	"bootstrap/internal/prefix"
	"bootstrap/internal/provenance"
	"bootstrap/internal/receipt"
)

func facts() provenance.Facts {
	a, b := strings.Repeat("a", 64), strings.Repeat("b", 64)
	raw, _ := hex.DecodeString(b)
	return provenance.Facts{
		Receipt: &receipt.Receipt{
			Created: time.Date(2026, 9, 12, 8, 0, 0, 0, time.UTC), Installer: "1.0", NixVersion: "2.26.3",
			Layout: prefix.Layout{Store: "/o/store", State: "/o/var/nix", Log: "/o/var/log/nix", Conf: "/o/etc/nix"},
			Host:   receipt.Host{Architecture: "amd64"},
		},
		Lock: &lock.Lock{Version: 1, Entries: []lock.Entry{
			{Name: "z", Path: "pool/z", SHA256: a, Roles: []lock.Role{lock.Host}, For: []string{"amd64"}},
			{Name: "y", Path: "pool/y", SHA256: b, Roles: []lock.Role{lock.Host}, For: []string{"arm64"}},
		}},
		Files: map[string]string{"patches/0001-a.patch": a, "nix.nix": b},
		Outputs: []provenance.Output{
			{Stage: "toolchain", Name: "compiler", Path: "/o/store/c", NAR: "sha256:" + a},
			{Stage: "native", Name: "nix", Path: "/o/store/n", NAR: "sha256-" + base64.StdEncoding.EncodeToString(raw)},
		},
	}
}

func TestNew(t *testing.T) {
	a, b := strings.Repeat("a", 64), strings.Repeat("b", 64)
	f := facts()
	s, err := provenance.New(f)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]provenance.Resource{
		{Name: "native/nix", URI: "file:///o/store/n", Digest: map[string]string{"narSha256": b}},
		{Name: "toolchain/compiler", URI: "file:///o/store/c", Digest: map[string]string{"narSha256": a}},
	}, s.Subject); diff != "" {
		t.Errorf("subject (-want +got)\n%s", diff)
	}
	// What serves another architecture is no input.
	if diff := cmp.Diff([]provenance.Resource{
		{Name: "lock.json", Digest: map[string]string{"sha256": f.Lock.Digest()}},
		{Name: "packages/nix.nix", Digest: map[string]string{"sha256": b}},
		{Name: "packages/patches/0001-a.patch", Digest: map[string]string{"sha256": a}},
		{Name: "seed/pool/z", Digest: map[string]string{"sha256": a}},
	}, s.Predicate.BuildDefinition.ResolvedDependencies); diff != "" {
		t.Errorf("dependencies (-want +got)\n%s", diff)
	}
	if got := s.Predicate.RunDetails.Builder.Version["bootstrap"]; got != "1.0" {
		t.Errorf("builder %q", got)
	}
	again, err := provenance.New(facts())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, again); diff != "" {
		t.Errorf("the same facts give something else\n%s", diff)
	}
}

func TestHashesThatCannotBeRead(t *testing.T) {
	for _, hash := range []string{"", "sha256-", "sha256-AAAA", "sha256:" + strings.Repeat("a", 62), "sha512-AAAA", "sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s"} {
		f := facts()
		f.Outputs[0].NAR = hash
		if s, err := provenance.New(f); err == nil {
			t.Errorf("%q: got %v", hash, s.Subject)
		}
	}
}
