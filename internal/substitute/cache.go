package substitute

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
)

// Cache is a directory with what was relocated: for each path an archive and an entry that says what it is. It is
// bounded; what was not asked for longest goes first. Several processes may use it at once.
//
// An archive is there before its entry is, and both appear by rename. What a process that was killed has left is removed
// when the cache is opened and nobody else has it open.
type Cache struct {
	dir   string
	limit int64
	now   func() time.Time
	lock  *os.File
}

// entry says what an archive is, and what is needed to trust it again.
type entry struct {
	Path       string   `json:"path"`       // here
	From       string   `json:"from"`       // there
	Upstream   string   `json:"upstream"`   // the narinfo from there, with its signatures
	Way        string   `json:"way"`        // how it was relocated; see [Substituter.way]
	Map        string   `json:"map"`        // digest of what was replaced
	NarHash    string   `json:"narHash"`    // of the result, in hexadecimal
	NarSize    int64    `json:"narSize"`    // of the result
	References []string `json:"references"` // last elements here, sorted
	Deriver    string   `json:"deriver"`    // last element here
}

// The names in a cache.
const (
	entriesDir = "entries"
	narDir     = "nar"
	tmpDir     = "tmp"
	entryExt   = ".json"
	narExt     = ".nar"
)

// OpenCache opens a cache, and makes its directory if that is missing. Close must be called.
func OpenCache(dir string, limit int64, now func() time.Time) (*Cache, error) {
	for _, d := range []string{dir, filepath.Join(dir, entriesDir), filepath.Join(dir, narDir), filepath.Join(dir, tmpDir)} {
		if err := os.Mkdir(d, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	c := &Cache{dir: dir, limit: limit, now: now, lock: lock}
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		err = c.sweep()
	}
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_SH)
	}
	if err == nil {
		err = c.evict("") // the limit may be another one than the last time
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return c, nil
}

// Close lets go of the cache.
func (c *Cache) Close() error { return c.lock.Close() }

// sweep removes what belongs to nothing.
func (c *Cache) sweep() error {
	if err := os.RemoveAll(filepath.Join(c.dir, tmpDir)); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(c.dir, tmpDir), 0o700); err != nil {
		return err
	}
	for _, pair := range [][4]string{{narDir, narExt, entriesDir, entryExt}, {entriesDir, entryExt, narDir, narExt}} {
		files, err := os.ReadDir(filepath.Join(c.dir, pair[0]))
		if err != nil {
			return err
		}
		for _, f := range files {
			other := filepath.Join(c.dir, pair[2], strings.TrimSuffix(f.Name(), pair[1])+pair[3])
			if _, err := os.Lstat(other); errors.Is(err, fs.ErrNotExist) {
				if err := os.Remove(filepath.Join(c.dir, pair[0], f.Name())); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (c *Cache) entryFile(hash string) string { return filepath.Join(c.dir, entriesDir, hash+entryExt) }
func (c *Cache) narFile(hash string) string   { return filepath.Join(c.dir, narDir, hash+narExt) }

// load returns the entry of a path, if its archive is there and is what the entry says, and makes it the one that was
// asked for last.
func (c *Cache) load(hash string) (*entry, error) {
	text, err := os.ReadFile(c.entryFile(hash))
	if err != nil {
		return nil, ifThere(err)
	}
	e := &entry{}
	if json.Unmarshal(text, e) != nil {
		return nil, c.drop(hash)
	}
	file, err := os.Open(c.narFile(hash))
	if err != nil {
		return nil, ifThere(err)
	}
	defer file.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, file)
	if err != nil {
		return nil, err
	}
	if n != e.NarSize || hex.EncodeToString(sum.Sum(nil)) != e.NarHash {
		return nil, c.drop(hash) // the disk has spoilt it
	}
	now := c.now()
	return e, ifThere(os.Chtimes(c.entryFile(hash), now, now))
}

// open opens the archive of a path.
func (c *Cache) open(hash string) (*os.File, error) { return os.Open(c.narFile(hash)) }

// scratch returns a file without a name.
func (c *Cache) scratch() (*os.File, error) {
	f, err := os.CreateTemp(filepath.Join(c.dir, tmpDir), "upstream-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// begin returns a file that becomes the archive of a path.
func (c *Cache) begin(hash string) (*renameio.PendingFile, error) {
	return renameio.NewPendingFile(c.narFile(hash), renameio.WithTempDir(filepath.Join(c.dir, tmpDir)), renameio.WithPermissions(0o600))
}

// commit puts an archive and its entry in their places, and then makes room.
func (c *Cache) commit(hash string, archive *renameio.PendingFile, e *entry) error {
	if err := archive.CloseAtomicallyReplace(); err != nil {
		return err
	}
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	err = renameio.WriteFile(c.entryFile(hash), text, 0o600, renameio.WithTempDir(filepath.Join(c.dir, tmpDir)))
	if err != nil {
		return err
	}
	now := c.now()
	return errors.Join(ifThere(os.Chtimes(c.entryFile(hash), now, now)), c.evict(hash))
}

// evict removes what was not asked for longest until the rest is within the limit. One path stays, however large.
func (c *Cache) evict(keep string) error {
	files, err := os.ReadDir(filepath.Join(c.dir, entriesDir))
	if err != nil {
		return err
	}
	type kept struct {
		hash string
		used time.Time
		size int64
	}
	var list []kept
	var sum int64
	for _, f := range files {
		k := kept{hash: strings.TrimSuffix(f.Name(), entryExt)}
		info, err := f.Info()
		archive, aerr := os.Stat(c.narFile(k.hash))
		if err != nil || aerr != nil {
			continue // another process was faster
		}
		k.used, k.size = info.ModTime(), archive.Size()
		sum += k.size
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b kept) int { return cmp.Or(a.used.Compare(b.used), strings.Compare(a.hash, b.hash)) })
	for _, k := range list {
		if sum <= c.limit {
			break
		}
		if k.hash == keep {
			continue
		}
		if err := c.drop(k.hash); err != nil {
			return err
		}
		sum -= k.size
	}
	return nil
}

// drop removes a path: its entry first, so that no entry is without its archive.
func (c *Cache) drop(hash string) error {
	return errors.Join(ifThere(os.Remove(c.entryFile(hash))), ifThere(os.Remove(c.narFile(hash))))
}

func ifThere(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
