package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"bootstrap/internal/fault"
	"bootstrap/internal/mirror"
)

// Request says what to ask the network. Mirror and Now are required.
type Request struct {
	Mirror mirror.Options
	Needed bool // something has to be fetched; where not, a mirror out of reach is only a warning
	Now    func() time.Time
	Getenv func(string) string
}

// Ask asks the mirror for its index, in the way an installation does, and compares the clocks.
func Ask(ctx context.Context, r Request) []Check {
	next := r.Mirror.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	w := &witness{next: next, now: r.Now}
	r.Mirror.Transport = w
	m, err := mirror.Find(ctx, r.Mirror)
	if err == nil && (m.Origin == mirror.OriginFlag || m.Origin == mirror.OriginEnv) {
		err = mirror.Check(ctx, m.URL, r.Mirror) // Find takes the user's word for it
	}
	c := ok("mirror", "what everything is built from is downloaded once, from a mirror of Debian's", "%s answers (%s)", mirror.Redact(m.URL), m.Origin)
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"} {
		if v := proxy(r.Getenv, name); v != "" {
			c.Found += fmt.Sprintf(", %s is %s", name, v)
		}
	}
	if err != nil {
		c.Found = err.Error()
		v, remedy := Refused, fault.HintOf(err)
		if !r.Needed {
			v, remedy = Warning, "nothing: all that is needed is in the cache of downloads"
		}
		if untrusted(err) && r.Needed {
			remedy = "give the certificate of whoever answers there (often the proxy's) as --ca-cert FILE, or set SSL_CERT_FILE"
		}
		c = c.but(v, remedy)
	}
	return append([]Check{c}, w.clock())
}

func proxy(getenv func(string) string, name string) string {
	if getenv == nil {
		return ""
	}
	return mirror.Redact(getenv(name))
}

// untrusted reports whether it was the certificate that nobody vouches for.
func untrusted(err error) bool {
	var unknown x509.UnknownAuthorityError
	var roots x509.SystemRootsError
	return errors.As(err, &unknown) || errors.As(err, &roots)
}

// witness passes requests on, and remembers when the last answer came and what time it gave.
type witness struct {
	next http.RoundTripper
	now  func() time.Time

	mu   sync.Mutex
	skew time.Duration // this clock less the server's
	seen bool
}

// RoundTrip implements [http.RoundTripper].
func (w *witness) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	date, derr := http.ParseTime(resp.Header.Get("Date"))
	if derr == nil {
		// What a cache in between has kept is older by as much as it says (RFC 9111, 5.1).
		if age, aerr := strconv.Atoi(resp.Header.Get("Age")); aerr == nil && age > 0 {
			date = date.Add(time.Duration(age) * time.Second)
		}
		w.mu.Lock()
		w.skew, w.seen = w.now().Sub(date), true
		w.mu.Unlock()
	}
	return resp, nil
}

// tolerated is how far the clocks may be apart.
const tolerated = 5 * time.Minute

func (w *witness) clock() Check {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := ok("clock", "certificates and the signatures on indexes are good only between two dates", "as the server's")
	way := "ahead of"
	skew := w.skew
	if skew < 0 {
		way, skew = "behind", -skew
	}
	switch {
	case !w.seen:
		c.Found = "not compared: no server gave its time"
	case skew > tolerated:
		c.Found = fmt.Sprintf("%s %s the server's", skew.Round(time.Second), way)
		return c.but(Warning, "set the clock, or have it set (timedatectl set-ntp true)")
	}
	return c
}
