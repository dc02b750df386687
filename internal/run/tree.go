package run

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// process is one process, told by its start from a later one with the same number.
type process struct {
	pid, parent int
	start       uint64 // clock ticks since boot
}

// tree is a process and everything below it, as they were when it was taken.
//
// It is taken before the first of them is asked to end: Nix puts each builder into a session of
// its own, and ninja each compiler into a group of its own, so a signal to the child's group does
// not reach them; and once what started them is gone, nothing tells whose they were.
type tree struct {
	leader int
	below  []process
}

// holdRounds is how often hold looks for processes that were started while it stopped the others.
const holdRounds = 20

// hold takes the tree below the process group that pid leads, and stops those in it that a signal
// to the group does not reach: what stands still starts nothing that the tree does not have.
func hold(pid int) tree {
	t := tree{leader: pid}
	stopped := map[process]bool{}
	for range holdRounds {
		t.below = descendants(pid)
		fresh := false
		for _, p := range t.below {
			if group, err := syscall.Getpgid(p.pid); err != nil || group == pid || stopped[p] {
				continue
			}
			stopped[p], fresh = true, true
			_ = syscall.Kill(p.pid, syscall.SIGSTOP)
		}
		if !fresh {
			break
		}
	}
	return t
}

// kill sends SIGKILL to the group, and to all that was in the tree and what is below that now.
func (t tree) kill() {
	// Once the child is reaped its number may belong to somebody else.
	if leader, ok := look(t.leader); ok && leader.parent == os.Getpid() {
		t.below = append(t.below, descendants(t.leader)...)
	}
	_ = syscall.Kill(-t.leader, syscall.SIGKILL)
	t.killBelow()
}

// killBelow does that without the group, for when its leader is gone.
func (t tree) killBelow() {
	for _, p := range t.below {
		now, ok := look(p.pid)
		if !ok || now.start != p.start {
			continue
		}
		for _, child := range descendants(p.pid) {
			_ = syscall.Kill(child.pid, syscall.SIGKILL)
		}
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
	}
}

// descendants returns the processes below pid. It is empty where /proc is not there.
func descendants(pid int) []process {
	children := map[int][]process{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		number, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, ok := look(number); ok {
			children[p.parent] = append(children[p.parent], p)
		}
	}
	var out []process
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		for _, child := range children[queue[0]] {
			out = append(out, child)
			queue = append(queue, child.pid)
		}
	}
	return out
}

// look reads /proc/<pid>/stat (proc_pid_stat(5)): pid (comm) state ppid …, with the start as its
// 22nd field. comm may hold spaces and parentheses, so the fields are counted from its last one.
func look(pid int) (process, bool) {
	const parentField, startField = 4 - 3, 22 - 3
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= startField {
		return process{}, false
	}
	parent, perr := strconv.Atoi(string(fields[parentField]))
	start, serr := strconv.ParseUint(string(fields[startField]), 10, 64)
	return process{pid: pid, parent: parent, start: start}, perr == nil && serr == nil
}
