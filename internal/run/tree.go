package run

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// killTree sends SIGKILL to the process group pid leads and to all descendants of pid.
// Nix puts each builder into a session of its own, where a signal to the group does not reach it.
func killTree(pid int) {
	var below []int
	// Once the child is reaped its number may belong to somebody else.
	if parent, ok := parentOf(pid); ok && parent == os.Getpid() {
		below = descendants(pid)
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	for _, p := range below {
		_ = syscall.Kill(p, syscall.SIGKILL)
	}
}

// descendants returns the processes below pid. It is empty where /proc is not there.
func descendants(pid int) []int {
	children := map[int][]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		p, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if parent, ok := parentOf(p); ok {
			children[parent] = append(children[parent], p)
		}
	}
	var out []int
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		out = append(out, children[queue[0]]...)
		queue = append(queue, children[queue[0]]...)
	}
	return out
}

// parentOf reads the parent from /proc/<pid>/stat (proc_pid_stat(5)): pid (comm) state ppid.
// comm may hold spaces and parentheses, so the fields are counted from its last parenthesis.
func parentOf(pid int) (parent int, ok bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	rest := stat[bytes.LastIndexByte(stat, ')')+1:]
	var state string
	if _, err := fmt.Sscan(string(rest), &state, &parent); err != nil {
		return 0, false
	}
	return parent, true
}
