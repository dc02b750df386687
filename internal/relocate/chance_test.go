package relocate_test

import (
	"strings"
	"testing"

	"bootstrap/internal/relocate"
)

// TestConstantsByChance: where an ELF file has a multiple of sixteen, a text may have what a directory ends in. That is
// a piece of it only if the rest can be somewhere else.
func TestConstantsByChance(t *testing.T) {
	t.Parallel()
	const from = "/opt/bootstrap-x/var/nix" // "/var/nix" begins at 16
	for name, row := range map[string]struct {
		from, to, content string
		refused           bool
	}{
		"the end of another directory":                {from, "/srv/relocated-y/var/nix", "/var/nix/profiles", false},
		"the same, of a target that is shorter":       {from, "/srv/y/var/nix", "/var/nix/profiles", false},
		"the whole directory":                         {from, "/srv/relocated-y/var/nix", from + "/profiles", false},
		"the whole, and its end is shared":            {from, "/srv/bootstrap-y/var/nix", strings.Repeat("x", 9) + from, false},
		"the whole, and shorter":                      {from, "/srv/y/var/nix", from + "/profiles", false},
		"the whole, and the target begins as it does": {from, "/opt/bootstrap-y/var/nix", "x" + from + "/profiles", false},
		"the same in a constant that ends there":      {from, "/opt/bootstrap-y/var/nix", "x" + from[:15] + "\x00 more", true},
		"what is left of another directory":           {from, "/srv/relocated-y/var/nix", "/opt/bootstrap-x/store/" + foreign, false},
		"the beginning alone":                         {from, "/srv/relocated-y/var/nix", from[:16] + "\x00 more", true},
		"the middle":                                  {from, "/srv/relocated-y/var/nix", from[4:20] + "\x00 more", true},
		"an end that differs, behind a part that does not": {
			"/opt/aaaaaaaaaaa/BBBB/var/nix", "/opt/aaaaaaaaaaa/CCCC/var/nix", "/BBBB/var/nix\x00 more", true,
		},
	} {
		m, err := relocate.NewMap(relocate.MapOptions{
			Store: relocate.Dir{From: "/opt/bootstrap-x/store", To: "/srv/relocated-y/store"},
			Dirs:  []relocate.Dir{{From: row.from, To: row.to}}, Shorter: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = run(t, relocate.Options{Map: m}, tree{"bin/x": sections(0, row.content+strings.Repeat("\x00", 64), ".text")})
		if (err != nil) != row.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHashesByChance: a new hash part may end as the old one does, and what follows it then is still what a constant
// of the old path would be. It was replaced with the text that it is part of.
func TestHashesByChance(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"6", "r6", "5r6"} {
		o := options()
		target := toA[:32-len(end)] + end + "-hello-1.0"
		o.Paths = map[string]string{fromA: target}
		m, err := relocate.NewMap(o)
		if err != nil {
			t.Fatal(err)
		}
		for shift := range 16 {
			text := func(path string) string {
				row := path + "/share\x00" // as constants would be that stand in a row
				row += strings.Repeat("\x00", -len(row)&15)
				return row + strings.Repeat("x", shift) + path + "/share/man\x00" + strings.Repeat("\x00", 64)
			}
			file := func(path string) tree { return tree{"bin/x": sections(0, text(path), ".text")} }
			got, _, err := run(t, relocate.Options{Map: m}, file(fromStore+"/"+fromA))
			if err != nil {
				t.Errorf("it ends with %q, at %d: %v", end, shift, err)
				continue
			}
			if want := file(toStore + "/" + target); got["bin/x"] != want["bin/x"] {
				t.Errorf("it ends with %q, at %d: something else was written", end, shift)
			}
		}
	}
}
