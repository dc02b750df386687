package deb

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// merged are the directories Debian moved into usr and left a symlink for:
// https://wiki.debian.org/UsrMerge
var merged = []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"}

// maxName is Linux's PATH_MAX. os.Root goes from directory to directory and so knows no such limit;
// here it bounds how many directories one entry can make.
const maxName = 4096

// cleanName returns the name of an entry without its leading "./" and trailing slash,
// or why it is none. The root of the package is ".".
func cleanName(raw string) (string, error) {
	switch {
	case raw == "":
		return "", errors.New("the name is empty")
	case len(raw) > maxName:
		return "", fmt.Errorf("the name is longer than %d bytes", maxName)
	case strings.ContainsRune(raw, 0):
		return "", errors.New("the name has a NUL byte")
	case strings.HasPrefix(raw, "/"):
		return "", errors.New("the name is absolute")
	}
	for elem := range strings.SplitSeq(raw, "/") {
		if elem == ".." {
			return "", errors.New(`the name has ".." in it`)
		}
	}
	return path.Clean(raw), nil
}

// usrMerge returns where a name lies on a system with merged /usr.
func usrMerge(name string) string {
	top, _, _ := strings.Cut(name, "/")
	if isMerged(top) {
		return "usr/" + name
	}
	return name
}

// isMerged returns whether name is one of the directories that were moved.
func isMerged(name string) bool {
	for _, m := range merged {
		if name == m {
			return true
		}
	}
	return false
}
