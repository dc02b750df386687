package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Place is a directory the installer will write to, and what there is to know before it does.
type Place struct {
	Noun       string `json:"noun"` // what it is for
	Flag       string `json:"flag"` // the flag that moves it
	Path       string `json:"path"`
	Exists     bool   `json:"exists"`
	Ancestor   string `json:"ancestor"`         // nearest directory that exists; Path itself where that does
	Writable   bool   `json:"writable"`         // by this process, in Ancestor
	Reason     string `json:"reason,omitempty"` // why it is not
	ReadOnly   bool   `json:"read_only"`        // mounted so
	NoExec     bool   `json:"no_exec"`          // mounted so
	FileSystem string `json:"file_system"`
	// Remote says that the file system is on another machine or in another process,
	// where SQLite's write-ahead log does not work: set `use-sqlite-wal = false`.
	Remote      bool   `json:"remote"`
	Device      uint64 `json:"device"`
	FreeBytes   int64  `json:"free_bytes"`   // for this user; a quota does not show
	TotalBytes  int64  `json:"total_bytes"`  // 0 where the file system does not count them; nor are the free ones then
	FreeInodes  int64  `json:"free_inodes"`  // meaningless where TotalInodes is 0
	TotalInodes int64  `json:"total_inodes"` // 0 where the file system does not count them
}

// Flags of statfs(2), which golang.org/x/sys does not have.
const (
	mountedReadOnly = 0x1
	mountedNoExec   = 0x8
)

// place looks at a directory that may not exist yet.
// mounts is a file as proc_pid_mountinfo(5) describes it.
func place(noun, flag, path, mounts string) Place {
	p := Place{Noun: noun, Flag: flag, Path: path}
	info := p.findAncestor()
	if info == nil {
		p.Reason = "no directory above it can be looked at"
		return p
	}
	p.Exists = p.Ancestor == p.Path
	if !info.IsDir() {
		p.Reason = fmt.Sprintf("%q is not a directory", p.Ancestor)
		return p
	}
	err := unix.Faccessat(unix.AT_FDCWD, p.Ancestor, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
	p.Writable = err == nil
	if err != nil {
		p.Reason = err.Error()
	}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		p.Device = sys.Dev
	}
	p.statfs(mounts)
	p.ReadOnly = p.ReadOnly || errors.Is(err, unix.EROFS)
	if lack := lacks[p.FileSystem]; lack != "" && p.Writable {
		p.Writable, p.Reason = false, fmt.Sprintf("the file system, %s, %s", p.FileSystem, lack)
	}
	return p
}

// findAncestor sets Ancestor and returns what it is.
func (p *Place) findAncestor() fs.FileInfo {
	for dir := p.Path; ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil {
			p.Ancestor = dir
			return info
		}
		if dir == "/" || dir == "." {
			return nil
		}
	}
}

func (p *Place) statfs(mounts string) {
	var st unix.Statfs_t
	err := unix.Statfs(p.Ancestor, &st)
	for errors.Is(err, unix.EINTR) { // a slow server, and Go's own signals
		err = unix.Statfs(p.Ancestor, &st)
	}
	if err != nil {
		return
	}
	block := st.Frsize
	if block == 0 {
		block = st.Bsize
	}
	p.FreeBytes, p.TotalBytes = int64(st.Bavail)*block, int64(st.Blocks)*block
	p.FreeInodes, p.TotalInodes = int64(st.Ffree), int64(st.Files)
	p.ReadOnly = st.Flags&mountedReadOnly != 0
	p.NoExec = st.Flags&mountedNoExec != 0
	p.FileSystem = fileSystem(uint32(st.Type), p.Device, mounts)
	p.Remote = isRemote(p.FileSystem)
}
