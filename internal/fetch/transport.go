package fetch

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"bootstrap/internal/fault"
)

// TransportOptions are the options of [NewTransport]; the zero value works.
type TransportOptions struct {
	Proxy      func(*http.Request) (*url.URL, error) // as [http.Transport.Proxy]; nil for none
	CACertFile string                                // PEM; trusted besides the system's authorities
	Kept       string                                // a file of the same kind, if it is there and can be read
}

// NewTransport returns the transport that everything here uses to reach a server.
func NewTransport(o TransportOptions) (*http.Transport, error) {
	t := &http.Transport{
		Proxy:                 o.Proxy,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		IdleConnTimeout:       60 * time.Second,
		MaxIdleConnsPerHost:   16,
		DisableCompression:    true,
		ForceAttemptHTTP2:     true,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
	}
	var kept []byte
	if o.Kept != "" {
		kept, _ = os.ReadFile(o.Kept) // what cannot be read is as good as not there
	}
	if o.CACertFile == "" && kept == nil {
		return t, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a host without any, which is why the user names one
	}
	pool.AppendCertsFromPEM(kept)
	t.TLSClientConfig.RootCAs = pool
	if o.CACertFile == "" {
		return t, nil
	}
	const hint = "Name a file of PEM certificates with --ca-cert."
	pem, err := os.ReadFile(o.CACertFile)
	if err != nil {
		return nil, fault.New(fault.Usage, fmt.Errorf("certificate file: %w", err), hint)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.New(fault.Usage, fmt.Errorf("certificate file %q: no PEM certificate in it", o.CACertFile), hint)
	}
	return t, nil
}
