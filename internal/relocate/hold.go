package relocate

import (
	"errors"
	"io"
	"os"
)

// maxHeld is how much of the entries that have to come later is kept in memory.
const maxHeld = 2 << 20

// Spill is where more than that goes. [TempSpill] makes one.
type Spill interface {
	io.Writer
	io.ReaderAt
	io.Closer
}

// TempSpill returns a function that makes a file without a name in a directory.
func TempSpill(dir string) func() (Spill, error) {
	return func() (Spill, error) {
		f, err := os.CreateTemp(dir, "relocate-")
		if err != nil {
			return nil, err
		}
		if err := os.Remove(f.Name()); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	}
}

// store keeps held entries.
type store struct {
	open  func() (Spill, error) // may be nil
	spill Spill
	size  int64 // of spill
	held  int   // bytes in memory
}

func (s *store) close() error {
	if s.spill == nil {
		return nil
	}
	return s.spill.Close()
}

// entry is a directory entry that is written later: its bytes, in memory or in the spill.
type entry struct {
	name  string
	s     *store
	parts []part
}

type part struct {
	mem []byte
	off int64 // in the spill, if mem is nil
	n   int64
}

func (e *entry) Write(p []byte) (int, error) {
	if e.s.held+len(p) <= maxHeld {
		e.s.held += len(p)
		if n := len(e.parts); n > 0 && e.parts[n-1].mem != nil {
			e.parts[n-1].mem = append(e.parts[n-1].mem, p...)
		} else {
			e.parts = append(e.parts, part{mem: append([]byte{}, p...)})
		}
		return len(p), nil
	}
	if e.s.spill == nil {
		if e.s.open == nil {
			return 0, errors.New("relocate: renamed entries are too large to be held in memory, and there is no spill")
		}
		spill, err := e.s.open()
		if err != nil {
			return 0, err
		}
		e.s.spill = spill
	}
	n, err := e.s.spill.Write(p)
	if k := len(e.parts); k > 0 && e.parts[k-1].mem == nil && e.parts[k-1].off+e.parts[k-1].n == e.s.size {
		e.parts[k-1].n += int64(n)
	} else {
		e.parts = append(e.parts, part{off: e.s.size, n: int64(n)})
	}
	e.s.size += int64(n)
	return n, err
}

// release writes the entry, and forgets it.
func (e *entry) release(w io.Writer) error {
	for _, p := range e.parts {
		if p.mem != nil {
			if _, err := w.Write(p.mem); err != nil {
				return err
			}
			e.s.held -= len(p.mem)
			continue
		}
		if _, err := io.Copy(w, io.NewSectionReader(e.s.spill, p.off, p.n)); err != nil {
			return err
		}
	}
	e.parts = nil
	return nil
}
