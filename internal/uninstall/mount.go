package uninstall

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"bootstrap/internal/fault"
)

var octal = regexp.MustCompile(`\\[0-7]{3}`)

// mounts returns the mount points of a file in the form of proc_pid_mountinfo(5):
// the fifth field, with blanks and backslashes in octal. It is nil where there is no such file.
func mounts(path string) []string {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil // the devices are compared all the same
	}
	var points []string
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		points = append(points, octal.ReplaceAllStringFunc(fields[4], func(s string) string {
			n, _ := strconv.ParseUint(s[1:], 8, 8)
			return string([]byte{byte(n)})
		}))
	}
	return points
}

// checkMounts refuses a mount on or below what is to be removed:
// what is in a mount is not in the prefix. Bind mounts of the same device are found only here.
func (r *Removal) checkMounts() error {
	targets := map[string]bool{}
	for _, s := range r.Steps {
		if s.Name == Directories {
			continue
		}
		for _, p := range s.Paths {
			targets[p] = true
		}
	}
	for _, point := range mounts(r.opts.MountInfo) {
		for p := point; ; p = filepath.Dir(p) {
			if targets[p] {
				return fmt.Errorf("%q: %w", point, errMount())
			}
			if p == "/" || p == "." {
				break
			}
		}
	}
	return nil
}

func errMount() error {
	return fault.New(fault.Unfit, errors.New("is a mount point"), "unmount it and run the same command again")
}
