package probe

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// magics names file systems by what statfs(2) says their type is.
var magics = map[uint32]string{
	unix.EXT4_SUPER_MAGIC:      "ext4", // or ext2, or ext3
	0x58465342:                 "xfs",
	unix.BTRFS_SUPER_MAGIC:     "btrfs",
	0x2fc12fc1:                 "zfs",
	unix.BCACHEFS_SUPER_MAGIC:  "bcachefs",
	unix.F2FS_SUPER_MAGIC:      "f2fs",
	unix.TMPFS_MAGIC:           "tmpfs",
	unix.RAMFS_MAGIC:           "ramfs",
	unix.OVERLAYFS_SUPER_MAGIC: "overlay",
	unix.SQUASHFS_MAGIC:        "squashfs",
	unix.EROFS_SUPER_MAGIC_V1:  "erofs",
	unix.ISOFS_SUPER_MAGIC:     "iso9660",
	unix.ECRYPTFS_SUPER_MAGIC:  "ecryptfs",
	unix.NFS_SUPER_MAGIC:       "nfs",
	unix.SMB_SUPER_MAGIC:       "smb",
	unix.SMB2_SUPER_MAGIC:      "smb2",
	unix.CIFS_SUPER_MAGIC:      "cifs",
	unix.AFS_SUPER_MAGIC:       "afs",
	unix.AFS_FS_MAGIC:          "afs",
	unix.CEPH_SUPER_MAGIC:      "ceph",
	unix.CODA_SUPER_MAGIC:      "coda",
	unix.OCFS2_SUPER_MAGIC:     "ocfs2",
	0x01161970:                 "gfs2",
	0x0bd00bd0:                 "lustre",
	0x47504653:                 "gpfs",
	0x19830326:                 "beegfs",
	0x013111a8:                 "ibrix",
	unix.V9FS_MAGIC:            "9p",
	unix.FUSE_SUPER_MAGIC:      "fuse",
	unix.MSDOS_SUPER_MAGIC:     "vfat",
	unix.EXFAT_SUPER_MAGIC:     "exfat",
	unix.PROC_SUPER_MAGIC:      "proc",
	unix.SYSFS_MAGIC:           "sysfs",
	unix.CGROUP2_SUPER_MAGIC:   "cgroup2",
	unix.DEVPTS_SUPER_MAGIC:    "devpts",
}

// lacks says why a store cannot be kept in a file system, whatever its permissions.
var lacks = map[string]string{
	"vfat":    "has no symbolic links and no permissions",
	"exfat":   "has no symbolic links and no permissions",
	"proc":    "holds no files",
	"sysfs":   "holds no files",
	"cgroup2": "holds no files",
	"devpts":  "holds no files",
}

// local are the file systems of which this kernel sees every change.
var local = map[string]bool{
	"ext4": true, "xfs": true, "btrfs": true, "zfs": true, "bcachefs": true, "f2fs": true,
	"tmpfs": true, "ramfs": true, "overlay": true, "ecryptfs": true,
	"squashfs": true, "erofs": true, "iso9660": true,
}

// isRemote is true for what is not known, too: a database that is slow beats one that is corrupt.
func isRemote(name string) bool { return !local[name] }

// fileSystem names a file system.
// Where the kernel has one number for many, as for virtiofs and all that FUSE serves, the mount table has the name.
func fileSystem(magic uint32, device uint64, mounts string) string {
	name, known := magics[magic]
	if known && name != "fuse" {
		return name
	}
	if mounted := mountedType(device, mounts); mounted != "" {
		return mounted
	}
	if known {
		return name
	}
	return fmt.Sprintf("%#x", magic)
}

// mountedType returns the type of the mount with that device, or the empty string.
func mountedType(device uint64, mounts string) string {
	file, err := os.Open(mounts)
	if err != nil {
		return ""
	}
	defer file.Close()
	want := fmt.Sprintf("%d:%d", unix.Major(device), unix.Minor(device))
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
		front, back, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(front)
		after := strings.Fields(back)
		if len(fields) > 2 && fields[2] == want && len(after) > 0 {
			return after[0]
		}
	}
	return ""
}
