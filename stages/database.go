package stages

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"bootstrap/internal/event"
	"bootstrap/internal/journal"
	"bootstrap/internal/run"
)

// databaseFiles are the files of Nix's database. The schema is the number of its form, which Nix
// reads first: where there is one, it makes no database (Nix 2.26, src/libstore/local-store.cc).
func databaseFiles() []string {
	return []string{"db.sqlite", "db.sqlite-journal", "db.sqlite-wal", "db.sqlite-shm", "schema"}
}

// sqliteMagic is how a database begins (sqlite.org/fileformat2.html, 1.3).
const sqliteMagic = "SQLite format 3\x00"

// databaseTrouble says what keeps every Nix from opening the database; "" if nothing can be seen.
func (r *installation) databaseTrouble() string {
	dir := r.layout.Database()
	schema, err := os.ReadFile(filepath.Join(dir, "schema"))
	if errors.Is(err, fs.ErrNotExist) {
		return "" // Nix makes both
	}
	if err != nil {
		return err.Error()
	}
	if _, err := strconv.Atoi(strings.TrimSpace(string(schema))); err != nil {
		return "its schema is no number"
	}
	file, err := os.Open(filepath.Join(dir, "db.sqlite"))
	if errors.Is(err, fs.ErrNotExist) {
		return "it is gone"
	}
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	magic := make([]byte, len(sqliteMagic))
	if _, err := io.ReadFull(file, magic); err != nil || !bytes.Equal(magic, []byte(sqliteMagic)) {
		return "it is not one of SQLite"
	}
	return ""
}

// databaseBroken reports whether an error is that of a Nix which cannot read the database.
func databaseBroken(err error) (string, bool) {
	var failed *run.Error
	if !errors.As(err, &failed) {
		return "", false
	}
	for _, line := range failed.Tail {
		for _, words := range []string{"database disk image is malformed", "file is not a database"} {
			if strings.Contains(line, words) {
				return words, true
			}
		}
	}
	return "", false
}

// resetDatabase puts a database that cannot be read aside. Nix makes a new one, that knows of no
// path: the stages find theirs unknown and make them again.
func (r *installation) resetDatabase(trouble string) error {
	aside := filepath.Join(r.layout.Work, "database-"+r.Run)
	r.emit(event.Warn, "", fmt.Sprintf("Nix's database cannot be read: %s; what is left of it is put into %q, and all that the stages made is made anew", trouble, aside))
	if err := r.journal.Append(journal.Record{Event: journal.Note, Text: "database", Output: map[string]string{"trouble": trouble, "aside": aside}}); err != nil {
		return err
	}
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	// The schema goes last: as long as it is there, a reset that was cut short is seen to be needed.
	for _, name := range databaseFiles() {
		if err := move(filepath.Join(r.layout.Database(), name), filepath.Join(aside, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("database: %w", err)
		}
	}
	return syncDir(r.layout.Database())
}

// move renames a file, or copies it where the other place is on another file system.
func move(from, to string) error {
	err := os.Rename(from, to)
	if !errors.Is(err, syscall.EXDEV) {
		return err
	}
	if err := copyFile(from, to, 0o600); err != nil {
		return err
	}
	return os.Remove(from)
}
