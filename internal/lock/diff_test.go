package lock_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/lock"
)

func TestDiff(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*lock.Lock)
		want   []string
	}{
		{"nothing", func(*lock.Lock) {}, nil},
		{"order does not count", func(l *lock.Lock) { l.Entries[0], l.Entries[1] = l.Entries[1], l.Entries[0] }, nil},
		{"new version", func(l *lock.Lock) {
			l.Entries[2].Version, l.Entries[2].Path = "2.41-13", "pool/new.deb"
		}, []string{"libc6:amd64: 2.41-12 -> 2.41-13"}},
		{"other bytes", func(l *lock.Lock) { l.Entries[2].SHA256 = digest("b") }, []string{"libc6:amd64: 2.41-12 has other bytes"}},
		{"other role", func(l *lock.Lock) { l.Entries[0].Roles = []lock.Role{lock.Toolchain} }, []string{
			"nix-bin:amd64: 2.26.3+dfsg-1 serves [toolchain] on [amd64], before [host] on [amd64]",
		}},
		{"removed", func(l *lock.Lock) { l.Entries = l.Entries[1:] }, []string{"nix-bin:amd64: removed 2.26.3+dfsg-1"}},
		{"added and removed", func(l *lock.Lock) { l.Entries[1].Name = "muon" }, []string{
			"meson:all: removed 1.7.0-1", "muon:all: added 1.7.0-1",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			changed := sample()
			tt.change(changed)
			var got []string
			for _, c := range lock.Diff(sample(), changed) {
				got = append(got, c.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestDiffSuites(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*lock.Lock)
		want   []string
	}{
		{"nothing", func(*lock.Lock) {}, nil},
		{"newer", func(l *lock.Lock) { l.Suites[0].Date = "20270101T000000Z" }, []string{"suite NAME: index of DATE -> 20270101T000000Z"}},
		{"another key", func(l *lock.Lock) { l.Suites[0].SignedBy = "AA" }, []string{"suite NAME: signed by AA, before by KEY"}},
		{"another index", func(l *lock.Lock) { l.Suites[0].InReleaseSHA256 = digest("e") }, []string{"suite NAME: another index of DATE"}},
		{"gone", func(l *lock.Lock) { l.Suites = l.Suites[1:] }, []string{"suite NAME: removed, index of DATE"}},
		{"another name", func(l *lock.Lock) { l.Suites[0].Name = "zurg" }, []string{
			"suite NAME: removed, index of DATE", "suite zurg: added, index of DATE",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			changed := sample()
			tt.change(changed)
			var got []string
			for _, c := range lock.DiffSuites(sample(), changed) {
				got = append(got, c.String())
			}
			first := sample().Suites[0]
			fill := strings.NewReplacer("NAME", first.Name, "DATE", first.Date, "KEY", first.SignedBy)
			var want []string
			for _, line := range tt.want {
				want = append(want, fill.Replace(line))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
