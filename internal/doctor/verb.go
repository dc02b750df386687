package doctor

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Serve does what another process of this program was started for, as [Options.Self] says:
//
//	nothing       ends well
//	seccomp       loads a filter that lets everything pass
//	hold FILE     takes both locks, says so by a line, and keeps them until standard input ends
//	lock FILE     tries to take both, and says what came of it
func Serve(args []string, stdin io.Reader, stdout io.Writer) error {
	switch {
	case len(args) == 1 && args[0] == "nothing":
		return nil
	case len(args) == 1 && args[0] == "seccomp":
		return loadFilter()
	case len(args) == 2 && args[0] == "hold":
		return holdLocks(args[1], stdin, stdout)
	case len(args) == 2 && args[0] == "lock":
		return reportLocks(args[1], stdout)
	}
	return errors.New("this is for bootstrap's own use")
}

// loadFilter loads a filter as Nix does: it takes no privileges if none can be got any more.
func loadFilter() error {
	runtime.LockOSThread() // never unlocked: the filter is the thread's
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	const retAllow = 0x7fff0000 // SECCOMP_RET_ALLOW, linux/seccomp.h
	program := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: retAllow}}
	load := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&load)), 0, 0)
	runtime.KeepAlive(program)
	if err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	return nil
}
