package prefix_test

import (
	"path/filepath"
	"testing"

	"bootstrap/internal/prefix"
)

// A lender finds out who borrows by the names of directories alone.
func TestBorrower(t *testing.T) {
	l := prefix.Layout{State: "/b/var/nix"}
	for _, store := range []string{"/opt/store", "/home/a.b_c-d+e@f~/opt/store"} {
		dir := l.LentTo(store)
		if filepath.Dir(dir) != l.Lent() {
			t.Errorf("%q is not in %q", dir, l.Lent())
		}
		if got, ok := prefix.Borrower(filepath.Base(dir)); !ok || got != store {
			t.Errorf("Borrower(%q) = %q, %t; want %q", filepath.Base(dir), got, ok, store)
		}
	}
	for _, name := range []string{"", "opt", "opt%2Fstore", "%2Fopt%2fstore", "%2", "/opt"} {
		if got, ok := prefix.Borrower(name); ok {
			t.Errorf("Borrower(%q) = %q, and it is nobody's", name, got)
		}
	}
}
