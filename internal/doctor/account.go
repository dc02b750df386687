package doctor

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// home says whether HOME can be relied on. Nothing that bootstrap starts does.
func (o Options) home() Check {
	home := o.env("HOME")
	c := ok("home", "Nix ignores a HOME that belongs to somebody else, and others write there; bootstrap's own builds have another one",
		"%s", home)
	remedy := "set HOME to a directory of your own before you use Nix"
	if home == "" {
		c.Found = "HOME is not set"
		return c.but(Warning, remedy)
	}
	info, err := os.Stat(home)
	sys := owner(info)
	switch {
	case !filepath.IsAbs(home):
		c.Found += " is not an absolute path"
	case err != nil:
		c.Found += " does not exist, or cannot be looked at"
	case !info.IsDir():
		c.Found += " is not a directory"
	case sys != nil && int(sys.Uid) != o.Facts.UID:
		c.Found += fmt.Sprintf(" belongs to uid %d, and this is uid %d", sys.Uid, o.Facts.UID)
	case !writable(home):
		c.Found += " cannot be written to"
	default:
		return c
	}
	return c.but(Warning, remedy)
}

func writable(dir string) bool {
	return unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS) == nil
}

// account says whether the user has a name that programs in the prefix can find. They see
// /etc/passwd; the modules for LDAP and the like belong to the host's C library.
func (o Options) account() Check {
	c := ok("account", "programs ask for the user's name and home by the number", "uid %d", o.Facts.UID)
	if o.Root == nil {
		return c
	}
	file, err := o.Root.Open("etc/passwd")
	if err == nil {
		defer file.Close()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			fields := strings.Split(lines.Text(), ":")
			if len(fields) > 2 && fields[2] == strconv.Itoa(o.Facts.UID) {
				c.Found = fmt.Sprintf("%s, uid %d", fields[0], o.Facts.UID)
				return c
			}
		}
	}
	c.Found += " is not in /etc/passwd"
	if name := o.env("USER"); name != "" {
		c.Found += ", USER is " + name
		return c.but(Warning, "keep USER and HOME set where Nix is used; bootstrap hands USER on to what it starts")
	}
	return c.but(Warning, "set USER to a name, so that the profile is not called by the number")
}

// temporary says whether the directory for temporary files can be used. Bootstrap has its own.
func (o Options) temporary() Check {
	dir := o.tmp()
	c := ok("temporary files", "nix-build, nix-shell and nix profile fail where the directory of TMPDIR is missing", "%s", dir)
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		c.Found += " does not exist, or cannot be looked at"
	case !info.IsDir():
		c.Found += " is not a directory"
	case !writable(dir):
		c.Found += " cannot be written to"
	default:
		return c
	}
	return c.but(Warning, "set TMPDIR to a directory of your own before you use Nix; bootstrap's own builds have another one")
}

// tmp returns where programs put temporary files.
func (o Options) tmp() string {
	if dir := o.env("TMPDIR"); dir != "" {
		return dir
	}
	return "/tmp"
}
