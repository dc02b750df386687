package stages

import (
	"io/fs"
	"os"

	"bootstrap/internal/prefix"
)

// readers returns the group that the prefix is for, if it is not for everybody.
func (r *installation) readers() (gid uint32, ok bool) {
	if r.Readers != nil {
		return *r.Readers, true
	}
	return r.layout.Readers()
}

// open755 gives a directory that we have made to those who may read the prefix.
func (r *installation) open755(dir string) error {
	gid, ok := r.readers()
	if !ok {
		return os.Chmod(dir, 0o755)
	}
	if err := os.Lchown(dir, -1, int(gid)); err != nil {
		return err
	}
	return os.Chmod(dir, prefix.ReadersMode)
}

// admitReaders gives what earlier runs have made to the group that this run was told of. The work
// directory, by which the next run knows of it, comes last.
func (r *installation) admitReaders() error {
	if r.Readers == nil {
		return nil
	}
	for path := range r.made {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() || info.Mode().Perm()&0o050 != 0o050 || path == r.layout.Work {
			continue // it is gone, or nobody else's
		}
		if err := r.open755(path); err != nil {
			return err
		}
	}
	if info, err := os.Lstat(r.layout.Work); err != nil || info.Mode()&fs.ModeSymlink != 0 {
		return err
	}
	return r.open755(r.layout.Work)
}
