package probe

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/hashicorp/go-version"
)

// ParseKernel returns the version in a release such as 5.15.0-122-generic: its leading digits and dots.
// What follows them is the distribution's;
// go-version would take it for a pre-release and 5.15.0-122 for older than 5.15.
func ParseKernel(release string) (*version.Version, error) {
	end := strings.IndexFunc(release, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end < 0 {
		end = len(release)
	}
	v, err := version.NewVersion(strings.Trim(release[:end], "."))
	if err != nil {
		return nil, fmt.Errorf("kernel release %q: %w", release, err)
	}
	return v.Core(), nil
}

// Memory is in bytes; both are 0 where it is not known.
type Memory struct {
	Total     int64 `json:"total"`
	Available int64 `json:"available"` // without swapping, and within the limit of the control group
}

// memory reads a file as proc_meminfo(5) describes it.
func memory(path string) Memory {
	var m Memory
	file, err := os.Open(path)
	if err != nil {
		return m
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		kib, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			continue
		}
		switch fields[0] {
		case "MemTotal:":
			m.Total = kib << 10
		case "MemAvailable:":
			m.Available = kib << 10
		}
	}
	return m
}
