package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const localDisk = "choose a --prefix on a local file system such as ext4, xfs or btrfs"

// tryLinks makes both kinds of links, and sees whether they are what they should be.
func (o Options) tryLinks(_ context.Context, dir string) Check {
	c := ok("links", "profiles and GC roots are symbolic links; the lock of a prefix and `nix store optimise` are hard links", "symbolic and hard links")
	file, soft, hard := filepath.Join(dir, "file"), filepath.Join(dir, "soft"), filepath.Join(dir, "hard")
	err := os.WriteFile(file, nil, 0o600)
	if err == nil {
		if err = o.System.Symlink("file", soft); err != nil {
			c.Found = "no symbolic links: " + errno(err)
			return c.but(Refused, localDisk)
		}
		var to string
		if to, err = os.Readlink(soft); err == nil && to != "file" {
			c.Found = fmt.Sprintf("a symbolic link to \"file\" leads to %q", to)
			return c.but(Refused, localDisk)
		}
	}
	if err == nil {
		if err = o.System.Link(file, hard); err != nil {
			c.Found = "no hard links: " + errno(err)
			return c.but(Refused, localDisk)
		}
		return c
	}
	c.Found = errno(err)
	return c.but(Refused, localDisk)
}

// slowSync is how long it may take to have one file and its directory on the disk. Nix does so for
// each path it registers.
const slowSync = 250 * time.Millisecond

// trySync asks for a file, and for its name, to be on the disk.
func (o Options) trySync(_ context.Context, dir string) Check {
	c := ok("sync", "what is said to be on the disk must survive a power cut: the journal and the database rely on it", "")
	file, err := os.Create(filepath.Join(dir, "sync"))
	if err == nil {
		_, err = file.WriteString("x")
		err = errors.Join(err, o.System.Sync(file), file.Close())
	}
	if err != nil {
		c.Found = "a file cannot be synced: " + errno(err)
		return c.but(Refused, localDisk)
	}
	took, err := o.syncDirectory(dir)
	switch {
	case err != nil:
		c.Found = "a directory cannot be synced: " + errno(err)
		return c.but(Warning, "nothing, or "+localDisk+": after a power cut the newest files may be missing, and are made anew")
	case took > slowSync:
		c.Found = fmt.Sprintf("files and directories, in %s each", took.Round(time.Millisecond))
		return c.but(Warning, "nothing, or "+localDisk+": every store path waits that long")
	}
	c.Found = "files and directories"
	return c
}

// syncDirectory says how long it took, where there is a clock.
func (o Options) syncDirectory(dir string) (took time.Duration, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	if o.Now != nil {
		before := o.Now()
		defer func() { took = o.Now().Sub(before) }()
	}
	return 0, errors.Join(o.System.Sync(d), d.Close())
}

// tryCase sees whether two names that differ in case alone are two files.
func (o Options) tryCase(_ context.Context, dir string) Check {
	c := ok("case", "headers of Linux and many packages have files whose names differ in case alone", "upper and lower case differ")
	if err := os.WriteFile(filepath.Join(dir, "case"), nil, 0o600); err != nil {
		c.Found = errno(err)
		return c.but(Refused, localDisk)
	}
	if _, err := o.System.Lstat(filepath.Join(dir, "CASE")); err == nil {
		c.Found = "upper and lower case are the same name"
		return c.but(Refused, localDisk+"; in a container on macOS or Windows, one that is not shared with it")
	}
	return c
}

// ignored are the attributes that nix.conf tells Nix to leave alone (`ignored-acls`).
var ignored = map[string]bool{"security.selinux": true, "security.csm": true, "system.nfs4_acl": true}

// tryAttributes does what Nix does with each file of a new store path: it sets the mode and takes
// the extended attributes off, access control lists among them.
func (o Options) tryAttributes(_ context.Context, dir string) Check {
	c := ok("attributes", "Nix takes extended attributes and access control lists off what it builds, and gives up where it cannot", "none on new files")
	path, sub := filepath.Join(dir, "attributes"), filepath.Join(dir, "directory")
	err := errors.Join(os.WriteFile(path, nil, 0o600), os.Mkdir(sub, 0o700), os.Chmod(path, 0o444), os.Chmod(sub, 0o555))
	defer os.Chmod(sub, 0o700)
	var gone, kept []string
	for _, at := range []string{path, sub} {
		if err != nil {
			break
		}
		var names []string
		if names, err = o.System.ListAttributes(at); errors.Is(err, unix.ENOTSUP) {
			err = nil
		}
		for _, name := range names {
			if ignored[name] {
				kept = append(kept, name)
				continue
			}
			if rerr := o.System.RemoveAttribute(at, name); rerr != nil && !errors.Is(rerr, unix.ENODATA) {
				c.Found = fmt.Sprintf("%s on new files, which cannot be taken off: %s", name, errno(rerr))
				return c.but(Refused, "choose another --prefix; or take the rule that sets it off the directory (setfacl -b -k, lfs, or your administrator)")
			}
			gone = append(gone, name)
		}
	}
	switch {
	case err != nil:
		c.Found = errno(err)
		return c.but(Refused, localDisk)
	case len(gone) > 0:
		c.Found = strings.Join(unique(gone), ", ") + " on new files, which can be taken off"
	case len(kept) > 0:
		c.Found = strings.Join(unique(kept), ", ") + " on new files, which Nix ignores"
	}
	return c
}

func listAttributes(path string) ([]string, error) {
	size, err := unix.Llistxattr(path, nil)
	if err != nil || size == 0 {
		return nil, err
	}
	buf := make([]byte, size)
	size, err = unix.Llistxattr(path, buf)
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(string(buf[:size]), func(r rune) bool { return r == 0 }), nil
}

func unique(names []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, n := range names {
		if !seen[n] {
			out = append(out, n)
		}
		seen[n] = true
	}
	return out
}

// errno returns what the system said, without the paths of the probe directory.
func errno(err error) string {
	var e unix.Errno
	if errors.As(err, &e) {
		return e.Error()
	}
	return err.Error()
}
