package probe

import (
	"io"
	"os"
)

// HasLog reports whether a database of SQLite's has a write-ahead log: bytes 18 and 19 are 2 then
// (https://www.sqlite.org/fileformat2.html, 1.3). known is false where there is no database yet.
func HasLog(path string) (log, known bool) {
	file, err := os.Open(path)
	if err != nil {
		return false, false
	}
	defer file.Close()
	head := make([]byte, 20)
	if _, err := io.ReadFull(file, head); err != nil {
		return false, false
	}
	return head[18] == 2 && head[19] == 2, true
}
