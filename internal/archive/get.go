package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"path"

	"bootstrap/internal/fault"
)

// Sizes that nothing legitimate comes near to.
const (
	maxInRelease = 8 << 20   // Debian's largest has 300 kB
	maxIndex     = 128 << 20 // compressed; Debian's largest has 12 MB
	maxUnpacked  = 512 << 20 // Debian's largest has 75 MB
)

const (
	hintMirror    = "try again later, or use another mirror with `--mirror`"
	hintSignature = "the mirror is not one of Debian, or something on the way changes what it sends: use another mirror with `--mirror`"
)

type parser[T any] func(io.Reader) iter.Seq2[T, error]

// statusError is an answer other than 200.
type statusError struct {
	url  string
	code int
}

func (e *statusError) Error() string {
	return fmt.Sprintf("get %q: %d %s", e.url, e.code, http.StatusText(e.code))
}

// url returns the address of a file of the suite.
func (a *Archive) url(name string) string {
	return a.opts.Mirror + "/dists/" + a.opts.Suite + "/" + name
}

// index fetches a file the release vouches for, by digest where the archive has that:
// a mirror that is updated meanwhile keeps the old files there, while the plain name may be new already.
func (a *Archive) index(ctx context.Context, name string) ([]byte, error) {
	want, ok := a.release.files[name]
	if !ok {
		err := fmt.Errorf("index %q: the signed release lists no such file", a.url(name))
		return nil, fault.New(fault.General, err, "this suite does not have the architecture: choose another suite")
	}
	if want.size > maxIndex {
		err := fmt.Errorf("index %q: %d bytes are too many", a.url(name), want.size)
		return nil, fault.New(fault.Verify, err, hintMirror)
	}
	urls := []string{a.url(name)}
	if a.release.byHash {
		urls = append([]string{a.url(path.Dir(name) + "/by-hash/SHA256/" + want.sha256)}, urls...)
	}
	var (
		data []byte
		err  error
	)
	for _, url := range urls {
		if data, err = a.get(ctx, url, want.size); err != nil {
			err = a.unreachable(err)
		} else if err = want.check(data); err != nil {
			err = fault.New(fault.Verify, fmt.Errorf("index %q: %w", url, err), hintMirror)
		}
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

func (f indexFile) check(data []byte) error {
	if int64(len(data)) != f.size {
		return fmt.Errorf("%d bytes, not the %d that were signed", len(data), f.size)
	}
	if got := digest(data); got != f.sha256 {
		return fmt.Errorf("sha256 %s, not the %s that was signed", got, f.sha256)
	}
	return nil
}

// unreachable gives an error of get its remedy, unless it has one or is the context's.
func (a *Archive) unreachable(err error) error {
	var status *statusError
	switch {
	case errors.Is(err, context.Canceled), fault.HintOf(err) != "":
		return err
	case errors.As(err, &status) && (status.code == http.StatusNotFound || status.code == http.StatusGone):
		hint := fmt.Sprintf("%q is not the base of a Debian mirror, or has no suite %q: name another with `--mirror`",
			a.opts.Mirror, a.opts.Suite)
		return fault.New(fault.General, err, hint)
	}
	return fault.New(fault.General, err, hintMirror)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// capped reads at most left bytes, and then fails.
type capped struct {
	r    io.Reader
	left int64
	stop func() error
}

// Read implements [io.Reader].
func (c *capped) Read(p []byte) (int, error) {
	if err := c.stop(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return n, errors.New("it unpacks to more than an index may have")
	}
	return n, err
}
