package doctor

import (
	"path/filepath"

	"bootstrap/internal/probe"
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
	log, _ := probe.HasLog(filepath.Join(o.files().Database(), "db.sqlite"))
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
