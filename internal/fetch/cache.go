package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// cache is the directory of all files, by digest.
type cache struct{ dir string }

func (c cache) path(digest string) string {
	return filepath.Join(c.dir, "sha256", digest[:2], digest)
}

func (c cache) tmp() string { return filepath.Join(c.dir, "tmp") }

// has reports whether a file of the right name and size is there.
func (c cache) has(file File) bool {
	fi, err := os.Lstat(c.path(file.SHA256))
	return err == nil && fi.Mode().IsRegular() && (file.Size == 0 || fi.Size() == file.Size)
}

// compare reports whether something of a file's name is there, and whether it is that file. It is left
// as it is.
func (c cache) compare(ctx context.Context, file File) (there, right bool, err error) {
	_, err = os.Lstat(c.path(file.SHA256))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, false, nil
	case err != nil:
		return false, false, err
	case !c.has(file):
		return true, false, nil
	}
	digest, err := hashPath(ctx, c.path(file.SHA256))
	return true, digest == file.SHA256, err
}

// check returns the path of a file that is there and whose content is right.
// Anything else of its name is removed, and bad says what was wrong with it.
func (c cache) check(ctx context.Context, file File) (path, bad string, err error) {
	path = c.path(file.SHA256)
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", nil
	}
	if err != nil {
		return "", "", err
	}
	switch {
	case !fi.Mode().IsRegular():
		bad = "is not a regular file"
	case file.Size > 0 && fi.Size() != file.Size:
		bad = fmt.Sprintf("has %d bytes, not %d", fi.Size(), file.Size)
	default:
		digest, err := hashPath(ctx, path)
		if errors.Is(err, fs.ErrNotExist) {
			return "", "", nil
		}
		if err != nil {
			return "", "", err
		}
		if digest == file.SHA256 {
			return path, "", nil
		}
		bad = "has changed on disk"
	}
	// Another process may have put a right file there meanwhile; that one must stay.
	if now, err := os.Lstat(path); err == nil && os.SameFile(fi, now) {
		if err := os.RemoveAll(path); err != nil {
			return "", "", err
		}
	}
	return "", bad, nil
}

// commit makes a finished download a file of the cache. The caller has checked its content.
func (c cache) commit(p *part, digest string) (string, error) {
	path := c.path(digest)
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := p.file.Chmod(0o644); err != nil {
		return "", err
	}
	if err := p.file.Sync(); err != nil {
		return "", err
	}
	if err := os.Rename(p.path, path); err != nil {
		return "", err
	}
	p.done = true
	return path, syncDir(dir)
}

// syncDir makes a rename last. Some network file systems cannot, and say EINVAL.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

func hashPath(ctx context.Context, path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return hash(ctx, f)
}

// hash returns the SHA-256 of r, and stops soon after ctx ends.
func hash(ctx context.Context, r io.Reader) (string, error) {
	h := sha256.New()
	buf := make([]byte, 256<<10)
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := r.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
	}
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
