package image

import (
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// digest is the column of a row of Nix's database that the time follows when the path was registered:
// four bytes, big-endian, as SQLite stores an integer of that size.
// https://www.sqlite.org/fileformat2.html#record_format, and src/libstore/schema.sql in Nix 2.26.
var digest = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

const timeBytes = 4

// Timeless sets the time at which store paths were registered to that of all files, so that a
// database does not depend on when it was made. It was filled between two moments; any other time
// behind a digest, and fewer rows than paths, are errors: it is another database than was meant.
// Debian's SQLite overwrites what it deletes, so there is no other copy of the time.
func Timeless(database []byte, paths int, from, to time.Time) error {
	found := 0
	for _, at := range digest.FindAllIndex(database, -1) {
		if at[1]+timeBytes > len(database) {
			return errors.New("database: it ends in the middle of a row")
		}
		field := database[at[1] : at[1]+timeBytes]
		when := int64(binary.BigEndian.Uint32(field))
		if when < from.Unix() || when > to.Unix() {
			return fmt.Errorf("database: a store path was registered at %d, not between %d and %d", when, from.Unix(), to.Unix())
		}
		binary.BigEndian.PutUint32(field, 1)
		found++
	}
	if found != paths {
		return fmt.Errorf("database: %d store paths are registered, not %d", found, paths)
	}
	return nil
}
