package doctor

import (
	"io"
	"os"
	"path/filepath"
)

// passing are the file systems that end before their files do, and what ends them.
var passing = map[string]string{
	"tmpfs":   "it is memory, and empty after the next start of the machine",
	"ramfs":   "it is memory, and empty after the next start of the machine",
	"overlay": "it may be a container's own layer, and gone when the container is",
}

// fileSystem says what keeps the database, and what follows from that.
func (o Options) fileSystem() Check {
	state, _ := o.Facts.Place("state")
	name := state.FileSystem
	if name == "" {
		name = "not known"
	}
	c := ok("file system", "SQLite's write-ahead log needs memory that all who use the database share", "%s", name)
	log := walMode(filepath.Join(o.Layout.Database(), "db.sqlite"))
	switch {
	case state.Remote && log:
		c.Found += ", with a database that has a write-ahead log"
		c.Why = "that log does not work on a network file system, and two ways of locking on one database corrupt it"
		return c.but(Warning, "use the prefix from one host alone, or make it anew in another directory")
	case state.Remote:
		c.Found += ", on another machine or in another process"
		return c.but(Warning, "nothing: the prefix gets `use-sqlite-wal = false`, for good; a local disk is faster")
	case passing[name] != "":
		c.Why = passing[name]
		return c.but(Warning, "choose a --prefix on a disk, if it is meant to stay")
	}
	return c
}

// walMode reports whether a database of SQLite's has a write-ahead log: bytes 18 and 19 are 2 then
// (https://www.sqlite.org/fileformat2.html, 1.3).
func walMode(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	head := make([]byte, 20)
	_, err = io.ReadFull(file, head)
	return err == nil && head[18] == 2 && head[19] == 2
}
