package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	getter "github.com/hashicorp/go-getter/v2"
)

// exchange is one request for a file, and its reply.
//
// go-getter asks for a made-up address and writes what it gets to the part, from the first byte.
// The exchange is the [http.RoundTripper] behind it: it asks the real address, decides whether
// the reply continues the part or starts over, and gives go-getter one plain, whole, counted body.
//
// That is because go-getter 2.2.5 has opinions of its own on the things in the way:
// it appends a 200 reply to what is there, takes a cut body for a complete one,
// and reads "//", "?archive=" and "?checksum=" in an address as orders.
type exchange struct {
	*download
	url     *url.URL
	offset  int64 // bytes of the part that the reply continues; 0 once it starts over
	html    bool  // the reply calls itself a web page
	refused bool  // for its announced size: the part was not touched
	cancel  context.CancelCauseFunc
	watch   *time.Timer // cuts the exchange when nothing comes
}

// errStalled is the cause of a context that watch ended.
var errStalled = errors.New("stalled")

// run makes the exchange. Errors are a [*transferError], a [*SizeError], the context's,
// or those of the local disk.
func (x *exchange) run(ctx context.Context) error {
	ctx, x.cancel = context.WithCancelCause(ctx)
	defer x.cancel(nil)
	x.watch = time.AfterFunc(x.f.opts.Stall, func() { x.cancel(errStalled) })
	defer x.watch.Stop()

	client := getter.Client{
		Getters: []getter.Getter{&getter.HttpGetter{
			Client:                &http.Client{Transport: x},
			DoNotCheckHeadFirst:   true,
			XTerraformGetDisabled: true,
		}},
		Decompressors:   map[string]getter.Decompressor{}, // nil would mean all of them
		DisableSymlinks: true,
	}
	_, err := client.Get(ctx, &getter.Request{
		Src:     "http://file.invalid/" + x.file.SHA256,
		Dst:     x.part.path,
		GetMode: getter.ModeFile,
	})
	if err == nil {
		return nil
	}
	if own := ownError(err); own != nil {
		return own
	}
	if ctx.Err() != nil {
		return x.failure(ctx, err)
	}
	return err
}

// RoundTrip answers go-getter's one request.
func (x *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := x.open(req.Context())
	x.watch.Stop() // what happens next is local, until the body is read
	if err != nil {
		return nil, err
	}
	x.meter.set(x.offset)
	return &http.Response{
		Status:        "200 OK",
		StatusCode:    http.StatusOK,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        http.Header{},
		Body:          &body{x: x, ctx: req.Context(), reply: resp.Body},
		ContentLength: -1,
		Request:       req,
	}, nil
}

// open returns a reply whose body is the file from x.offset on.
func (x *exchange) open(ctx context.Context) (*http.Response, error) {
	if x.offset > 0 {
		resp, err := x.get(ctx)
		if err != nil {
			return nil, err
		}
		switch {
		case resp.StatusCode == http.StatusPartialContent && x.continues(resp):
			return resp, nil
		case resp.StatusCode == http.StatusOK:
			return x.whole(resp)
		}
		// Not the range we asked for, or none at all (416): ask for everything.
		resp.Body.Close()
		x.offset = 0
	}
	resp, err := x.get(ctx)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, statusError(resp)
	}
	return x.whole(resp)
}

// whole takes a reply that starts over.
func (x *exchange) whole(resp *http.Response) (*http.Response, error) {
	x.offset = 0
	n := resp.ContentLength
	if n > x.limit() || n >= 0 && x.file.Size > 0 && n != x.file.Size {
		resp.Body.Close()
		x.refused = true
		return nil, &SizeError{File: x.file, Host: hostOf(x.url), Got: n, HTML: x.html}
	}
	if err := x.part.reset(); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// continues reports whether a 206 reply is the rest of the file that is expected.
// A total that differs is not judged here: the whole file is asked for next, and is.
func (x *exchange) continues(resp *http.Response) bool {
	// RFC 9110, section 14.4: "bytes 100-199/200", where the total may be "*".
	span, total, ok := strings.Cut(strings.TrimPrefix(resp.Header.Get("Content-Range"), "bytes "), "/")
	first, last, ok2 := strings.Cut(span, "-")
	from, err1 := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	if !ok || !ok2 || err1 != nil || err2 != nil || from != x.offset || to < from || to >= x.limit() {
		return false
	}
	if resp.ContentLength >= 0 && resp.ContentLength != to-from+1 {
		return false
	}
	if total == "*" || x.file.Size == 0 {
		return true
	}
	n, err := strconv.ParseInt(total, 10, 64)
	return err == nil && n == x.file.Size
}

// get asks the real address for the file from x.offset on.
// Statuses that say how to go on with a range are no errors here; all others but 200 are.
func (x *exchange) get(ctx context.Context) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, x.url.String(), nil)
	if err != nil {
		return nil, &transferError{err: errors.New("an address that cannot be asked for")}
	}
	// An explicit value keeps every transport from unpacking what it receives.
	req.Header.Set("Accept-Encoding", "identity")
	if x.offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", x.offset))
	}
	x.watch.Reset(x.f.opts.Stall)
	resp, err := x.f.client.Do(req)
	if err != nil {
		return nil, x.failure(ctx, err)
	}
	x.html = isHTML(resp.Header.Get("Content-Type")) && !strings.HasSuffix(x.file.Name, ".html")
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		return resp, nil
	}
	resp.Body.Close()
	return nil, statusError(resp)
}

// failure is the error of an exchange that the network, or the end of ctx, cut.
func (x *exchange) failure(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return networkError(err)
	}
	if errors.Is(context.Cause(ctx), errStalled) {
		return &transferError{err: fmt.Errorf("no byte for %s", x.f.opts.Stall), retry: true}
	}
	return ctx.Err()
}

// blameless takes the host out of an error that another reply may have caused.
func (x *exchange) blameless(err error) {
	var digest *DigestError
	if errors.As(err, &digest) {
		digest.Host = ""
	}
}

func isHTML(contentType string) bool {
	kind, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	kind = strings.TrimSpace(kind)
	return kind == "text/html" || kind == "application/xhtml+xml"
}

// body is a file as go-getter gets to see it: first what the part holds already,
// which go-getter writes over itself, then the reply.
type body struct {
	x     *exchange
	ctx   context.Context // of the request this is the body of
	reply io.ReadCloser
	n     int64 // bytes given out
}

// Read fails where the file is too short or too long.
func (b *body) Read(p []byte) (int, error) {
	x := b.x
	if len(p) == 0 {
		return 0, nil
	}
	if b.n < x.offset {
		n, err := x.part.file.ReadAt(p[:min(int64(len(p)), x.offset-b.n)], b.n)
		b.n += int64(n)
		if n > 0 || err == nil {
			return n, nil
		}
		return 0, fmt.Errorf("read %q: %w", x.part.path, err)
	}
	// One byte more than fits is enough to know an endless body from a complete one.
	room := x.limit() - b.n
	x.watch.Reset(x.f.opts.Stall)
	n, err := b.reply.Read(p[:min(int64(len(p)), room+1)])
	x.watch.Stop()
	if int64(n) > room {
		return 0, &SizeError{File: x.file, Host: hostOf(x.url), Got: b.n + int64(n), HTML: x.html}
	}
	b.n += int64(n)
	x.meter.set(b.n)
	if err == nil {
		return n, nil
	}
	if err != io.EOF {
		return n, x.failure(b.ctx, err)
	}
	if x.file.Size > 0 && b.n < x.file.Size {
		if x.html {
			return n, &SizeError{File: x.file, Host: hostOf(x.url), Got: b.n, HTML: true}
		}
		return n, &transferError{err: fmt.Errorf("ended after %d of %d bytes", b.n, x.file.Size), retry: true}
	}
	return n, io.EOF
}

// Close closes the reply.
func (b *body) Close() error { return b.reply.Close() }
