package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// links says whether the prefix is where it was said to be.
func (o Options) links() Check {
	l := o.Layout
	c := ok("symbolic links", "the real path is compiled in; when the link leads elsewhere, nothing there is found", "none in the way")
	if l.ResolvedFrom == "" {
		return c
	}
	c.Found = fmt.Sprintf("%s leads to %s", l.ResolvedFrom, l.Store)
	return c.but(Warning, "make sure that the real path is to last; if another one is, give that as --prefix")
}

// modernShebang is how much of a #! line counts from Linux 5.1 on: BINPRM_BUF_SIZE less its NUL.
const modernShebang = 255

// spare is how many bytes more an interpreter's path may take than the longest of the package set
// before it is worth a word: that of an interpreter in an environment of its own does, such as
// /<digest>-python3-3.12.3-env/bin/python3.12 in place of /<digest>-toolchain/usr/bin/python3.
const spare = 9

// budgets says how long the paths of the prefix get. What is too long was refused with the prefix.
func (o Options) budgets() Check {
	found, tight := map[string]string{}, false
	var order []string
	room := map[string]int{}
	for _, b := range o.Layout.Budgets() {
		if left, known := room[b.What]; known && -b.Over() >= left {
			continue
		}
		if _, known := found[b.What]; !known {
			order = append(order, b.What)
		}
		room[b.What] = -b.Over()
		found[b.What] = fmt.Sprintf("%s %d of %d bytes", b.What, len(b.Worst), b.Limit)
		if strings.HasPrefix(b.Worst, "#!") {
			found[b.What] += fmt.Sprintf(" (%d from Linux 5.1 on)", modernShebang)
			tight = tight || -b.Over() < spare
		}
	}
	var parts []string
	for _, what := range order {
		parts = append(parts, found[what])
	}
	c := ok("path lengths", "the kernel cuts off the first line of a script, and refuses the path of a socket, beyond these",
		"%s", strings.Join(parts, ", "))
	if tight {
		return c.but(Warning, "choose a shorter --prefix: on a kernel before 5.1 scripts of interpreters with longer names do not start")
	}
	return c
}

// ownership says whose the prefix is, and who else may change it.
func (o Options) ownership() Check {
	files := o.files()
	dir, info := nearest(files.Store)
	c := ok("ownership", "who may write to a directory of the prefix, or to the cache of downloads, can put other programs there, for everybody who uses it", "")
	sys := owner(info)
	if sys == nil {
		c.Found = "not known"
		return c
	}
	for _, d := range o.Facts.Places {
		if open := openDirectory(d.Path); open != "" {
			c.Found = fmt.Sprintf("everybody may write to %s", open)
			return c.but(Refused, fmt.Sprintf("take that right away (chmod o-w %s), or choose another %s", open, d.Flag))
		}
	}
	if dir, gid := o.groupDirectory(); dir != "" {
		c.Found = fmt.Sprintf("group %d may write to %s", gid, dir)
		return c.but(Refused, fmt.Sprintf("take that right away (chmod g-w %s), or add --group %d if everybody in it is trusted", dir, gid))
	}
	c.Found = fmt.Sprintf("%s belongs to uid %d", dir, sys.Uid)
	me := uint32(o.Facts.UID)
	made := dir == files.Store || dir == files.Root
	switch {
	case made && sys.Uid != me && sys.Uid != 0, made && me != sys.Uid && dir == files.Store:
		c.Found += fmt.Sprintf(", and this is uid %d", me)
		c.Why = "what one user makes in the store of another cannot be changed by the other"
		return c.but(Warning, "run bootstrap as the user whose prefix it is")
	}
	return c
}

// groupDirectory returns a directory of the prefix, or the cache of downloads, that others may write
// to by their group, and the group. It passes over those that are trusted, and over the user's own:
// as a rule nobody else is in it.
func (o Options) groupDirectory() (string, uint32) {
	dirs := []string{o.files().Root}
	for _, d := range o.Facts.Places {
		dirs = append(dirs, d.Path)
	}
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o020 == 0 {
			continue
		}
		if sys := owner(info); sys != nil && sys.Gid != uint32(o.Facts.GID) && !slices.Contains(o.Groups, sys.Gid) {
			return dir, sys.Gid
		}
	}
	return "", 0
}

// openDirectory returns the nearest directory, from dir upwards, in which everybody may replace what
// others have made: one they may write to that has no sticky bit. It is empty where there is none.
func openDirectory(dir string) string {
	for ; ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o002 != 0 && info.Mode()&os.ModeSticky == 0 {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// nearest returns the first directory on the way from a path to "/" that exists.
func nearest(path string) (string, os.FileInfo) {
	for dir := path; ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil {
			return dir, info
		}
		if dir == filepath.Dir(dir) {
			return dir, nil
		}
	}
}

func owner(info os.FileInfo) *syscall.Stat_t {
	if info == nil {
		return nil
	}
	sys, _ := info.Sys().(*syscall.Stat_t)
	return sys
}
