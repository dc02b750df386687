package control_test

import (
	"testing"

	"bootstrap/internal/control"
)

func TestCompare(t *testing.T) {
	for _, tt := range []struct {
		name string
		a, b string
		want int
	}{
		{"equal", "1.2-3", "1.2-3", 0},
		{"numbers are not words", "1.9", "1.10", -1},
		{"leading zeros do not count", "1.02", "1.2", 0},
		{"numbers of any length", "1.99999999999999999999", "1.100000000000000000000", -1},
		{"epoch comes first", "1:0.1", "9.9", 1},
		{"no epoch is zero", "0:1.0", "1.0", 0},
		{"no revision is zero", "1.0-0", "1.0", 0},
		{"revision breaks the tie", "1.0-2", "1.0-10", -1},
		{"the last hyphen parts the revision", "1.0-1-2", "1.0-1-10", -1},
		{"tilde before the end", "1.0~rc1", "1.0", -1},
		{"tilde before tilde and more", "1.0~~", "1.0~~a", -1},
		{"tilde before everything", "1.0~~a", "1.0~", -1},
		{"letters before other signs", "1.0a", "1.0+", -1},
		{"end before letters", "1.0", "1.0a", -1},
		{"upper before lower case", "1.0A", "1.0a", -1},
		{"binary rebuild", "0.14.3-1+b1", "0.14.3-1", 1},
		{"stable update before the next revision", "2.41-12+deb13u1", "2.41-13", -1},
		{"repacked source", "2.26.3+dfsg-1", "2.26.3-1", 1},
		{"backport before the real one", "1.0-1~bpo12+1", "1.0-1", -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := sign(control.Compare(tt.a, tt.b)); got != tt.want {
				t.Errorf("Compare(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
			}
			if got := sign(control.Compare(tt.b, tt.a)); got != -tt.want {
				t.Errorf("Compare(%q, %q) = %d, want %d", tt.b, tt.a, got, -tt.want)
			}
		})
	}
}

func TestCheckVersion(t *testing.T) {
	for _, tt := range []struct {
		version string
		ok      bool
	}{
		{"1.0", true},
		{"1:2.3-4+b1", true},
		{"1:2:3-4", true},
		{"20250419", true},
		{"g1.0", true}, // dpkg wants a digit first, and only warns
		{"", false},
		{"-1", false},
		{":1.0", false},
		{"a:1.0", false},
		{"1.0-", false},
		{"1.0 2", false},
		{"1.0_2", false},
		{"1.0-1:2", false},
		{"1.0/../2", false},
	} {
		t.Run(tt.version, func(t *testing.T) {
			if err := control.CheckVersion(tt.version); (err == nil) != tt.ok {
				t.Errorf("CheckVersion(%q) = %v, want ok %t", tt.version, err, tt.ok)
			}
		})
	}
}

func FuzzCompare(f *testing.F) {
	for _, v := range []string{"", "1.0", "1:1.0~rc1-2+b1", "~", "0", "00:0-0", "1.0-", "a:b", "9999999999999999999999"} {
		f.Add(v, "1.0-1", "2~~")
	}
	f.Fuzz(func(t *testing.T, a, b, c string) {
		ab, bc, ac := control.Compare(a, b), control.Compare(b, c), control.Compare(a, c)
		if sign(ab) != -sign(control.Compare(b, a)) {
			t.Errorf("Compare(%q, %q) is not antisymmetric", a, b)
		}
		if control.Compare(a, a) != 0 {
			t.Errorf("%q does not equal itself", a)
		}
		if ab <= 0 && bc <= 0 && ac > 0 {
			t.Errorf("%q <= %q <= %q, but not %q <= %q", a, b, c, a, c)
		}
	})
}

func sign(n int) int { return min(1, max(-1, n)) }
