package prefix

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"bootstrap/internal/fault"
)

// storeEntry matches the name of a store path: 32 digits of Nix's base 32, which has no e, o, t, u.
// https://nix.dev/manual/nix/2.26/protocols/store-path
var storeEntry = regexp.MustCompile(`^[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+._?=-]+$`)

// checkNested refuses a directory that lies inside another store,
// where that store's garbage collector would take it for rubbish. What stands for "/" is below.
func checkNested(d Directory, below string) error {
	for dir := d.Path; dir != "/"; dir = filepath.Dir(dir) {
		if storeEntry.MatchString(filepath.Base(dir)) {
			return nested(d, filepath.Dir(dir))
		}
		if dir != d.Path && isStore(dir, below) {
			return nested(d, dir)
		}
	}
	return nil
}

// isStore reports whether dir is the store directory of some Nix.
func isStore(dir, below string) bool {
	if dir == DefaultStore {
		return true
	}
	if !strings.HasSuffix(dir, "/"+storeName) {
		return false
	}
	info, err := os.Stat(filepath.Join(below, filepath.Dir(dir), "var", "nix", "db"))
	return err == nil && info.IsDir()
}

func nested(d Directory, store string) error {
	return fault.New(fault.Unfit,
		fmt.Errorf("%s directory %q: lies inside another store, %q", d.Noun, d.Path, store),
		"give "+d.Flag+" a directory outside every store; a garbage collection there would delete it")
}
