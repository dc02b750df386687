package uninstall

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// filter says what in a directory of Nix's is Nix's.
// depth counts from 1, for the entries of the directory itself; mode holds the type.
// A directory that is not is left with all that is in it.
type filter func(depth int, name string, mode fs.FileMode) bool

const base32 = "0123456789abcdfghijklmnpqrsvwxyz"

// The names Nix 2.26 makes in a store directory (src/libstore).
var (
	// A store path, and what is made beside one: .lock (unix/pathlocks.cc), .chroot, .check, .tmp
	// (unix/build/local-derivation-goal.cc), .old-<pid>-<n> of a path that is being replaced;
	// all these are of the letters a name may have.
	storePath = regexp.MustCompile(`^[` + base32 + `]{32}-[0-9a-zA-Z+._?=-]+$`)
	// Temporary directories (local-store.cc, createTempDirInStore) and links (optimise-store.cc).
	storeTemp = regexp.MustCompile(`^(tmp-[0-9]+-[0-9]+|\.tmp-link-[0-9]+-[0-9]+)$`)
	// What an import of ours has made of a store path before it was ended (internal/bundle).
	storeImport = regexp.MustCompile(`^\.import-[` + base32 + `]{32}-[0-9a-zA-Z+._?=-]+$`)
)

// isStoreName reports whether Nix, or an import, makes an entry of that name in a store directory.
func isStoreName(name string) bool {
	return name == ".links" || storePath.MatchString(name) || storeTemp.MatchString(name) || storeImport.MatchString(name)
}

var (
	databaseNames = []string{
		"db.sqlite", "db.sqlite-journal", "db.sqlite-wal", "db.sqlite-shm", "reserved", "schema", "big-lock",
	}
	binaryCache = regexp.MustCompile(`^binary-cache-v[0-9]+\.sqlite(-journal|-wal|-shm)?$`)
	logDir      = regexp.MustCompile(`^[` + base32 + `]{2}$`)
	logFile     = regexp.MustCompile(`^[` + base32 + `]{30}-.+\.drv(\.bz2|\.xz|\.zst)?$`)
)

// stateEntry says whether Nix makes an entry of that name in its state directory,
// and what in it is Nix's. Our own patches add store-dir and users.
func stateEntry(name string) (ours filter, known bool) {
	switch name {
	case "db":
		return oursInDatabase, true
	case "profiles":
		return oursInProfiles, true
	case "gcroots":
		return oursInRoots, true
	case "temproots", "gc.lock", "gc-socket", "daemon-socket", "builds", "userpool", "userpool2",
		"cgroups", "current-load", "users", "store-dir":
		return nil, true
	}
	return nil, binaryCache.MatchString(name)
}

// logEntry does the same for the log directory.
func logEntry(name string) (ours filter, known bool) { return oursInLogs, name == "drvs" }

func oursInDatabase(_ int, name string, mode fs.FileMode) bool {
	return !mode.IsDir() && slices.Contains(databaseNames, name)
}

// oursInProfiles knows that Nix makes only links, locks and directories for them, and a user's
// list of channels (nix-channel/nix-channel.cc).
func oursInProfiles(_ int, name string, mode fs.FileMode) bool {
	return mode.IsDir() || mode&fs.ModeSymlink != 0 || strings.HasSuffix(name, ".lock") || name == "channels"
}

// oursInRoots knows one thing more: a file named as a store path is a root as well (gc.cc, findRoots).
func oursInRoots(depth int, name string, mode fs.FileMode) bool {
	return oursInProfiles(depth, name, mode) || storePath.MatchString(name)
}

// oursInLogs knows drvs/<2 digits>/<rest of the derivation's name> (local-fs-store.cc, getBuildLogExact).
func oursInLogs(depth int, name string, mode fs.FileMode) bool {
	if depth == 1 {
		return mode.IsDir() && logDir.MatchString(name) || mode.IsRegular() && storePath.MatchString(name)
	}
	return !mode.IsDir() && logFile.MatchString(name)
}
