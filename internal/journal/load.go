package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"bootstrap/internal/fault"
)

// History is what a journal says, oldest record first.
type History struct {
	Records []Record
	// Torn is the unfinished last line that was left out; it is empty where there was none.
	Torn string
}

// Load reads a journal. A file that is not there is an empty history.
// An unfinished last line is left out and kept in [History.Torn];
// any other line that cannot be understood is an error that names it.
func Load(path string) (*History, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &History{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	h, err := Parse(data)
	if err != nil {
		return nil, fault.New(fault.General, fmt.Errorf("read journal %q: %w", path, err),
			"the file was damaged; move it away and run the same command again: what is intact is found again")
	}
	return h, nil
}

// Parse reads the text of a journal, as [Load] does.
func Parse(data []byte) (*History, error) {
	h := &History{}
	for number := 1; len(data) > 0; number++ {
		line, rest, whole := bytes.Cut(data, []byte{'\n'})
		if !whole {
			h.Torn = strings.ToValidUTF8(string(line), "\uFFFD")
			break
		}
		data = rest
		r, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		h.Records = append(h.Records, r)
	}
	return h, nil
}

// parseLine reads one record. Fields that a later version may add are passed over.
func parseLine(line []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(line, &r); err != nil {
		return Record{}, err
	}
	return r, r.check()
}

// Last returns the last Begin, End or Fail of a stage.
func (h *History) Last(stage string) (Record, bool) {
	for i := len(h.Records) - 1; i >= 0; i-- {
		r := h.Records[i]
		if r.Stage != stage {
			continue
		}
		switch r.Event {
		case Begin, End, Fail:
			return r, true
		}
	}
	return Record{}, false
}

// LastWith returns the last Begin, End or Fail of a stage with that key.
func (h *History) LastWith(stage, key string) (Record, bool) {
	for i := len(h.Records) - 1; i >= 0; i-- {
		r := h.Records[i]
		if r.Stage != stage || r.Key != key {
			continue
		}
		switch r.Event {
		case Begin, End, Fail:
			return r, true
		}
	}
	return Record{}, false
}

// Created returns what the installer made, each thing once and in the order it was first made.
// Take it away from the last to the first.
func (h *History) Created() []Record {
	seen := map[string]bool{}
	var made []Record
	for _, r := range h.Records {
		id := string(r.Kind) + " " + r.Path
		if r.Event != Create || seen[id] {
			continue
		}
		seen[id] = true
		made = append(made, r)
	}
	return made
}

// extent returns the size of a file, and how much of it is whole lines.
func extent(file *os.File) (size, whole int64, err error) {
	info, err := file.Stat()
	if err != nil {
		return 0, 0, err
	}
	size = info.Size()
	buf := make([]byte, 4096)
	for end := size; end > 0; {
		start := max(0, end-int64(len(buf)))
		chunk := buf[:end-start]
		if _, err := file.ReadAt(chunk, start); err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, err
		}
		if i := bytes.LastIndexByte(chunk, '\n'); i >= 0 {
			return size, start + int64(i) + 1, nil
		}
		end = start
	}
	return size, 0, nil
}
