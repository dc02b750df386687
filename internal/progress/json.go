package progress

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"bootstrap/internal/event"
)

// JSON writes each event as one line of JSON, in the form of [event.Event].
type JSON struct {
	now func() time.Time

	mu  sync.Mutex
	enc *json.Encoder
	err error
}

// NewJSON returns a [JSON] that writes to w and gives the time of now to events without one.
func NewJSON(w io.Writer, now func() time.Time) *JSON {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &JSON{now: now, enc: enc}
}

// Emit writes one line. After a failure it writes no more.
func (j *JSON) Emit(e event.Event) {
	if e.Time.IsZero() {
		e.Time = j.now()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = j.enc.Encode(e)
	}
}

// Close returns the first failure to write. It does not close the writer.
func (j *JSON) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}
