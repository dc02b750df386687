package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"bootstrap/internal/fault"
	"bootstrap/internal/fetch"
)

const firstDelay = 500 * time.Millisecond // before the second attempt; doubled for each more

// errStalled is the cause of a context that ended because no byte came.
var errStalled = errors.New("stalled")

// setPatience fills in how a request is made again.
func (o *Options) setPatience() {
	if o.Retries == 0 {
		o.Retries = 3
	}
	if o.Stall <= 0 {
		o.Stall = 30 * time.Second
	}
	if o.Sleep == nil {
		o.Sleep = fetch.Sleep
	}
}

// get returns the body of an answer 200 that has at most limit bytes. It asks again where that may help.
func (a *Archive) get(ctx context.Context, url string, limit int64) ([]byte, error) {
	for n := 0; ; n++ {
		data, again, err := a.attempt(ctx, url, limit)
		if err == nil || !again || n >= a.opts.Retries || ctx.Err() != nil {
			return data, err
		}
		if err := a.opts.Sleep(ctx, firstDelay<<min(n, 6)); err != nil {
			return nil, err
		}
	}
}

// attempt makes one request; again says that another one may do better.
func (a *Archive) attempt(ctx context.Context, url string, limit int64) (data []byte, again bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(a.opts.Stall, func() { cancel(errStalled) })
	defer watch.Stop()
	failed := func(err error) ([]byte, bool, error) {
		if errors.Is(context.Cause(ctx), errStalled) {
			return nil, true, fmt.Errorf("get %q: no byte for %s", url, a.opts.Stall)
		}
		return nil, fetch.Transient(nil, err), fmt.Errorf("get %q: %w", url, err)
	}

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, false, err
	}
	// An explicit value keeps the transport from decoding a body whose digest is that of its own bytes.
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := a.opts.Client.Do(req)
	if err != nil {
		return failed(errors.Unwrap(err)) // without the address, which is there already
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fetch.Transient(resp, nil), &statusError{url: url, code: resp.StatusCode}
	}
	var body bytes.Buffer
	if resp.ContentLength > 0 && resp.ContentLength <= limit {
		body.Grow(int(resp.ContentLength) + bytes.MinRead) // growing by doubling would cost twice the memory
	}
	alive := &heartbeat{r: io.LimitReader(resp.Body, limit+1), beat: func() { watch.Reset(a.opts.Stall) }}
	if _, err := body.ReadFrom(alive); err != nil {
		return failed(err)
	}
	if int64(body.Len()) > limit {
		err := fmt.Errorf("get %q: more than the %d bytes it may have", url, limit)
		return nil, false, fault.New(fault.Verify, err, hintMirror)
	}
	return body.Bytes(), false, nil
}

// heartbeat calls beat whenever bytes come.
type heartbeat struct {
	r    io.Reader
	beat func()
}

// Read implements [io.Reader].
func (h *heartbeat) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	if n > 0 {
		h.beat()
	}
	return n, err
}
