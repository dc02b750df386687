// Package destdir shows files that lie below some directory at the place they are meant for: to one
// process and to what that starts, in namespaces of their own. For everybody else nothing changes.
//
// With it nothing that works on a prefix needs to know that its files lie elsewhere: paths, what is
// compiled in, what a build sees and what a shell sources are those of the place itself.
//
// It takes two processes. One starts with [View.Attributes], which give it a mount namespace, and
// for whoever is not root a user namespace in which it has the right to mount; it calls [View.Show]
// and [Renounce], and becomes the other one, which has no right that its user has not.
// The package starts nothing and prints nothing.
package destdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// View is what a process sees in one directory.
type View struct {
	Dir string // what stands for "/": absolute, without symbolic links
	At  string // the directory whose files lie below Dir: absolute and cleaned
}

// Files returns where the files lie.
func (v View) Files() string { return filepath.Join(v.Dir, v.At) }

// Sealed returns the directory that a view has in memory, where nothing can be made: the one above
// a place that is no directory outside. It is empty where there is none.
func (v View) Sealed() (string, error) {
	anchor, err := directory(v.At)
	if anchor == v.At {
		anchor = ""
	}
	return anchor, err
}

// Attributes returns how a process is started that can call [View.Show]: with the user and the
// group it has outside. Root needs no user namespace, where it may make a mount namespace.
func (v View) Attributes() *syscall.SysProcAttr {
	// Go makes all mounts private after this one: what is mounted is seen nowhere else.
	a := &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 && mayMount() {
		return a
	}
	a.Cloneflags = syscall.CLONE_NEWUSER
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
	// Whoever is not root in a namespace loses its rights there by executing a program, save for
	// these (capabilities(7), "Ambient").
	a.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
	return a
}

// mayMount reports whether this process has the right to mount, which root in a container may lack.
func mayMount() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	return data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}

// Renounce takes the rights away that a user namespace has given to the calling thread, for the
// program that is executed next by it. Root's are its own.
func Renounce() error {
	if os.Geteuid() == 0 {
		return nil
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&header, &none[0])
}

// Show mounts what lies in [View.Files] over the place it is meant for. Nothing is written, there
// or anywhere else: where that place is not there, or not to be reached but by a symbolic link, a
// file system in memory takes the place of the directory above it, with all that is in there shown
// in it. For a trial, what lies in the nearest directory that is there will do.
//
// It changes what the whole process sees, and must be called by one that was started for it.
func (v View) Show(trial bool) error {
	files := v.Files()
	if trial {
		files = nearest(files)
	}
	source, err := hold(files)
	if err != nil {
		return err
	}
	defer unix.Close(source)
	sealed, err := v.Sealed()
	if err != nil {
		return err
	}
	if sealed == "" {
		return bind(source, "", v.At)
	}
	return v.detour(sealed, source)
}

// hold opens a directory so that it can be mounted, whatever is mounted over it later.
func hold(dir string) (fd int, err error) {
	fd, err = unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	return fd, nil
}

// bind mounts what is in an open directory, or a file in there, somewhere. Mounts in it come along:
// the kernel forbids to leave those behind that another user namespace has made.
func bind(dir int, name, to string) error {
	from := filepath.Join(fmt.Sprintf("/proc/self/fd/%d", dir), name)
	if name == "" {
		from += "/."
	}
	if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return &fs.PathError{Op: "mount over", Path: to, Err: err}
	}
	return nil
}

// directory returns the last one on the way from "/" to a path that is a directory, with nothing
// but directories before it.
func directory(path string) (string, error) {
	at := "/"
	for _, name := range elements(path) {
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && !info.IsDir():
			return at, nil
		case errors.Is(err, fs.ErrPermission):
			return filepath.Dir(at), nil // at is closed to this user, with all that is in it
		case err != nil:
			return "", err
		}
		at = next
	}
	return at, nil
}

// nearest returns the path, or the nearest directory above it that is there.
func nearest(path string) string {
	for path != "/" {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return path
		}
		path = filepath.Dir(path)
	}
	return path
}
