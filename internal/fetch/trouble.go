package fetch

import (
	"errors"
	"fmt"
	"sync"
)

// trouble is what the user was told about hosts. Where one is down, all files that are under way
// fail alike, and are tried again alike: it is said once.
type trouble struct {
	mu   sync.Mutex
	told map[string]map[string]bool // host → what
}

// news reports whether this was not said of the host yet.
func (t *trouble) news(host, what string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.told[host][what] {
		return false
	}
	if t.told == nil {
		t.told = map[string]map[string]bool{}
	}
	if t.told[host] == nil {
		t.told[host] = map[string]bool{}
	}
	t.told[host][what] = true
	return true
}

// over forgets what was said of a host, since a file has come from it.
func (t *trouble) over(host string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.told, host)
}

// troubled warns of the n-th failure of a host, and what is done about it; n is 0 for the last one.
// What concerns one file alone is always said.
func (d *download) troubled(host string, err error, n int, format string, args ...any) {
	var transfer *transferError
	if errors.As(err, &transfer) && transfer.retry && !d.f.trouble.news(host, fmt.Sprint(n, cause(err))) {
		return
	}
	d.f.warn("%s: %s: "+format, append([]any{host, reason(err)}, args...)...)
}

// cause returns the innermost of an error's texts: outer ones may have the address of a connection.
func cause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
