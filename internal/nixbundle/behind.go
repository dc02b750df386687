package nixbundle

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Behind returns a way to reach servers by which every file begins n bytes later than it does: a
// bundle without its head, which is the part that the head has the digest of.
func Behind(n int64, next http.RoundTripper) http.RoundTripper { return &behind{n, next} }

type behind struct {
	n    int64
	next http.RoundTripper
}

// RoundTrip asks for what is there, and answers with what is left.
// https://www.rfc-editor.org/rfc/rfc9110#section-14
func (b *behind) RoundTrip(req *http.Request) (*http.Response, error) {
	start, ranged, err := offset(req.Header.Get("Range"))
	if err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-", start+b.n))
	reply, err := b.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	switch reply.StatusCode {
	case http.StatusOK: // all of it, whatever was asked for
		if _, err := io.CopyN(io.Discard, reply.Body, b.n); err != nil {
			reply.Body.Close()
			return nil, err
		}
		b.shorten(reply)
	case http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		if err := b.shift(reply); err != nil {
			reply.Body.Close()
			return nil, err
		}
		if !ranged && reply.StatusCode == http.StatusPartialContent {
			reply.StatusCode, reply.Status = http.StatusOK, "200 OK"
			reply.Header.Del("Content-Range")
		}
	}
	return reply, nil
}

// offset reads the only form of a range that is asked for here: from a byte to the end.
func offset(text string) (start int64, ranged bool, err error) {
	if text == "" {
		return 0, false, nil
	}
	digits, ok := strings.CutPrefix(text, "bytes=")
	digits, open := strings.CutSuffix(digits, "-")
	start, err = strconv.ParseInt(digits, 10, 64)
	if !ok || !open || err != nil || start < 0 {
		return 0, false, fmt.Errorf("range %q: not from a byte to the end", text)
	}
	return start, true, nil
}

// shorten takes the skipped bytes off the length of a reply.
func (b *behind) shorten(reply *http.Response) {
	if reply.ContentLength >= b.n {
		reply.ContentLength -= b.n
		reply.Header.Set("Content-Length", strconv.FormatInt(reply.ContentLength, 10))
	}
}

// shift takes them off the range of a reply: `bytes 10-99/100`, or `bytes */100`.
func (b *behind) shift(reply *http.Response) error {
	text := reply.Header.Get("Content-Range")
	if text == "" {
		return nil
	}
	span, total, ok := strings.Cut(strings.TrimPrefix(text, "bytes "), "/")
	numbers := []*string{&total}
	first, last, isSpan := strings.Cut(span, "-")
	if isSpan {
		numbers = append(numbers, &first, &last)
	}
	for _, n := range numbers {
		if *n == "*" {
			continue
		}
		v, err := strconv.ParseInt(*n, 10, 64)
		if !ok || err != nil || v < b.n {
			return fmt.Errorf("the server answers with a range %q", text)
		}
		*n = strconv.FormatInt(v-b.n, 10)
	}
	if isSpan {
		span = first + "-" + last
	}
	reply.Header.Set("Content-Range", "bytes "+span+"/"+total)
	return nil
}
