package deb

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// unpacker writes the entries of one package.
type unpacker struct {
	root  *os.Root // opened at Dir; closed by Extract
	keep  func(name string) bool
	merge bool
	max   int64
	stats Stats
	dirs  map[string]bool // known to be directories
	files map[string]bool // regular files written: what a hard link may name
	buf   []byte
}

// newUnpacker fills in defaults and opens the directory to write to.
func newUnpacker(opts *ExtractOptions) (*unpacker, error) {
	dir := path.Clean(opts.Dir)
	if !filepath.IsLocal(dir) {
		return nil, fmt.Errorf("directory %q does not lie below the root", opts.Dir)
	}
	u := &unpacker{
		root:  opts.Root,
		keep:  opts.Filter,
		merge: opts.UsrMerge,
		max:   opts.MaxBytes,
		dirs:  map[string]bool{".": true},
		files: map[string]bool{},
		buf:   make([]byte, 128<<10),
	}
	if u.max <= 0 {
		u.max = DefaultMaxBytes
	}
	if u.keep == nil {
		u.keep = func(string) bool { return true }
	}
	if err := u.mkdirAll(dir); err != nil {
		return nil, err
	}
	u.dirs = map[string]bool{".": true}
	root, err := opts.Root.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	u.root = root
	return u, nil
}

// entry unpacks one entry.
func (u *unpacker) entry(h *tar.Header, body io.Reader) error {
	name, err := cleanName(h.Name)
	if err != nil {
		return &EntryError{Name: h.Name, Reason: err.Error()}
	}
	if name == "." && h.Typeflag != tar.TypeDir {
		return &EntryError{Name: h.Name, Reason: "is not a directory"}
	}
	if u.merge {
		if isMerged(name) && h.Typeflag == tar.TypeSymlink {
			return checkMerged(h)
		}
		name = usrMerge(name)
	}
	if name == "." || !u.keep(name) {
		return nil
	}
	err = u.mkdirAll(path.Dir(name))
	if err == nil {
		err = u.write(h, name, body)
	}
	return diskError(h.Name, err)
}

// checkMerged lets the symlinks be left out that merging /usr makes superfluous.
func checkMerged(h *tar.Header) error {
	if path.Clean("/"+h.Linkname) == "/usr/"+path.Clean(h.Name) {
		return nil
	}
	return &EntryError{Name: h.Name, Reason: fmt.Sprintf("cannot be merged into usr: it is a symlink to %q", h.Linkname)}
}

// write makes the entry under its final name; its directory exists.
func (u *unpacker) write(h *tar.Header, name string, body io.Reader) error {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return &EntryError{Name: h.Name, Reason: "sparse files are not supported"}
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return u.mkdirAll(name)
	case tar.TypeReg:
		return u.regular(h, name, body)
	case tar.TypeSymlink:
		return u.symlink(h, name)
	case tar.TypeLink:
		return u.link(h, name)
	default:
		return &EntryError{Name: h.Name, Reason: refusedType(h.Typeflag)}
	}
}

// refusedType says why an entry of a type that cannot be unpacked is refused.
func refusedType(kind byte) string {
	switch kind {
	case tar.TypeChar, tar.TypeBlock:
		return "is a device"
	case tar.TypeFifo:
		return "is a named pipe"
	}
	return fmt.Sprintf("has the unsupported type %q", kind)
}

// mkdirAll makes the directory name and its parents, each 0755 whatever the umask.
// A symlink to a directory inside the root will do.
func (u *unpacker) mkdirAll(name string) error {
	if u.dirs[name] {
		return nil
	}
	if err := u.mkdirAll(path.Dir(name)); err != nil {
		return err
	}
	err := u.root.Mkdir(name, 0o755)
	switch {
	case err == nil:
		err = u.root.Chmod(name, 0o755)
	case errors.Is(err, fs.ErrExist):
		var info fs.FileInfo
		if info, err = u.root.Stat(name); err == nil && !info.IsDir() {
			err = &EntryError{Name: name, Reason: "is a directory here and a file elsewhere"}
		}
	}
	if err == nil {
		u.dirs[name] = true
	}
	return err
}

// regular writes a file, or leaves none.
func (u *unpacker) regular(h *tar.Header, name string, body io.Reader) error {
	if h.Size > u.max-u.stats.Bytes {
		return &LimitError{Max: u.max}
	}
	perm := fs.FileMode(0o644)
	if h.Mode&0o111 != 0 {
		perm = 0o755
	}
	var f *os.File
	err := u.replace(name, func() (err error) {
		// O_EXCL never follows a symlink that is there.
		f, err = u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
		return err
	})
	if err != nil {
		return err
	}
	// Hiding ReadFrom makes io use our buffer instead of one per file.
	n, err := io.CopyBuffer(struct{ io.Writer }{f}, body, u.buf)
	if err == nil {
		err = f.Chmod(perm) // past the umask
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return errors.Join(err, u.root.Remove(name))
	}
	u.files[name] = true
	u.stats.Files++
	u.stats.Bytes += n
	return nil
}

// symlink makes a symlink with its target as it is:
// what it leads to does not matter, for the root refuses to follow it out.
func (u *unpacker) symlink(h *tar.Header, name string) error {
	if h.Linkname == "" || strings.ContainsRune(h.Linkname, 0) {
		return &EntryError{Name: h.Name, Reason: fmt.Sprintf("is a symlink to %q", h.Linkname)}
	}
	if err := u.replace(name, func() error { return u.root.Symlink(h.Linkname, name) }); err != nil {
		return err
	}
	delete(u.files, name)
	u.stats.Files++
	return nil
}

// link makes a hard link to a file that this package has already brought.
func (u *unpacker) link(h *tar.Header, name string) error {
	target, err := cleanName(h.Linkname)
	if err != nil {
		return &EntryError{Name: h.Name, Reason: fmt.Sprintf("is a hard link to %q: %s", h.Linkname, err)}
	}
	if u.merge {
		target = usrMerge(target)
	}
	if target == name || !u.files[target] {
		return &EntryError{
			Name:   h.Name,
			Reason: fmt.Sprintf("is a hard link to %q, which is no file unpacked before it", h.Linkname),
		}
	}
	if err := u.replace(name, func() error { return u.root.Link(target, name) }); err != nil {
		return err
	}
	u.files[name] = true
	u.stats.Files++
	return nil
}

// replace calls create, and when there is a file or a symlink in its way, once more without it.
func (u *unpacker) replace(name string, create func() error) error {
	err := create()
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, lerr := u.root.Lstat(name)
	switch {
	case lerr != nil:
		return lerr
	case info.IsDir():
		return &EntryError{Name: name, Reason: "is a file here and a directory elsewhere"}
	}
	if err := u.root.Remove(name); err != nil {
		return err
	}
	return create()
}
