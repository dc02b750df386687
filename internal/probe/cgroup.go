package probe

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// within returns the memory that a process has whose control group is limited; 0 is no limit.
// /proc/meminfo is the machine's, in a container and in a batch job too.
func (m Memory) within(limit int64) Memory {
	if limit > 0 && m.Available > limit {
		m.Available = limit
	}
	return m
}

// memoryLimit returns the lowest limit on this process's control group and those around it,
// in bytes; 0 where there is none (cgroups(7); Documentation/admin-guide/cgroup-v2.rst, memory.max;
// cgroup-v1/memory.rst, memory.limit_in_bytes).
func memoryLimit(proc, mounted string) int64 {
	text, err := os.ReadFile(filepath.Join(proc, "self", "cgroup"))
	if err != nil {
		return 0
	}
	var lowest int64
	for line := range strings.Lines(string(text)) {
		// 0::/user.slice/session-1.scope, or 9:memory:/docker/0123
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		top, file := mounted, "memory.max"
		if fields[1] != "" {
			if fields[1] != "memory" {
				continue
			}
			top, file = filepath.Join(mounted, "memory"), "memory.limit_in_bytes"
		}
		// Where a container has a namespace of groups, its own is at the top.
		for dir := filepath.Clean("/" + fields[2]); ; dir = filepath.Dir(dir) {
			if n := number(filepath.Join(top, dir, file)); n > 0 && (lowest == 0 || n < lowest) {
				lowest = n
			}
			if dir == "/" {
				break
			}
		}
	}
	return lowest
}

// number reads a file that holds one number; 0 for anything else, such as "max".
func number(path string) int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
