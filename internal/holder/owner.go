package holder

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Owner is who holds a lock, as the lock file says it.
type Owner struct {
	Host         string    `json:"host"`
	Machine      string    `json:"machine,omitempty"`       // /etc/machine-id, where there is one
	Boot         string    `json:"boot,omitempty"`          // the kernel's boot_id: one per kernel and boot
	PIDNamespace string    `json:"pid_namespace,omitempty"` // PID counts in there
	PID          int       `json:"pid"`
	Start        uint64    `json:"start"` // of the process, in clock ticks since boot: PIDs are used again
	Since        time.Time `json:"since"`
	Command      string    `json:"command"`
	// Flock says that the owner holds flock(2) on the file besides,
	// which the kernel takes back when the process dies.
	Flock bool `json:"flock"`
}

// System says where facts about this machine are found. The zero value is the machine itself.
type System struct {
	Hostname  string // default: what the kernel says
	Proc      string // default: /proc
	MachineID string // file; default: /etc/machine-id
}

func (s System) defaults() System {
	if s.Hostname == "" {
		// Without a name the boot still identifies the machine.
		s.Hostname, _ = os.Hostname()
	}
	if s.Proc == "" {
		s.Proc = "/proc"
	}
	if s.MachineID == "" {
		s.MachineID = "/etc/machine-id"
	}
	return s
}

// self describes the calling process.
func (s System) self() Owner {
	start, _, _ := s.process(os.Getpid())
	namespace, _ := os.Readlink(filepath.Join(s.Proc, "self", "ns", "pid"))
	return Owner{
		Host:         s.Hostname,
		Machine:      firstLine(s.MachineID),
		Boot:         firstLine(filepath.Join(s.Proc, "sys", "kernel", "random", "boot_id")),
		PIDNamespace: namespace,
		PID:          os.Getpid(),
		Start:        start,
	}
}

// firstLine returns the text of a small file, or nothing where it cannot be read.
func firstLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line)
}

// process returns when a process started and what state it is in; proc_pid_stat(5).
func (s System) process(pid int) (start uint64, state string, err error) {
	data, err := os.ReadFile(filepath.Join(s.Proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, "", err
	}
	// The second field is the command's name in parentheses, which may itself hold blanks and parentheses.
	text := string(data)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return 0, "", fmt.Errorf("stat of process %d: %d fields", pid, len(fields))
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return start, fields[0], err
}

// running reports whether the very process that is called the owner still runs,
// given that its PID counts here.
// In doubt it does.
func (s System) running(o Owner) bool {
	if err := syscall.Kill(o.PID, 0); errors.Is(err, syscall.ESRCH) {
		return false
	}
	start, state, err := s.process(o.PID)
	if err != nil || o.Start == 0 {
		return true // /proc is not there, or hides other people's processes
	}
	// A zombie has ended; only its parent has not looked yet.
	return start == o.Start && state != "Z" && state != "X"
}

// verdict is what can be known about an owner from here.
type verdict int

const (
	unknown verdict = iota // the owner is elsewhere
	alive
	dead
)

// judge decides whether an owner is still there.
// flocked says that the caller holds flock(2) on the owner's file.
func (s System) judge(o, me Owner, flocked bool) verdict {
	sameBoot := o.Boot == me.Boot && (o.Boot != "" || o.Host == me.Host)
	switch {
	case sameBoot && o.PIDNamespace == me.PIDNamespace:
		if s.running(o) {
			return alive
		}
		return dead
	case sameBoot && o.Boot != "" && o.Flock && flocked:
		// Another container on the same kernel, which would not have given us the lock of a living process.
		return dead
	case o.Host == me.Host && o.Machine == me.Machine && o.Machine != "" && !sameBoot && o.Boot != "" && me.Boot != "":
		return dead // this machine was started again since
	}
	return unknown
}

// read returns the owner that a lock file names.
func read(path string) (Owner, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Owner{}, err
	}
	var o Owner
	if err := json.Unmarshal(data, &o); err != nil {
		return Owner{}, fmt.Errorf("lock file %q: %w", path, err)
	}
	if o.PID < 1 {
		return Owner{}, fmt.Errorf("lock file %q: names no process", path)
	}
	return o, nil
}
