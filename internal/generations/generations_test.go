package generations_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/generations"
)

const store = "/p/store"

// profile makes a profile of some generations below dir, of which one is current.
func profile(t *testing.T, dir, name string, current int, numbers ...int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, n := range numbers {
		if err := os.Symlink(fmt.Sprintf("%s/%d", store, n), filepath.Join(dir, fmt.Sprintf("%s-%d-link", name, n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(fmt.Sprintf("%s-%d-link", name, current), filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	profile(t, filepath.Join(dir, "per-user/me"), "channels", 2, 1, 2, 10)
	profile(t, dir, "default", 1, 1)
	for name, target := range map[string]string{"other-1-link": "/q/store/x", "note": store + "/x", "default-x-link": store + "/x"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	all, err := generations.List(dir, store)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range all {
		name, _ := filepath.Rel(dir, g.Link())
		got = append(got, fmt.Sprintf("%s %s %t", name, g.Target, g.Current))
		if time.Since(g.Made) > time.Hour {
			t.Errorf("%s was made %s", name, g.Made)
		}
	}
	want := []string{
		"default-1-link /p/store/1 true", "per-user/me/channels-1-link /p/store/1 false",
		"per-user/me/channels-2-link /p/store/2 true", "per-user/me/channels-10-link /p/store/10 false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if none, err := generations.List(filepath.Join(dir, "nowhere"), store); err != nil || none != nil {
		t.Errorf("nowhere: %v, %v", none, err)
	}
}

func TestOld(t *testing.T) {
	now := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	var all []generations.Generation
	for n := 1; n <= 6; n++ { // six days old to one
		all = append(all, generations.Generation{Profile: "p", Number: n, Made: now.Add(time.Duration(n-7) * day), Current: n == 4})
	}
	// The current generation of this one is not known.
	all = append(all, generations.Generation{Profile: "q", Number: 1, Made: now.Add(-99 * day)})
	for name, tt := range map[string]struct {
		keep int
		age  time.Duration
		want []int
	}{
		"no limit":                  {-1, 0, nil},
		"none but the current":      {0, 0, []int{1, 2, 3, 5, 6}},
		"two besides":               {2, 0, []int{1, 2, 3}},
		"more than there are":       {9, 0, nil},
		"not older than three days": {-1, 3 * day, []int{1, 2, 3}},
		"either keeps":              {3, 1 * day, []int{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []int
			for _, g := range (generations.Policy{Keep: tt.keep, MaxAge: tt.age, Now: now}).Old(all) {
				if g.Profile != "p" {
					t.Errorf("%s would go", g.Profile)
				}
				got = append(got, g.Number)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
