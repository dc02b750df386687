package doctor

import (
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// System is what the trials ask of the file system beyond files, so that tests can stand in for
// one that is rare. Its zero value is the real one.
type System struct {
	ListAttributes  func(path string) ([]string, error)
	RemoveAttribute func(path, name string) error
	Write           func(f *os.File, p []byte) (int, error)
	Reserve         func(f *os.File, bytes int64) error // fallocate(2)
	Link, Symlink   func(old, name string) error
	Lstat           func(path string) (fs.FileInfo, error)
	Sync            func(f *os.File) error
	LockPatience    time.Duration // default: 30 s
}

// defaults returns the system with the real one where nothing stands in for it.
func (s System) defaults() System {
	if s.ListAttributes == nil {
		s.ListAttributes = listAttributes
	}
	if s.RemoveAttribute == nil {
		s.RemoveAttribute = unix.Lremovexattr
	}
	if s.Write == nil {
		s.Write = (*os.File).Write
	}
	if s.Reserve == nil {
		s.Reserve = func(f *os.File, bytes int64) error { return unix.Fallocate(int(f.Fd()), 0, 0, bytes) }
	}
	if s.Link == nil {
		s.Link = os.Link
	}
	if s.Symlink == nil {
		s.Symlink = os.Symlink
	}
	if s.Lstat == nil {
		s.Lstat = os.Lstat
	}
	if s.Sync == nil {
		s.Sync = (*os.File).Sync
	}
	if s.LockPatience == 0 {
		s.LockPatience = 30 * time.Second // four processes, on a host that may be busy
	}
	return s
}
