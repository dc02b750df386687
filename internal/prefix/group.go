package prefix

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"bootstrap/internal/fault"
)

// ReadersMode is the mode of the directories of a prefix that a group may read: what is made in them
// belongs to that group as well, and nobody else may enter.
const ReadersMode = 0o750 | fs.ModeSetgid

// Readers returns the group that may read a prefix, by the mode of what the installer makes first.
// There is none if everybody may, or if there is no prefix.
func (l Layout) Readers() (gid uint32, ok bool) {
	info, err := os.Stat(l.Work)
	if err != nil || info.Mode()&(fs.ModePerm|fs.ModeSetgid) != ReadersMode {
		return 0, false
	}
	sys, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return sys.Gid, true
}

// WriterConf returns the file of what nix.conf says to those alone who may change the store.
func (l Layout) WriterConf() string { return filepath.Join(l.Conf, "nix.writer.conf") }

// MayWrite refuses an account that may read a prefix that is there, and not change it.
func (l Layout) MayWrite() error {
	const write = 2 // W_OK of access(2)
	info, err := os.Stat(l.Work)
	if err != nil {
		return nil // there is no prefix, or it may not be read either
	}
	switch err := syscall.Access(l.Work, write); {
	case errors.Is(err, syscall.EACCES):
		owner := "somebody else"
		if sys, ok := info.Sys().(*syscall.Stat_t); ok {
			owner = NameOf(sys.Uid)
		}
		return fault.New(fault.Unfit, fmt.Errorf("prefix %q: you may read it, and not change it; it is %s's", l.Store, owner),
			"docs/CLUSTER.md says what can be done with it; for the rest, ask its owner, or make a prefix of your own")
	case errors.Is(err, syscall.EROFS):
		return fault.New(fault.Unfit, fmt.Errorf("prefix %q: cannot be changed here, its file system is mounted read-only", l.Store),
			"docs/CLUSTER.md says what can be done with it; change it where it can be written to")
	}
	return nil
}

// NameOf returns the name of an account, or its number in words if it has none.
func NameOf(uid uint32) string {
	number := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(number); err == nil {
		return u.Username
	}
	return "uid " + number
}
