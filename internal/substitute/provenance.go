package substitute

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"bootstrap/internal/journal"
	"bootstrap/internal/relocate"
)

// Provenance is a journal of what was relocated. Several processes may append to it.
type Provenance struct {
	File string           // its directory must exist
	Run  string           // goes into every record
	Now  func() time.Time // the clock
}

// Record puts down where a path comes from. It is on the disk when it returns.
func (p Provenance) Record(m Made) (err error) {
	lock, err := os.OpenFile(p.File+".lock", os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("provenance: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("provenance: %w", err)
	}
	j, err := journal.Open(journal.Options{Path: p.File, Run: p.Run, Now: p.Now})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	output := map[string]string{
		"from": m.From, "url": m.URL, "key": m.Key, "narHashBefore": m.Source, "narHash": m.Result, "map": m.Map,
	}
	for _, v := range []relocate.Verdict{relocate.Rewritten, relocate.Repaired, relocate.Left} {
		output[string(v)] = strconv.Itoa(m.Counts[v])
	}
	return j.Append(journal.Record{Event: journal.Note, Text: "relocated", Path: m.Path, Output: output})
}
