package uninstall_test

import (
	"os"
	"testing"
)

func TestNamesInAStore(t *testing.T) {
	nixs := []string{
		hash1 + "-a", hash1 + "-a.drv", hash1 + "-a.lock", hash1 + "-a.drv.chroot", hash1 + "-a.check",
		hash1 + "-a.old-12-34", hash1 + "-a.tmp", hash1 + "-x_y?z=1+2", ".links", "tmp-1-0", ".tmp-link-1-2",
		".import-" + hash1 + "-a",
	}
	foreign := []string{
		hash1, hash1 + "-", hash1[1:] + "-a", "0" + hash1 + "-a", hash1 + "-a b", hash1 + "-a\n", "x" + hash1[:31] + "_a",
		"uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu-a", "links", "tmp", "tmp-", "tmp-1-0.bak", "lost+found", ".git", "README", ".import-", ".import-a",
	}
	w := newWorld(t)
	w.open()
	w.mkdir(w.l.Store)
	for _, name := range append(nixs, foreign...) {
		w.must(os.Mkdir(w.l.StorePath(name), 0o755))
	}
	w.uninstall()
	for _, name := range nixs {
		if _, err := os.Lstat(w.l.StorePath(name)); err == nil {
			t.Errorf("%q was left", name)
		}
	}
	for _, name := range foreign {
		if _, err := os.Lstat(w.l.StorePath(name)); err != nil {
			t.Errorf("%q was removed", name)
		}
	}
}
