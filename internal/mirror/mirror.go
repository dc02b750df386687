// Package mirror decides which mirror of the Debian archive to use.
//
// It is the only place where a mirror's name stands. It believes nothing a mirror says:
// whether an answer is signed and right is found out by who uses the mirror.
package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"bootstrap/internal/fault"
)

// The origins that are not a file of apt's.
const (
	OriginFlag    = "--mirror"
	OriginEnv     = "BOOTSTRAP_MIRROR"
	OriginBuiltIn = "built-in list"
)

// Mirror is a place where the archive's files are: <URL>/dists/… and <URL>/pool/….
type Mirror struct {
	URL    string // without a slash at its end; may hold a login, so print [Redact] of it
	Origin string // how it was found, for people: "--mirror", or the path of a file of apt's
}

// MarshalJSON returns an object of url, without a login in it, and origin.
func (m Mirror) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		URL    string `json:"url"`
		Origin string `json:"origin"`
	}{Redact(m.URL), m.Origin})
}

// Options are the options of [Find] and [Check].
type Options struct {
	Flag string // what the user asked for; "" if nothing
	Env  string // what the user's environment asks for; "" if nothing

	Root  fs.FS  // the host's file system from "/" on, for apt's sources; nil for none
	Suite string // a mirror answers if it has this suite: "trixie"

	Transport http.RoundTripper // default: [http.DefaultTransport] without its proxy
	Timeout   time.Duration     // of one question to one mirror; default 5 s
	BuiltIn   []string          // default: Debian's country mirrors
}

// Find returns the mirror to use: the user's, which is not asked anything,
// or else the first that has the suite, of the host's own and of the built-in list.
func Find(ctx context.Context, o Options) (Mirror, error) {
	for _, m := range []Mirror{{o.Flag, OriginFlag}, {o.Env, OriginEnv}} {
		if m.URL == "" {
			continue
		}
		u, err := Parse(m.URL)
		if err != nil {
			return Mirror{}, fault.New(fault.Usage, fmt.Errorf("%s: %w", m.Origin, err),
				"A mirror is http://host/path or https://host/path, the directory that holds dists and pool.")
		}
		return Mirror{URL: u, Origin: m.Origin}, nil
	}
	a := newAsker(o)
	tried := 0
	var first error
	for _, m := range aptMirrors(o.Root) {
		err := a.ask(ctx, m.URL)
		if err == nil {
			return m, nil
		}
		if ctx.Err() != nil {
			return Mirror{}, fmt.Errorf("find a mirror: %w", context.Cause(ctx))
		}
		tried++
		if first == nil {
			first = fmt.Errorf("%s, of %s: %w", Redact(m.URL), m.Origin, err)
		}
	}
	list := o.BuiltIn
	if list == nil {
		list = countryMirrors()
	}
	u, err := a.race(ctx, list)
	if err == nil {
		return Mirror{URL: u, Origin: OriginBuiltIn}, nil
	}
	if ctx.Err() != nil {
		return Mirror{}, fmt.Errorf("find a mirror: %w", context.Cause(ctx))
	}
	if first == nil {
		first = err
	}
	return Mirror{}, fault.New(fault.General,
		fmt.Errorf("find a mirror: none of %d has suite %q; the first: %w", tried+len(list), o.Suite, first),
		"Check the network and the proxy settings (HTTPS_PROXY, HTTP_PROXY), or name a mirror with --mirror.")
}

// Check reports whether a mirror answers and has the suite of the options; nil says that it has.
func Check(ctx context.Context, u string, o Options) error {
	u, err := Parse(u)
	if err != nil {
		return fault.New(fault.Usage, err, "A mirror is http://host/path or https://host/path.")
	}
	if err := newAsker(o).ask(ctx, u); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("mirror %s: %w", Redact(u), context.Cause(ctx))
		}
		return fault.New(fault.General, fmt.Errorf("mirror %s: %w", Redact(u), err),
			"Check its address, the network and the proxy settings (HTTPS_PROXY, HTTP_PROXY), or name another with --mirror.")
	}
	return nil
}

// Parse checks the address of a mirror and takes the slashes off its end.
// Its errors show no login.
func Parse(s string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(s))
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // ue prints the address, login and all
		}
		if strings.Contains(s, "@") {
			err = errors.New("not a URL")
		}
		return "", fmt.Errorf("mirror %q: %w", Redact(s), err)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		err = errors.New("neither http nor https")
	case u.Hostname() == "":
		err = errors.New("no host in it")
	case u.RawQuery != "" || u.ForceQuery:
		err = errors.New("a mirror has no query")
	case u.Fragment != "" || strings.Contains(s, "#"):
		err = errors.New("a mirror has no fragment")
	}
	if err != nil {
		return "", fmt.Errorf("mirror %q: %w", Redact(s), err)
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// Redact returns an address, or what should be one, without the login in it.
func Redact(s string) string {
	if u, err := url.Parse(s); err == nil && u.Host != "" {
		u.User = nil
		return u.String()
	}
	start := 0
	if i := strings.Index(s, "//"); i >= 0 {
		start = i + len("//")
	}
	// A password may hold a slash where the address is no proper one: up to the last "@" all goes.
	if i := strings.LastIndex(s[start:], "@"); i >= 0 {
		return s[:start] + s[start+i+1:]
	}
	return s
}
