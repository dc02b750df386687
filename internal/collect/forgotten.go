package collect

import (
	"os"
	"path/filepath"
	"strings"

	"bootstrap/internal/gcroots"
)

// forgotten reports whether a root is one that Nix has made for a file in a user's caches, which is gone:
// the registry of flakes that it downloaded, after somebody has deleted the cache. These directories are
// in the state directory, so it is no disk that is not mounted, unless links lead to one.
func (o Options) forgotten(r gcroots.Root) bool {
	users := filepath.Join(o.Layout.State, "users")
	if r.Verdict != gcroots.Stale && r.Verdict != gcroots.Unmounted || !strings.HasPrefix(r.Via, users+"/") {
		return false
	}
	dir := filepath.Dir(r.Via)
	for ; dir != users; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); err == nil {
			break
		}
	}
	state, err := filepath.EvalSymlinks(o.Layout.State)
	if err != nil {
		return false
	}
	real, err := filepath.EvalSymlinks(dir)
	return err == nil && real == state+strings.TrimPrefix(dir, o.Layout.State)
}
