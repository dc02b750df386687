package fetch

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// statusError is the error of a reply that is no success.
func statusError(resp *http.Response) error {
	e := &transferError{err: fmt.Errorf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))}
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound, code == http.StatusGone:
		e.gone = true
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code == http.StatusTooEarly, code >= 500:
		e.retry = true
		e.after = retryAfter(resp.Header)
	case code == http.StatusProxyAuthRequired:
		e.hint = "The proxy wants a login: put it into HTTPS_PROXY or HTTP_PROXY, as http://user:password@host:port."
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		e.hint = "The server refuses: name another mirror with --mirror, or one with a login as https://user:password@host/path."
	}
	return e
}

// Transient reports whether a request that ended in resp or err, one of which is nil, may do better
// when it is made again.
func Transient(resp *http.Response, err error) bool {
	if err != nil {
		err = networkError(err)
	} else {
		err = statusError(resp)
	}
	var transfer *transferError
	return errors.As(err, &transfer) && transfer.retry
}

// retryAfter reads Retry-After (RFC 9110, section 10.2.3): seconds, or a date.
// A date is counted from the server's own Date, so that a wrong clock does no harm.
func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	then, err1 := http.ParseTime(v)
	now, err2 := http.ParseTime(h.Get("Date"))
	if err1 != nil || err2 != nil {
		return 0
	}
	return max(then.Sub(now), 0)
}

// networkError sorts the errors of [http.Client.Do] and of reading a body.
func networkError(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // ue prints the address, and with it a user's name
	}
	e := &transferError{err: err, retry: true}
	var redirect *redirectError
	var cert *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &redirect):
		e.retry = false
	case errors.As(err, &cert), errors.As(err, &unknown):
		e.retry = false
		e.hint = "If your network has a certificate authority of its own, name its file with --ca-cert."
	case errors.As(err, &dns) && dns.IsNotFound:
		e.retry = false
		e.hint = "Check the name of the host, the network and the proxy settings (HTTPS_PROXY, HTTP_PROXY)."
	case errors.As(err, &op) && op.Op == "proxyconnect":
		e.hint = "The proxy does not answer: check HTTPS_PROXY and HTTP_PROXY."
	}
	return e
}

// redirectError says why a redirect was not followed.
type redirectError struct{ text string }

func (e *redirectError) Error() string { return e.text }

// CheckRedirect is the [http.Client.CheckRedirect] of all requests.
func CheckRedirect(req *http.Request, via []*http.Request) error {
	const most = 10
	if len(via) > most {
		return &redirectError{fmt.Sprintf("more than %d redirects", most)}
	}
	from := via[len(via)-1].URL
	switch {
	case req.URL.Scheme != "http" && req.URL.Scheme != "https":
		return &redirectError{fmt.Sprintf("redirect to scheme %q", req.URL.Scheme)}
	case from.Scheme == "https" && req.URL.Scheme == "http":
		return &redirectError{fmt.Sprintf("redirect from https to http, at %s", from.Host)}
	}
	return nil
}
